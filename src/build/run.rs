//! `RUN`: a container on the layers so far, whose own layer is the next.

use std::collections::BTreeMap;

use super::builder::{Builder, StageRun, now, timestamp};
use super::dockerfile::{
    Instruction, Located, Run, RunBody, RunMount, RunNetwork, RunSecurity, Source,
};
use super::error::StepError;
use super::key::KeyBuilder;
use super::layers::Row;
use super::mounts::{Mounted, Prepared};
use super::progress::Vertex;
use super::settings::Wrong;
use super::work::{Activity, DoneStep};
use crate::container::{EndpointConfig, Limits, LogDriver, NameConfig};
use crate::engine::Session;
use crate::engine::request::{
    CreateRequest, DeviceRequest, EnvironmentSources, NetworkMode, SeccompChoice, SecurityOption,
    Variable,
};
use crate::image::{Digest, Image, TempLayer};
use crate::runtime::isolation::Isolation;
use crate::runtime::rootfs::Driver;

/// BuildKit's.
const HOSTNAME: &str = "buildkitsandbox";

/// A command at work.
pub(super) struct Running {
    pub session: Session,
    pub vertex: Vertex,
    layer: TempLayer,
    key: Digest,
    row: Row,
    /// As the user wrote it.
    command: String,
    mounted: Mounted,
}

/// What a command sees, and what its row of the history says.
struct Command {
    words: Vec<String>,
    row: Row,
    environment: Vec<(String, String)>,
    network: NetworkMode,
    is_insecure: bool,
    devices: Vec<String>,
    script: Option<(String, String)>,
}

/// Begins it, unless it is known what comes of it.
pub(super) fn begin_run(
    builder: &mut Builder<'_>,
    stage: &mut StageRun,
    source: &Source,
    run: &Run,
    instruction: &Located<Instruction>,
) -> Result<(), Wrong> {
    let escape = builder.file.directives.escape;
    let devices = devices(builder, stage, source, run)?;
    let mut mounts = Vec::new();
    for mount in &run.mounts {
        let settings = builder.settings(stage, source, escape);
        let lookup = |name: &str| settings.lookup(name);
        mounts.push(source.mount(mount, escape, &lookup)?);
    }
    let command = Command {
        devices,
        ..command(builder, stage, run)?
    };
    let Some(prepared) = builder.prepare_mounts(stage, &mounts)? else {
        return Ok(());
    };
    let key = key(builder, stage, &command, &mounts, &prepared);
    let shown = run.summary().map_or_else(
        || instruction.text.clone(),
        |summary| format!("{} ({summary})", instruction.text),
    );
    if let Some(record) = builder.known(stage, &key) {
        let name = builder.step_name(stage, &shown);
        let vertex = builder.new_vertex(&name);
        builder.watcher.cached(vertex);
        builder.take_known(stage, key, record, command.row);
        return Ok(());
    }
    let Some(mounted) = builder.mount(stage, prepared, command.script.as_ref())? else {
        return Ok(());
    };
    let name = builder.step_name(stage, &shown);
    let vertex = builder.new_vertex(&name);
    let started = start(builder, stage, &command, &mounted);
    let (session, layer) = started.inspect_err(|error| {
        builder.watcher.end(vertex, Some(&error.to_string()));
    })?;
    stage.activity = Activity::Running(Box::new(Running {
        session,
        vertex,
        layer,
        key,
        row: command.row,
        command: command.words.join(" "),
        mounted,
    }));
    Ok(())
}

fn start(
    builder: &mut Builder<'_>,
    stage: &StageRun,
    command: &Command,
    mounted: &Mounted,
) -> Result<(Session, TempLayer), StepError> {
    builder.say_isolation();
    let layer = builder.new_layer()?;
    let directories = stage.draft.directories();
    let request = request(builder, stage, command, mounted);
    let base = base(stage);
    let session = builder
        .engine
        .run_step(&request, &base, &directories, &layer)?;
    Ok((session, layer))
}

