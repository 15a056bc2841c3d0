//! `image::fuzz::documents` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::image::fuzz::documents(bytes));
