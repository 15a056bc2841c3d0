//! `compose up`.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::time::Duration;

use super::Globals;
use super::images::{ImageWords, images};
use super::project::{choose, failed, is_set, scales, stop_timeout, timeout};
use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::compose::Project;
use crate::compose::execute::{Cascade, Ended, ExecuteError, Executor, Follow, Orders, Wish};
use crate::compose::plan::Recreate;

// What `up` and `create` have in common.
#[derive(clap::Args, Debug)]
pub struct MakeFlags {
    /// Services that are meant, with those that they need (default: all)
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Build the images before
    #[arg(long, conflicts_with = "no_build")]
    pub build: bool,
    /// Build no image, even if it is missing
    #[arg(long)]
    pub no_build: bool,
    /// Make the containers anew, also where nothing has changed
    #[arg(long, conflicts_with = "no_recreate")]
    pub force_recreate: bool,
    /// Leave containers as they are, also where something has changed
    #[arg(long)]
    pub no_recreate: bool,
    /// When to ask the registry: always, missing, never, build
    #[arg(long, value_name = "POLICY")]
    pub pull: Option<String>,
    /// Show nothing of pulls
    #[arg(long)]
    pub quiet_pull: bool,
    /// Remove the containers of services that the files do not have
    #[arg(long)]
    pub remove_orphans: bool,
    /// So many containers of a service, whatever the file says
    #[arg(long, value_name = "SERVICE=NUM")]
    pub scale: Vec<String>,
    /// Answer every question with yes
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    make: MakeFlags,
    /// End all containers when one ends
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_exit: bool,
    /// End all containers when one ends with a failure
    #[arg(long, conflicts_with = "detach")]
    abort_on_container_failure: bool,
    /// Make also those anew that others need
    #[arg(long, conflicts_with = "no_recreate")]
    always_recreate_deps: bool,
    /// Show the output of these services alone
    #[arg(long, value_name = "SERVICE", conflicts_with = "attach_dependencies")]
    attach: Vec<String>,
    /// Show also the output of services that others need
    #[arg(long)]
    attach_dependencies: bool,
    /// Leave the containers running and return
    #[arg(short, long)]
    detach: bool,
    /// End with the exit code of this service's container, when one ends
    #[arg(long, value_name = "SERVICE", conflicts_with = "detach")]
    exit_code_from: Option<String>,
    /// Show not the output of these services
    #[arg(long, value_name = "SERVICE")]
    no_attach: Vec<String>,
    /// No colours
    #[arg(long)]
    no_color: bool,
    /// Leave the services alone that others need
    #[arg(long)]
    no_deps: bool,
    /// Do not say before each line whose it is
    #[arg(long)]
    no_log_prefix: bool,
    /// Make the containers and do not start them
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    no_start: bool,
    /// Show nothing of builds
    #[arg(long)]
    quiet_build: bool,
    /// Give containers that are made anew new anonymous volumes
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Seconds before a container that has to end is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// Say when each line was written
    #[arg(long)]
    timestamps: bool,
    /// Wait until the services run or are healthy, and return
    #[arg(long)]
    wait: bool,
    /// Wait so many seconds at the most
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    wait_timeout: Option<String>,
}

impl MakeFlags {
    pub fn recreate(&self) -> Recreate {
        match (self.force_recreate, self.no_recreate) {
            (true, _) => Recreate::Always,
            (_, true) => Recreate::Never,
            _ => Recreate::Diverged,
        }
    }

    pub fn image_words(&self, quiet_build: bool) -> ImageWords {
        ImageWords {
            build: self.build,
            no_build: self.no_build,
            pull: self.pull.clone(),
            quiet_pull: self.quiet_pull,
            quiet_build,
        }
    }

