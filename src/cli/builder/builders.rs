//! `buildx ls`, `inspect`, `create`, `use`, `rm`: there is one builder, which is this program, whatever it is called.

use super::Invocation;
use crate::cli::error::CliError;
use crate::cli::table::{Columns, Row};
use crate::image::Platform;

const NAME: &str = "default";
const DRIVER: &str = "bryo";

#[derive(clap::Args, Debug)]
pub struct LsArgs {
    /// `table`, `json` or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

#[derive(clap::Args, Debug)]
pub struct InspectArgs {
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Have it ready, which it always is
    #[arg(long)]
    bootstrap: bool,
}

#[derive(clap::Args, Debug)]
pub struct CreateArgs {
    /// What it is to be called
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Kind of builder that is asked for: docker, docker-container
    #[arg(long, value_name = "DRIVER")]
    driver: Option<String>,
    /// Use it from now on
    #[arg(long = "use")]
    switch: bool,
    /// Have it ready, which it always is
    #[arg(long)]
    bootstrap: bool,
}

#[derive(clap::Args, Debug)]
pub struct UseArgs {
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(clap::Args, Debug)]
pub struct RmArgs {
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// A name is not looked at further: one line says so.
fn say(invocation: &Invocation, name: &str) {
    if name != NAME {
        let note = format!("there is one builder: {name} stands for it");
        invocation.ui.note(&note);
    }
}

pub fn ls(args: LsArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let columns = Columns {
        headings: &[
            ("Name", "NAME/NODE"),
            ("DriverEndpoint", "DRIVER/ENDPOINT"),
            ("Status", "STATUS"),
            ("Buildkit", "BUILDKIT"),
            ("Platforms", "PLATFORMS"),
        ],
        shown: vec!["Name", "DriverEndpoint", "Status", "Buildkit", "Platforms"],
        quiet: "Name",
    };
    let mut row = Row::default();
    row.set("Name", format!("{NAME}*"));
    row.set("DriverEndpoint", DRIVER);
    row.set("Status", "running");
    row.set("Buildkit", concat!("bryo-", env!("CARGO_PKG_VERSION")));
    row.set("Platforms", Platform::host().to_string());
    invocation.listed(&columns, args.format.as_deref(), false, &[row])
}

pub fn inspect(args: &InspectArgs, invocation: &Invocation) -> Result<u8, CliError> {
    say(invocation, args.name.as_deref().unwrap_or(NAME));
    tracing::debug!(args.bootstrap, "it is ready");
    let version = env!("CARGO_PKG_VERSION");
    let platform = Platform::host();
    invocation.ui.result(&format!(
        "Name:   {NAME}\nDriver: {DRIVER}\n\nNodes:\nName:             {NAME}\nEndpoint:         {NAME}\n\
         Status:           running\nBuildKit version: bryo-{version}\nPlatforms:        {platform}\n"
    ))?;
    Ok(0)
}

pub fn create(args: &CreateArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let driver = args.driver.as_deref().unwrap_or("docker");
    if !matches!(driver, "docker" | "docker-container" | DRIVER) {
        return Err(CliError::usage(format!(
            "failed to find driver {driver:?}: builds run here"
        )));
    }
    let name = args.name.as_deref().unwrap_or(NAME);
    tracing::debug!(args.switch, args.bootstrap, "it is ready and in use");
    say(invocation, name);
    invocation.ui.line(name)?;
    Ok(0)
}

pub fn switch(args: &UseArgs, invocation: &Invocation) -> Result<u8, CliError> {
    say(invocation, &args.name);
    Ok(0)
}

pub fn rm(args: &RmArgs, invocation: &Invocation) -> Result<u8, CliError> {
    for name in &args.names {
        let note = format!("there is one builder, which stays: {name} stands for it");
        invocation.ui.note(&note);
    }
    Ok(0)
}
