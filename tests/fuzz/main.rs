//! Any bytes are survived, and so is any sequence of forged datagrams (docs/protocol.md, "The
//! promises", 8).
//!
//! Each target takes bytes and panics if something does not hold. Here they come from proptest and
//! from the corpus beside this file; `libfuzzer/` gives them bytes that reach new code.

mod chat;
mod lies;
mod parsers;
#[expect(dead_code, reason = "each test file uses its own part of the world")]
#[path = "../world/mod.rs"]
mod world;

use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any};
use proptest::test_runner::{RngAlgorithm, RngSeed, TestRunner};

/// Takes bytes, and panics if something does not hold.
type Target = fn(&[u8]);

/// Gives a target random bytes, the same in every run, and makes those small that it does not
/// survive.
fn survives_anything(target: Target, cases: u32, bytes_max: usize) {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    };
    let bytes = vec(any::<u8>(), 0..bytes_max);
    let survived = TestRunner::new(config).run(&bytes, |bytes| {
        target(&bytes);
        Ok(())
    });
    if let Err(failure) = survived {
        panic!("{failure}");
    }
}

/// Gives a target each file of its corpus: what once was not survived, and what reached the most
/// code.
fn survives_its_corpus(name: &str, target: Target) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "the corpus of {name} is empty");
    for file in files {
        let bytes = std::fs::read(&file).expect("a file");
        let survived = std::panic::catch_unwind(|| target(&bytes));
        assert!(survived.is_ok(), "not survived: {}", file.display());
    }
}

macro_rules! targets {
    ($($name:ident: $target:path, $cases:literal times up to $bytes:literal bytes;)*) => {
        $(mod $name {
            #[test]
            fn survives_anything() {
                super::survives_anything($target, $cases, $bytes);
            }

            #[test]
            fn survives_its_corpus() {
                super::survives_its_corpus(stringify!($name), $target);
            }
        })*
    };
}

targets! {
    datagram: crate::parsers::datagram, 20_000 times up to 1_500 bytes;
    line: crate::parsers::line, 20_000 times up to 1_000 bytes;
    row: crate::parsers::row, 20_000 times up to 200 bytes;
    sequence: crate::chat::sequence, 1_000 times up to 1_000 bytes;
}