fn command(builder: &Builder<'_>, stage: &StageRun, run: &Run) -> Result<Command, StepError> {
    let shell = stage.draft.shell();
    let (words, script) = match run.body() {
        RunBody::Exec(words) => (words, None),
        RunBody::Shell(text) => ([shell, vec![text]].concat(), None),
        RunBody::Script { name, content } => {
            let path = format!("/dev/pipes/{name}");
            ([shell, vec![path]].concat(), Some((name, content)))
        }
    };
    let environment = stage.arguments.over(stage.draft.variables());
    let told = stage.arguments.shown(&environment);
    let row = match told.len() {
        0 => format!("RUN {} # buildkit", words.join(" ")),
        count => format!(
            "RUN |{count} {} {} # buildkit",
            told.join(" "),
            words.join(" ")
        ),
    };
    let network = match run.network {
        RunNetwork::Default => builder.request.network.clone(),
        RunNetwork::None => NetworkMode::None,
        RunNetwork::Host if builder.request.allows.host_network => NetworkMode::Host,
        RunNetwork::Host => {
            return Err(StepError::NotAllowed {
                flag: "--network=host",
                entitlement: "network.host",
            });
        }
    };
    let is_insecure = run.security == RunSecurity::Insecure;
    if is_insecure && !builder.request.allows.insecure {
        return Err(StepError::NotAllowed {
            flag: "--security=insecure",
            entitlement: "security.insecure",
        });
    }
    Ok(Command {
        words,
        row: Row::of_files(row),
        environment,
        network,
        is_insecure,
        devices: Vec::new(),
        script,
    })
}

/// The names of those that the host has; one that it has not is missed only if it is required.
fn devices(
    builder: &Builder<'_>,
    stage: &mut StageRun,
    source: &Source,
    run: &Run,
) -> Result<Vec<String>, Wrong> {
    let escape = builder.file.directives.escape;
    let mut names = Vec::new();
    for device in &run.devices {
        let name = builder
            .settings(stage, source, escape)
            .expand(&device.name)?;
        let allows = &builder.request.allows;
        if !allows.devices && !allows.device_names.contains(&name) {
            return Err(StepError::NotAllowed {
                flag: "--device",
                entitlement: "device",
            }
            .into());
        }
        match builder.engine.has_device(&name) {
            Ok(()) => names.push(name),
            Err(error) if device.required => return Err(StepError::Engine(error).into()),
            Err(error) => builder.watcher.warn(&format!("--device: {error}")),
        }
    }
    Ok(names)
}

/// Proxies that nobody declared are not in it: where files come from is no part of what they are.
fn key(
    builder: &Builder<'_>,
    stage: &StageRun,
    command: &Command,
    mounts: &[RunMount],
    prepared: &Prepared,
) -> Digest {
    let environment = command.environment.iter();
    let mounts = mounts.iter().map(|mount| format!("{mount:?}"));
    let script = command.script.as_ref();
    KeyBuilder::new("run")
        .with(stage.draft.key.as_str())
        .with_all(&command.words)
        .with_all(environment.map(|(name, value)| format!("{name}={value}")))
        .with(stage.draft.text("WorkingDir"))
        .with(stage.draft.text("User"))
        .with(command.network.to_string())
        .with([u8::from(command.is_insecure)])
        .with_all(&command.devices)
        .with_all(mounts)
        .with_all(prepared.digests.iter().map(Digest::as_str))
        .with(
            script
                .map(|(_, content)| content.as_str())
                .unwrap_or_default(),
        )
        .with(builder.epoch_text())
        .with_all(builder.given.build_argument("BUILDKIT_SANDBOX_HOSTNAME"))
        .finish()
}

/// Nothing of the image's settings: the request says it all.
fn base(stage: &StageRun) -> Image {
    Image {
        id: stage.draft.key.clone(),
        manifest: stage.draft.key.clone(),
        names: Vec::new(),
        config: oci_spec::image::ImageConfiguration::default(),
        healthcheck: None,
        size: 0,
        created: None,
        layers: Vec::new(),
    }
}

