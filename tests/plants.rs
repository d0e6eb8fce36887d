//! The shipped program holds none of the bugs that the simulator plants: not even a name.

use sim::bugs::BUGS;

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn no_planted_bug_is_in_the_shipped_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_udpchat")).unwrap();
    // The bytes are searched as they should be: what every user sees is there.
    assert!(contains(&program, "udpchat"));
    for (_, name) in BUGS {
        assert!(!contains(&program, name), "the program holds {name}");
    }
}
