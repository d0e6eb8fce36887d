//! libFuzzer's bytes for the target of this name.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| udpchat_fuzz::datagram(bytes));