    /// What is to be made; the images are still to be found.
    pub fn wish(&self, project: &Project, chosen: BTreeSet<String>) -> Result<Wish, CliError> {
        let named = match self.services.as_slice() {
            [] => chosen.clone(),
            named => named.iter().cloned().collect(),
        };
        Ok(Wish {
            named,
            chosen,
            scale: scales(project, &self.scale)?,
            recreate: self.recreate(),
            recreate_needed: match self.no_recreate {
                true => Recreate::Never,
                false => Recreate::Diverged,
            },
            remove_orphans: self.remove_orphans || is_set("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: is_set("COMPOSE_IGNORE_ORPHANS"),
            assume_yes: self.yes,
            ..Wish::default()
        })
    }
}

/// Makes networks, volumes and containers.
pub fn make(
    executor: &Executor<'_>,
    wish: &Wish,
    invocation: &Invocation,
) -> Result<std::collections::BTreeMap<String, Vec<String>>, CliError> {
    let mut replace = |volume: &str| wish.assume_yes || asked(volume, invocation);
    executor
        .make_resources(&wish.chosen, &mut replace)
        .map_err(failed)?;
    executor.make(wish).map_err(failed)
}

/// Where nobody could answer, the data stays.
fn asked(volume: &str, invocation: &Invocation) -> bool {
    if !std::io::stdin().is_terminal() {
        invocation.ui.warning(&format!(
            "volume {volume:?} exists but doesn't match configuration in compose file; it stays as it is (-y makes it anew, and its data is lost)"
        ));
        return false;
    }
    let mut err = std::io::stderr().lock();
    let question = format!(
        "Volume {volume:?} exists but doesn't match configuration in compose file. Recreate (data will be lost)? [y/N] "
    );
    let _ = err.write_all(question.as_bytes());
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}

impl Args {
    fn check(&self) -> Result<(), CliError> {
        if self.abort_on_container_exit && self.abort_on_container_failure {
            return Err(CliError::usage(
                "cannot combine --abort-on-container-exit with --abort-on-container-failure",
            ));
        }
        Ok(())
    }

    fn detaches(&self) -> bool {
        self.detach || self.wait
    }

    fn follow(&self, project: &Project, chosen: &BTreeSet<String>) -> Result<Follow, CliError> {
        let cascade = match (
            self.abort_on_container_exit || self.exit_code_from.is_some(),
            self.abort_on_container_failure,
        ) {
            (_, true) => Cascade::StopOnFailure,
            (true, _) => Cascade::Stop,
            _ => Cascade::Nothing,
        };
        for name in self
            .attach
            .iter()
            .chain(&self.no_attach)
            .chain(&self.exit_code_from)
        {
            if !project.services.contains_key(name) {
                let name = name.clone();
                return Err(failed(ExecuteError::NoService { name }));
            }
        }
        let named = &self.make.services;
        let shows = |name: &&String| {
            let by_file = project.services[*name].attach.unwrap_or(true);
            let by_flags = match (self.attach.as_slice(), named.as_slice()) {
                ([], []) => by_file,
                ([], named) => by_file && (self.attach_dependencies || named.contains(name)),
                (some, _) => some.contains(name),
            };
            by_flags && !self.no_attach.contains(name)
        };
        Ok(Follow {
            attach: chosen.iter().filter(shows).cloned().collect(),
            cascade,
            exit_from: self.exit_code_from.clone(),
            timeout: timeout(self.timeout.as_deref())?,
        })
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    args.check()?;
    let project = globals.load(&args.make.services, invocation)?;
    let engine = invocation.engine()?;
    let mut progress = globals.told(&invocation.ui)?;
    progress.prefix = !args.no_log_prefix;
    progress.prefixes.get_mut().colours &= !args.no_color;
    progress.timestamps = args.timestamps;
    let executor = globals.executor(&engine, &project, &progress);
    let chosen = choose(&project, &args.make.services, !args.no_deps)?;
    let seconds = timeout(args.timeout.as_deref())?;
    let wait_timeout = args.wait_timeout.as_deref();
    let wait_timeout = wait_timeout
        .map(|text| value::<u64>("--wait-timeout", text))
        .transpose()?;
    let follow = match args.detaches() {
        true => None,
        false => Some(args.follow(&project, &chosen)?),
    };
    let mut wish = args.make.wish(&project, chosen)?;
    wish.timeout = stop_timeout(seconds);
    wish.renew_volumes = args.renew_anon_volumes;
    if args.always_recreate_deps {
        wish.recreate_needed = Recreate::Always;
    }
    let words = args.make.image_words(args.quiet_build);
    wish.images = images(&executor, &wish.chosen, &words, (&progress, invocation))?;
    let members = make(&executor, &wish, invocation)?;
    if args.no_start {
        return Ok(0);
    }
    let orders = Orders {
        members,
        chosen: wish.chosen,
        wait: args.wait.then(|| wait_timeout.map(Duration::from_secs)),
        follow: follow.filter(|_| !globals.dry_run),
        ..Orders::default()
    };
    match executor.start(&orders).map_err(failed)? {
        Ended::Started => Ok(0),
        Ended::Exited(code) => Ok(code as u8),
        Ended::Interrupted => Err(CliError::said(Kind::Interrupted(2))),
    }
}
