//! `update`.

use super::Invocation;
use super::container_flags::{HealthFlags, log_options, restart_policy, value};
use super::error::{CliError, Kind};
use super::limit_flags::ResourceFlags;
use crate::container::{Limits, SettingsChange};
use crate::net::egress::Reach;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "CONTAINER")]
    names: Vec<String>,
    /// Start it again when it ends: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// Reach nothing outside of its networks but these (none, any, or HOST, ADDRESS, SUBNET, *.DOMAIN, each with :PORT or not)
    #[arg(long, value_name = "DESTINATIONS")]
    egress: Vec<String>,
    #[command(flatten)]
    resources: ResourceFlags,
    #[command(flatten)]
    health: HealthFlags,
    /// Bounds of the log's files (max-size=SIZE, max-file=NUMBER)
    #[arg(long, value_name = "OPTION")]
    log_opt: Vec<String>,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let restart = args.restart.as_deref();
    let limits = args.resources.limits()?;
    let egress: Option<Reach> = match args.egress.as_slice() {
        [] => None,
        given => Some(value("--egress", &given.join(","))?),
    };
    let change = SettingsChange {
        restart: restart.map(restart_policy).transpose()?,
        health: args.health.parse()?,
        limits: (limits != Limits::default()).then_some(limits),
        log: log_options(&args.log_opt),
        egress: egress.map(|reach| reach.to_string()),
    };
    if change == SettingsChange::default() {
        return Err(CliError::new(
            Kind::Failed,
            "you must provide one or more flags when using this command",
        ));
    }
    let engine = invocation.engine()?;
    invocation.each(&args.names, |name| {
        engine.update(&engine.find(name)?, &change)?;
        Ok(Some(name.to_owned()))
    })
}
