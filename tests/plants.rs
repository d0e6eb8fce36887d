//! The shipped program cannot be made wrong on purpose: the compiler has left every such place out.
//!
//! That the simulator, which can, is found by the same search, is a test of its own
//! (`sim/tests/cli.rs`).

use udpchat_core::mutation::TRACE;

#[test]
fn no_mutation_is_in_the_shipped_program() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_udpchat")).unwrap();
    let holds = |text: &str| program.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    // It is searched as it should be: what every user sees is there.
    assert!(holds("udpchat"));
    assert!(!holds(TRACE));
}
