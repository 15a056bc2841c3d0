//! Black-box tests of the program, by capability. Never reaches into the library.

mod cli_generated;
mod cli_program;
mod cli_rows;
mod cli_words;
