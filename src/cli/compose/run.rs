//! `compose run`: one more container of a service, for one task.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::Globals;
use super::images::{ImageWords, images};
use super::project::{choose, failed};
use super::up::make;
use crate::cli::Invocation;
use crate::cli::attachment::Attachment;
use crate::cli::container_flags::{any_bytes, environment};
use crate::cli::error::{CliError, Kind};
use crate::compose::execute::{Executor, Orders, Wish};
use crate::compose::model::Service;
use crate::compose::{Project, fingerprint};
use crate::engine::request::{CreateRequest, Label, Mount, RunRequest};
use crate::net::ports::PortSpec;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Service, then the program and its arguments (everything after SERVICE belongs to them)
    #[arg(required = true, trailing_var_arg = true, value_names = ["SERVICE", "COMMAND"], value_parser = any_bytes())]
    words: Vec<String>,
    /// Build the image before
    #[arg(long)]
    build: bool,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Run in the background and print the container's id
    #[arg(short, long)]
    detach: bool,
    /// Program to start instead of the service's entrypoint
    #[arg(long, value_name = "PROGRAM", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Set a variable (KEY=VALUE), or hand on the host's (KEY)
    #[arg(short, long, value_name = "VARIABLE", value_parser = any_bytes())]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,
    /// Keep standard input open
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    interactive: bool,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// Give the program no terminal (it gets one where there is one)
    #[arg(short = 'T', long = "no-TTY", alias = "no-tty")]
    no_tty: bool,
    /// Leave the services alone that this one needs
    #[arg(long)]
    no_deps: bool,
    /// Publish a port ([[IP:]HOST:]CONTAINER[/PROTOCOL])
    #[arg(short, long, value_name = "PORT", conflicts_with = "service_ports")]
    publish: Vec<String>,
    /// When to ask the registry: always, missing, never
    #[arg(long, value_name = "POLICY")]
    pull: Option<String>,
    /// Show nothing but the program's output
    #[arg(short, long)]
    quiet: bool,
    /// Show nothing of builds
    #[arg(long)]
    quiet_build: bool,
    /// Show nothing of pulls
    #[arg(long)]
    quiet_pull: bool,
    /// Remove the containers of services that the files do not have
    #[arg(long)]
    remove_orphans: bool,
    /// Remove the container when it ends
    #[arg(long)]
    rm: bool,
    /// Publish the ports that the service has
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Be found by the service's names
    #[arg(long)]
    use_aliases: bool,
    /// User and group, names or numbers (USER[:GROUP])
    #[arg(short, long)]
    user: Option<String>,
    /// Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
}

impl Args {
    fn service(&self) -> &String {
        &self.words[0]
    }

    /// The service as it is for this one container.
    fn changed(&self, service: &Service) -> Result<Service, CliError> {
        let mut changed = Service {
            container_name: String::new(),
            tty: !self.no_tty && !self.detach && std::io::stdout().is_terminal(),
            stdin_open: self.interactive,
            ..service.clone()
        };
        if !self.service_ports {
            changed.ports.clear();
        }
        if let [_, command @ ..] = self.words.as_slice()
            && !command.is_empty()
        {
            changed.command = Some(command.to_vec());
        }
        if let Some(text) = &self.entrypoint {
            changed.entrypoint = Some(split(text)?);
            if self.words.len() == 1 {
                changed.command = None;
            }
        }
        for variable in environment(&self.env_from_file, &self.env)? {
            changed.environment.insert(variable.name, variable.value);
        }
        for text in &self.label {
            let label: Label = crate::cli::container_flags::value("-l, --label", text)?;
            changed.labels.insert(label.key, label.value);
        }
        if let Some(user) = &self.user {
            changed.user.clone_from(user);
        }
        if let Some(workdir) = &self.workdir {
            changed.working_dir.clone_from(workdir);
        }
        changed.cap_add.extend(self.cap_add.iter().cloned());
        changed.cap_drop.extend(self.cap_drop.iter().cloned());
        Ok(changed)
    }

