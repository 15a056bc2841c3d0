//! `boot`: have containers started when the host has booted.

use clap::Subcommand;

use super::Invocation;
use super::error::{CliError, Kind};
use crate::engine::boot::{BootFacts, Starter};
use crate::runtime::doctor::Finding;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start containers of policy always and unless-stopped at boot
    Enable(EnableArgs),
    /// Start no containers at boot
    Disable,
    /// Show what starts which containers at boot; ends with 1 if nothing does
    Status,
}

#[derive(clap::Args, Debug)]
pub struct EnableArgs {
    /// By a unit of the user's systemd (the default where it runs)
    #[arg(long, conflicts_with = "cron")]
    systemd: bool,
    /// By a line of the user's crontab
    #[arg(long)]
    cron: bool,
}

pub fn run(verb: Verb, invocation: &Invocation) -> Result<u8, CliError> {
    match verb {
        Verb::Enable(args) => enable(&args, invocation),
        Verb::Disable => disable(invocation),
        Verb::Status => status(invocation),
    }
}

fn enable(args: &EnableArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let chosen = match (args.systemd, args.cron) {
        (true, _) => Some(Starter::Systemd),
        (_, true) => Some(Starter::Cron),
        _ => None,
    };
    let engine = invocation.engine()?;
    let enabled = engine.enable_boot(chosen);
    let (starter, place) = enabled.map_err(|error| CliError::failed(&error))?;
    invocation
        .ui
        .line(&format!("enabled by {}: {place}", starter.name()))?;
    if starter == Starter::Systemd
        && let Some(finding) = engine.lingering()
    {
        invocation.ui.warning(&until_login(&finding));
        for cure in &finding.cure {
            invocation.ui.hint(cure);
        }
    }
    Ok(0)
}

fn disable(invocation: &Invocation) -> Result<u8, CliError> {
    let removed = invocation.engine()?.disable_boot();
    let removed = removed.map_err(|error| CliError::failed(&error))?;
    for starter in &removed {
        invocation
            .ui
            .line(&format!("disabled by {}", starter.name()))?;
    }
    if removed.is_empty() {
        invocation.ui.line("not enabled")?;
    }
    Ok(0)
}

fn status(invocation: &Invocation) -> Result<u8, CliError> {
    let facts = invocation.engine()?.boot();
    let facts = facts.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.result(&text(&facts))?;
    Ok(u8::from(facts.starters.is_empty()))
}

fn text(facts: &BootFacts) -> String {
    let mut text = String::new();
    if facts.starters.is_empty() {
        text += "Boot: disabled\n";
    }
    for (starter, place) in &facts.starters {
        text += &format!("Boot: enabled by {} ({place})\n", starter.name());
    }
    let lingering = match &facts.lingering {
        None => "on".to_owned(),
        Some(finding) => {
            let cure = finding.cure.first().map_or("", String::as_str);
            format!("off: {} (cure: {cure})", until_login(finding))
        }
    };
    text += &format!("Lingering: {lingering}\n");
    let containers = match facts.containers.as_slice() {
        [] => "none".to_owned(),
        names => names.join(" "),
    };
    text + &format!("Containers: {containers}\n")
}

fn until_login(finding: &Finding) -> String {
    let found = &finding.found;
    format!("{found}: systemd starts the containers when the user logs in, not before")
}
