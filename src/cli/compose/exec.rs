//! `compose exec`: one more program in a running container of a service.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::found::{self, failed};
use super::{Globals, Invocation};
use crate::cli::container_flags::{any_bytes, environment};
use crate::cli::error::CliError;
use crate::cli::exec;
use crate::engine::request::ExecRequest;
use crate::monitor::Attach;
use crate::runtime::enter::ProgramChoice;
use crate::runtime::preserved::Preserved;
use crate::sys::terminal;

#[derive(clap::Args, Debug)]
#[command(override_usage = "bryo compose exec [OPTIONS] SERVICE COMMAND [ARGS...]")]
pub struct Args {
    /// Service, then the program and its arguments (everything after SERVICE belongs to them)
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_names = ["SERVICE", "COMMAND"], value_parser = any_bytes())]
    words: Vec<String>,
    /// Run in the background
    #[arg(short, long)]
    detach: bool,
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", allow_hyphen_values = true, value_parser = any_bytes())]
    env: Vec<String>,
    /// Which of the service's containers
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    index: u32,
    /// Give the program no terminal (default: it has one where standard output is one)
    #[arg(short = 'T', long, visible_alias = "no-TTY", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_tty: Option<bool>,
    /// Give the program all capabilities that a container can have
    #[arg(long)]
    privileged: bool,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR", value_parser = any_bytes())]
    workdir: Option<String>,
    /// Keep standard input open (`--interactive=false` closes it)
    #[arg(short, long, hide = true, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    interactive: bool,
    /// Give the program a terminal where standard output is one, as without it
    #[arg(short, long, hide = true)]
    tty: bool,
}

impl Args {
    /// The service, and what to execute in its container.
    fn request(
        &self,
        globals: &Globals,
        invocation: &Invocation,
    ) -> Result<(String, ExecRequest), CliError> {
        let mut words = self.words.iter().cloned();
        let service = words.next().unwrap_or_default();
        let terminal = !self.no_tty.unwrap_or(!invocation.ui.stdout_is_terminal);
        let program = ProgramChoice {
            args: words.collect(),
            env: self.variables(globals, invocation)?,
            cwd: self.workdir.clone(),
            user: self.user.clone(),
            terminal,
            privileged: self.privileged,
        };
        let attach = Attach {
            stdin: self.interactive && !self.detach,
            stdout: !self.detach,
            stderr: !self.detach,
        };
        let size = terminal::size(std::io::stdout().as_fd());
        let request = ExecRequest {
            program,
            attach,
            terminal_size: size.filter(|_| terminal && !self.detach),
        };
        Ok((service, request))
    }

    /// What the host has not set may stand in the project's `.env`.
    fn variables(
        &self,
        globals: &Globals,
        invocation: &Invocation,
    ) -> Result<Vec<String>, CliError> {
        let mut changes = environment(&[], &self.env)?;
        if changes.iter().any(|change| change.value.is_none())
            && let Ok(project) = globals.look(&[], invocation)
        {
            for change in &mut changes {
                let known = || project.environment.get(&change.name).cloned();
                change.value = change.value.take().or_else(known);
            }
        }
        let set = |change: crate::engine::request::Variable| {
            Some(format!("{}={}", change.name, change.value?))
        };
        Ok(changes.into_iter().filter_map(set).collect())
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let (service, request) = args.request(globals, invocation)?;
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let container = found::running_one(&engine, &name, &service, args.index)?;
    if globals.dry_run {
        return match args.detach {
            true => Ok(0),
            false => Err(failed("interactive exec is not supported in dry-run mode")),
        };
    }
    let typed = request.attach.stdin && request.program.terminal;
    if typed && !std::io::stdin().is_terminal() {
        return Err(failed("the input device is not a TTY")
            .hint(format!("bryo compose exec -T {service} …")));
    }
    let preserved = Preserved::default();
    exec::execute(&engine, &container.record, &request, None, &preserved)
}
