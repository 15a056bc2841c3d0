//! `compose::fuzz::compose` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::compose::fuzz::compose(bytes));
