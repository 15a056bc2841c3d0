//! `build::fuzz::ignore` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::build::fuzz::ignore(bytes));
