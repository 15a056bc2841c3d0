//! `build::fuzz::dockerfile` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::build::fuzz::dockerfile(bytes));
