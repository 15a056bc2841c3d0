//! `image::fuzz::names` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::image::fuzz::names(bytes));
