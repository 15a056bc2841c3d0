//! The program: everything is in the library, so that tests and completions see the same definitions.

fn main() -> std::process::ExitCode {
    bryo::cli::main()
}
