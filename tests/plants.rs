//! The shipped program holds none of the bugs that the simulator plants: not even a name.

use sim::bugs::BUGS;

#[test]
fn no_planted_bug_is_in_the_shipped_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_udpchat")).unwrap();
    // What is no text becomes replacement characters; names stay.
    let text = String::from_utf8_lossy(&program);
    // They are searched as they should be: what every user sees is there.
    assert!(text.contains("udpchat"));
    for (_, name) in BUGS {
        assert!(!text.contains(name), "the program holds {name}");
    }
}
