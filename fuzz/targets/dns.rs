//! `net::fuzz::dns` on any bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bryo::net::fuzz::dns(bytes));
