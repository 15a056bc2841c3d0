//! Black-box tests of the program, by capability. Never reaches into the library.
fn main() {}
