//! The program: everything is in the library, so that tests and completions see the same definitions.

#![no_main]

bryo::entry!(bryo::cli::main);
