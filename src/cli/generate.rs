//! The hidden verb that writes `completions/`, which ask the program, and `man/` from the definition of every flag.

use std::path::{Path, PathBuf};

use super::Invocation;
use super::commands::definition;
use super::error::{CliError, Kind};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// What to write
    #[arg(value_name = "KIND", value_parser = ["completions", "man"])]
    kind: String,
    /// Directory to write into
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn run(args: Args, _invocation: &Invocation) -> Result<u8, CliError> {
    std::fs::create_dir_all(&args.directory).map_err(|error| wrong(&args.directory, &error))?;
    match args.kind.as_str() {
        "man" => pages(&definition(), "bryo", &args.directory)?,
        _ => completions(&args.directory)?,
    }
    Ok(0)
}

fn wrong(path: &Path, error: &std::io::Error) -> CliError {
    CliError::new(Kind::Failed, format!("write {}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    std::fs::write(path, bytes).map_err(|error| wrong(path, &error))
}

/// They ask the program itself (`complete`), and so know each flag there is.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bryo.bash", include_str!("../../completions/bryo.bash")),
    ("_bryo", include_str!("../../completions/_bryo")),
    ("bryo.fish", include_str!("../../completions/bryo.fish")),
];

fn completions(directory: &Path) -> Result<(), CliError> {
    COMPLETIONS
        .iter()
        .try_for_each(|(file, text)| write(&directory.join(file), text.as_bytes()))
}

/// One page per command, `bryo-run.1`, `bryo-container-run.1`.
fn pages(command: &clap::Command, name: &str, directory: &Path) -> Result<(), CliError> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(command.clone());
    page.title(name.to_uppercase())
        .date("")
        .source("bryo")
        .manual("bryo")
        .render(&mut text)
        .map_err(|error| wrong(&path, &error))?;
    write(&path, &text)?;
    for inner in command.get_subcommands() {
        if inner.is_hide_set() || inner.get_name() == "help" {
            continue;
        }
        pages(inner, &format!("{name}-{}", inner.get_name()), directory)?;
    }
    Ok(())
}