fn request(
    builder: &Builder<'_>,
    stage: &StageRun,
    command: &Command,
    mounted: &Mounted,
) -> CreateRequest {
    let proxies = builder.given.proxies();
    let variables = proxies
        .iter()
        .chain(&command.environment)
        .chain(&mounted.variables);
    let text = |key: &str| Some(stage.draft.text(key).to_owned()).filter(|text| !text.is_empty());
    let network = builder.step_network(&command.network);
    let hostname = hostname(builder, &network);
    let mut extra_hosts = builder.request.extra_hosts.clone();
    // Programs ask for their own name; a network with an address of the step's own knows it already.
    if let (Some(name), NetworkMode::None | NetworkMode::Host) = (&hostname, &network) {
        extra_hosts.push(format!("{name}:127.0.0.1"));
    }
    let endpoints = match &network {
        NetworkMode::Named(name) => vec![EndpointConfig {
            network: name.clone(),
            ..EndpointConfig::default()
        }],
        _ => Vec::new(),
    };
    let security = match command.is_insecure {
        true => vec![SecurityOption::Seccomp(SeccompChoice::Unconfined)],
        false => Vec::new(),
    };
    CreateRequest {
        image: "build".to_owned(),
        command: command.words.clone(),
        entrypoint: Some(Vec::new()),
        env: variables
            .map(|(name, value)| Variable {
                name: name.clone(),
                value: Some(value.clone()),
            })
            .collect(),
        environment: EnvironmentSources {
            unset: vec!["HOSTNAME".to_owned()],
            ..EnvironmentSources::default()
        },
        hostname,
        workdir: text("WorkingDir"),
        user: text("User"),
        network,
        endpoints,
        privileged: command.is_insecure,
        security,
        mounts: mounted.mounts.clone(),
        devices: command
            .devices
            .iter()
            .cloned()
            .map(DeviceRequest::Named)
            .collect(),
        shm_size: builder.request.shm_size,
        ulimits: builder.request.ulimits.clone(),
        limits: Limits::default(),
        cgroup_parent: builder.request.cgroup_parent.clone(),
        log_driver: Some(LogDriver::None),
        labels: BTreeMap::new(),
        names: NameConfig {
            extra_hosts,
            ..NameConfig::default()
        },
        auto_remove: true,
        ..CreateRequest::default()
    }
}

/// Always the same, so that commands that write it down come to the same.
fn hostname(builder: &Builder<'_>, network: &NetworkMode) -> Option<String> {
    let given = builder.given.build_argument("BUILDKIT_SANDBOX_HOSTNAME");
    let joins = matches!(network, NetworkMode::Container(_));
    (!joins).then(|| given.unwrap_or(HOSTNAME).to_owned())
}

impl Builder<'_> {
    /// The same of what keeps them apart.
    fn say_isolation(&mut self) {
        if self.engine.isolation() == Isolation::Chroot
            && !std::mem::replace(&mut self.has_said_isolation, true)
            && let Some(finding) = self.engine.confinement()
        {
            self.watcher.warn(&finding.message());
        }
    }

    /// Once: that commands do not have the best that there is below them.
    fn say_driver(&mut self) {
        let choice = self.engine.storage_choice();
        // Else that was told with more.
        let is_confined = self.engine.isolation() == Isolation::Chroot;
        if !is_confined
            && choice.driver != Driver::Overlay
            && !std::mem::replace(&mut self.has_said_driver, true)
        {
            self.watcher.warn(&format!(
                "RUN has its layers stacked by {}: {}",
                choice.driver.name(),
                choice.reason
            ));
        }
    }

    /// The command has ended.
    pub(super) fn ran(
        &mut self,
        stage: &mut StageRun,
        running: Running,
        code: i32,
    ) -> Result<(), StepError> {
        let caches = &running.mounted.copied_caches;
        self.engine.take_back(&running.layer, caches)?;
        if code != 0 {
            let error = StepError::Exit {
                command: running.command,
                code,
            };
            self.watcher.end(running.vertex, Some(&error.to_string()));
            return Err(error);
        }
        self.say_driver();
        if self.engine.owes_changes(&running.layer) {
            let below = self.layer_paths(&stage.draft.directories());
            let changes = self.engine.take_changes(&running.layer, below)?;
            stage.activity = Activity::TakingChanges(changes, Box::new(running));
            return Ok(());
        }
        self.has_written(stage, running)
    }

    /// What it has changed is in its layer.
    pub(super) fn has_written(
        &mut self,
        stage: &mut StageRun,
        running: Running,
    ) -> Result<(), StepError> {
        self.watcher.end(running.vertex, None);
        let created = timestamp(self.request.epoch.unwrap_or_else(now));
        let done = DoneStep {
            layer: running.layer,
            key: running.key,
            created,
            row: running.row,
            mount_points: running.mounted.mount_points.clone(),
            was_mounted: true,
        };
        drop(running.mounted);
        self.take_layer(stage, done)
    }
}
