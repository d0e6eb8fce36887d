//! The shipped program holds none of the bugs that the simulator plants: not even a name.
//!
//! The names are read from the simulator's source: nothing here depends on it.

/// Where the simulator names the bugs, a line each: `(Bug::ShowsCopies, "shows-copies"),`.
const NAMES: &str = include_str!("../sim/src/faults/bugs.rs");

fn name(line: &str) -> Option<&str> {
    let (_, name) = line.trim().strip_prefix("(Bug::")?.strip_suffix("\"),")?.split_once('"')?;
    Some(name)
}

#[test]
fn no_planted_bug_is_in_the_shipped_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_udpchat")).unwrap();
    // What is no text becomes replacement characters; names stay.
    let text = String::from_utf8_lossy(&program);
    // They are searched as they should be: what every user sees is there.
    assert!(text.contains("udpchat"));
    let names: Vec<&str> = NAMES.lines().filter_map(name).collect();
    assert!(names.len() > 30 && names.contains(&"shows-copies"), "only {names:?} found");
    for name in names {
        assert!(!text.contains(name), "the program holds {name}");
    }
}
