//! Black-box tests of the program, by capability, run as an ordinary user. Never reaches into the library.

mod env;
mod image;
#[path = "../registry/mod.rs"]
mod misbehaving;
mod need;
mod process;
mod registry;
mod spellings;
mod terminal;

mod cli_generated;
mod cli_program;
mod cli_rows;
mod cli_words;
mod doctor;
mod environment;
mod errors;
mod flags_containers;
mod flags_images;
mod flags_inside;
mod flags_outside;
mod flags_program;
mod hello;
mod hostile_archive;
mod hostile_image;
mod images;
mod isolation;
mod lifecycle;
mod load;
mod logs;
mod logs_drivers;
mod mounts;
mod network_pasta;
mod packaging;
mod ps;
mod pull;
mod pull_misbehaving;
mod pull_recovery;
mod recovery;
mod run;
mod security;
mod storage;
mod tty;
mod users;