    /// What the service's keys have no words for.
    fn add_to(&self, request: &mut CreateRequest) -> Result<(), CliError> {
        let directory = std::env::current_dir().map_err(|error| CliError::failed(&error))?;
        for text in &self.volume {
            let mount = Mount::from_volume_flag(text, &directory);
            let mount = mount.map_err(|error| CliError::usage(error.to_string()))?;
            request.mounts.retain(|known| known.target != mount.target);
            request.mounts.push(mount);
        }
        for text in &self.publish {
            let spec: Result<PortSpec, _> = text.parse();
            let spec = spec.map_err(|error| CliError::usage(error.to_string()))?;
            request.ports.push(spec.to_string());
        }
        request.auto_remove = self.rm;
        request.attach = self.detach.then(Vec::new);
        Ok(())
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let named = vec![args.service().clone()];
    let mut project = globals.load(&named, invocation)?;
    choose(&project, &named, false)?;
    let service = args.changed(&project.services[args.service()])?;
    let engine = invocation.engine()?;
    let globals = Globals {
        progress: match args.quiet {
            true => Some("quiet".to_owned()),
            false => globals.progress.clone(),
        },
        ..globals.clone()
    };
    let progress = globals.told(&invocation.ui)?;
    let words = ImageWords {
        build: args.build,
        pull: args.pull.clone(),
        quiet_pull: args.quiet_pull || args.quiet,
        quiet_build: args.quiet_build || args.quiet,
        ..ImageWords::default()
    };
    let shown = (&progress, invocation);
    prepare(
        args,
        &globals.executor(&engine, &project, &progress),
        &words,
        shown,
    )?;
    let hash = fingerprint::service(&project, &service);
    project.services.insert(service.name.clone(), service);
    let executor = globals.executor(&engine, &project, &progress);
    let chosen: BTreeSet<String> = named.into_iter().collect();
    // What was built before is there.
    let again = ImageWords {
        build: false,
        pull: None,
        ..words
    };
    let found = images(&executor, &chosen, &again, shown)?;
    if globals.dry_run {
        return Ok(0);
    }
    let image = &found[args.service()];
    let name = args.name.clone();
    let (mut request, warnings) = executor
        .oneoff(args.service(), name, (&hash, image), args.use_aliases)
        .map_err(failed)?;
    warnings.iter().for_each(|text| invocation.ui.warning(text));
    args.add_to(&mut request)?;
    let request = RunRequest {
        create: request,
        detach: args.detach,
        sig_proxy: true,
        detach_keys: None,
    };
    let attachment = Attachment::of(&request)?;
    let started = engine.run(&request.create, image, None, attachment.options());
    let (record, session) = started.map_err(|error| CliError::engine(Kind::Engine, &error))?;
    if args.detach {
        invocation.ui.line(record.id.as_str())?;
        return Ok(0);
    }
    attachment.follow(session, &engine, Kind::Engine)
}

/// What the service needs is made and started; its own networks and volumes are made.
fn prepare(
    args: &Args,
    executor: &Executor<'_>,
    words: &ImageWords,
    shown: (&super::progress::Progress<'_>, &Invocation),
) -> Result<(), CliError> {
    let project: &Project = executor.project;
    let own: BTreeSet<String> = [args.service().clone()].into();
    let mut needed = match args.no_deps {
        true => BTreeSet::new(),
        false => choose(project, &[args.service().clone()], true)?,
    };
    needed.remove(args.service());
    let mut all = needed.clone();
    all.extend(own.clone());
    let mut found = images(executor, &all, words, shown)?;
    found.remove(args.service());
    let wish = Wish {
        images: found,
        chosen: needed.clone(),
        named: needed,
        remove_orphans: args.remove_orphans,
        ..Wish::default()
    };
    let mut never = |_: &str| false;
    executor.make_resources(&own, &mut never).map_err(failed)?;
    let members = make(executor, &wish, shown.1)?;
    if args.no_deps {
        return Ok(());
    }
    // The service itself is none of those that start, but what it waits for is waited for.
    let orders = Orders {
        members,
        chosen: wish.chosen,
        meets: own,
        ..Orders::default()
    };
    executor.start(&orders).map(drop).map_err(failed)
}

/// Words as a shell parts them.
fn split(text: &str) -> Result<Vec<String>, CliError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), _) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next().unwrap_or('\\');
                word.get_or_insert_default().push(next);
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        None => Ok(words),
        Some(_) => Err(CliError::usage(format!("unterminated quote in {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_a_shell_does() {
        let words = |text: &str| split(text).unwrap_or_default();
        assert_eq!(words("sh -c 'echo a  b'"), ["sh", "-c", "echo a  b"]);
        assert_eq!(words("a\\ b \"c \\\"d\" ''"), ["a b", "c \"d", ""]);
        assert!(split("'a").is_err());
    }
}
