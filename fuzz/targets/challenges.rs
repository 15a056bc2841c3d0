//! `registry::fuzz::challenges` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::registry::fuzz::challenges(bytes));
