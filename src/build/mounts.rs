//! `RUN --mount`: what a command sees beside the files of its stage, and what of it is left when it has ended: nothing in the
//! layer, and what caches hold.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::builder::{Builder, StageRun};
use super::copy::{Copied, CopyStep, Origin, Unpack, copy};
use super::dockerfile::{Bind, Cache, RunMount, Secret, Sharing, Ssh};
use super::error::StepError;
use super::request::SecretSource;
use super::work::{Activity, absolute};
use crate::engine::request::{BindOptions, Mount, MountKind, Propagation, TmpfsOptions};
use crate::engine::{Job, RoleFailure};
use crate::image::{Digest, Merged, TempLayer};
use crate::runtime::home;
use crate::runtime::isolation::Isolation;
use crate::sys::copy::{Owners, copy_tree};
use crate::sys::fs::{open_directory, open_directory_readable, random_name, read_bounded};
use crate::sys::lock::{self, Guard, Mode};

/// Larger secrets are files of another kind.
const SECRET_MAX: u64 = 500 << 10;

impl SecretSource {
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            SecretSource::File(path) => read_bounded(path, SECRET_MAX),
            SecretSource::Variable(name) => match std::env::var_os(name) {
                Some(value) => Ok(value.into_encoded_bytes()),
                None => Err(io::Error::other(format!("${name} is not set"))),
            },
        }
    }
}

/// Mounts whose sources are known, before it is known whether the command has to run.
pub(super) struct Prepared {
    /// Of what is mounted from the context, a stage or an image.
    pub digests: Vec<Digest>,
    mounts: Vec<PreparedMount>,
}

enum PreparedMount {
    Bind(Box<CopyStep>, Bind),
    /// With what it begins as, and the digest of that.
    Cache(Cache, Option<Box<(CopyStep, Digest)>>),
    Secret(Secret),
    Ssh(Ssh),
    Tmpfs(Mount),
}

/// Mounts of a command at work.
#[derive(Default)]
pub(super) struct Mounted {
    pub mounts: Vec<Mount>,
    pub variables: Vec<(String, String)>,
    /// Where something empty may have been made for them.
    pub mount_points: Vec<String>,
    caches: Vec<Guard>,
    /// Directories of caches that were not mounted but copied, and where: what is there then becomes the cache.
    pub copied_caches: Vec<(PathBuf, String)>,
    copies: Vec<TempLayer>,
    private: Option<PrivateDirectory>,
}

/// A directory in the runtime directory that goes with its owner.
struct PrivateDirectory(PathBuf);

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // What can't be removed now is gone with the runtime directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Mounted {
    fn bind(&mut self, source: PathBuf, target: &str, read_only: bool) {
        self.mounts.push(Mount {
            kind: MountKind::Bind(BindOptions {
                source,
                create_source: false,
                propagation: Propagation::Rprivate,
            }),
            target: target.to_owned(),
            read_only,
            chown: false,
        });
        self.mount_points.push(target.to_owned());
    }
}

fn system(operation: &'static str) -> impl FnOnce(io::Error) -> StepError {
    move |source| StepError::System { operation, source }
}

impl Builder<'_> {
    /// None: a stage that something is mounted from has not ended.
    pub(super) fn prepare_mounts(
        &mut self,
        stage: &mut StageRun,
        mounts: &[RunMount],
    ) -> Result<Option<Prepared>, StepError> {
        let mut prepared = Prepared {
            digests: Vec::new(),
            mounts: Vec::new(),
        };
        let directory = stage.draft.text("WorkingDir").to_owned();
        for mount in mounts {
            let one = match mount {
                RunMount::Bind(bind) => {
                    let from = bind.from.as_deref();
                    let Some(origin) = self.origin(stage, from, true)? else {
                        return Ok(None);
                    };
                    let step = bind_step(origin, bind.source.as_deref());
                    prepared.digests.push(self.digest(stage, &step)?);
                    let target = absolute(&directory, &bind.target);
                    let bind = Bind {
                        target,
                        ..bind.clone()
                    };
                    PreparedMount::Bind(Box::new(step), bind)
                }
                RunMount::Cache(cache) => {
                    let mut content = None;
                    if let Some(from) = cache.from.as_deref() {
                        let Some(origin) = self.origin(stage, Some(from), true)? else {
                            return Ok(None);
                        };
                        let step = bind_step(origin, cache.source.as_deref());
                        let digest = self.digest(stage, &step)?;
                        prepared.digests.push(digest.clone());
                        content = Some(Box::new((step, digest)));
                    }
                    let target = absolute(&directory, &cache.target);
                    let cache = Cache {
                        target,
                        ..cache.clone()
                    };
                    PreparedMount::Cache(cache, content)
                }
                RunMount::Secret(secret) => PreparedMount::Secret(secret.clone()),
                RunMount::Ssh(ssh) => PreparedMount::Ssh(ssh.clone()),
                RunMount::Tmpfs(tmpfs) => PreparedMount::Tmpfs(Mount {
                    kind: MountKind::Tmpfs(TmpfsOptions {
                        size: tmpfs.size,
                        mode: None,
                        flags: Vec::new(),
                    }),
                    target: absolute(&directory, &tmpfs.target),
                    read_only: false,
                    chown: false,
                }),
            };
            prepared.mounts.push(one);
        }
        Ok(Some(prepared))
    }

    /// Of what a mount would show; nothing is written.
    fn digest(&mut self, stage: &StageRun, step: &CopyStep) -> Result<Digest, StepError> {
        let target = self.copy_target_of(stage, "");
        let copied = self.engine.in_home("worker", || {
            copy(step, &target.borrowed()).map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        match copied {
            Copied::Known { key, .. } | Copied::Made { key, .. } => Ok(key),
        }
    }

    /// Makes the mounts; `script` is a file with its content that the command is.
    pub(super) fn mount(
        &mut self,
        stage: &mut StageRun,
        prepared: Prepared,
        script: Option<&(String, String)>,
    ) -> Result<Option<Mounted>, StepError> {
        let mut mounted = Mounted::default();
        for (number, mount) in prepared.mounts.into_iter().enumerate() {
            match mount {
                PreparedMount::Bind(step, bind) => {
                    self.mount_bind(stage, &step, &bind, &mut mounted)?
                }
                PreparedMount::Tmpfs(tmpfs) => {
                    mounted.mount_points.push(tmpfs.target.clone());
                    mounted.mounts.push(tmpfs);
                }
                PreparedMount::Cache(cache, content) => {
                    let content = content.as_deref();
                    let busy = self.mount_cache(stage, &cache, content, &mut mounted)?;
                    if let Some((lock, mode)) = busy {
                        stage.activity = Activity::Locked(self.wait_for(lock, mode)?);
                        return Ok(None);
                    }
                }
                PreparedMount::Secret(secret) => {
                    self.mount_secret(number, &secret, &mut mounted)?
                }
                PreparedMount::Ssh(ssh) => self.mount_agent(number, &ssh, &mut mounted)?,
            }
        }
        if let Some((name, content)) = script {
            let content = crate::sys::text::bytes(content);
            let file = self.private_file(&mut mounted, "script", &content, 0o755)?;
            mounted.bind(file, &format!("/dev/pipes/{name}"), true);
        }
        Ok(Some(mounted))
    }

    fn mount_bind(
        &mut self,
        stage: &StageRun,
        step: &CopyStep,
        bind: &Bind,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        if bind.read_only
            && let Origin::Tree { path, ignore: None } = &step.origin
        {
            let source = real_path(path, step).map_err(system("look at what is to be mounted"))?;
            mounted.bind(source, &bind.target, true);
            return Ok(());
        }
        // What a command writes into a mount must not reach where it came from, and what is ignored is not there.
        let copy_of = self.new_layer()?;
        let target = self.copy_target_of(stage, copy_of.name()).anew();
        self.engine.in_home("worker", || {
            copy(step, &target.borrowed()).map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        mounted.bind(copy_of.path().join("mount"), &bind.target, bind.read_only);
        mounted.copies.push(copy_of);
        Ok(())
    }

    /// Ends when this lock can be had.
    fn wait_for(&mut self, lock: PathBuf, mode: Mode) -> Result<Job<()>, StepError> {
        self.keep_home()?;
        let waiting = self.engine.start_in_home("worker", move || {
            let free = lock::lock(&lock, mode);
            free.map(drop)
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        });
        Ok(waiting?)
    }

    /// What is given back is the lock of a cache that only one may have, and somebody else has.
    fn mount_cache(
        &mut self,
        stage: &StageRun,
        cache: &Cache,
        content: Option<&(CopyStep, Digest)>,
        mounted: &mut Mounted,
    ) -> Result<Option<(PathBuf, Mode)>, StepError> {
        let id = cache.id.as_deref().unwrap_or(&cache.target);
        let id = match self.given.build_argument("BUILDKIT_CACHE_MOUNT_NS") {
            Some(space) => format!("{space}/{id}"),
            None => id.to_owned(),
        };
        // One that began as something else is another.
        let full = match content {
            Some((_, digest)) => format!("{id}\n{digest}"),
            None => match (cache.mode, cache.uid, cache.gid) {
                (None, None, None) => id.clone(),
                looks => format!("{id}\n{looks:?}"),
            },
        };
        let caches = self.engine.paths.build_mounts();
        let failed = || system("make a cache directory");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&caches)
            .map_err(failed())?;
        let name = Digest::of(full.as_bytes()).hex().to_owned();
        let is_confined = self.engine.isolation() == Isolation::Chroot;
        let mut number = 0;
        let (directory, lock, guard) = loop {
            let directory = match number {
                0 => caches.join(&name),
                number => caches.join(format!("{name}.{number}")),
            };
            let mode = match cache.sharing {
                Sharing::Shared if !is_confined => Mode::Shared,
                // Two copies could not become one again.
                Sharing::Shared => Mode::Exclusive,
                Sharing::Private | Sharing::Locked => Mode::Exclusive,
            };
            let lock = directory.with_extension(format!("{number}.lock"));
            match lock::try_lock(&lock, mode).map_err(system("lock a cache directory"))? {
                Some(guard) => break (directory, lock, guard),
                None if cache.sharing == Sharing::Private => number += 1,
                None => return Ok(Some((lock, mode))),
            }
        };
        if !directory.exists() {
            // For whoever looks at the cache.
            fs::write(&lock, &id).map_err(system("name a cache directory"))?;
            match content {
                Some((step, _)) => self.fill_cache(stage, step, &directory)?,
                None => self.make_cache(cache, &directory)?,
            }
        }
        let used = fs::File::open(&lock).and_then(|file| file.set_modified(SystemTime::now()));
        used.map_err(system("note the use of a cache directory"))?;
        mounted.caches.push(guard);
        if is_confined && !cache.read_only {
            let copied = (directory.clone(), cache.target.clone());
            mounted.copied_caches.push(copied);
        }
        mounted.bind(directory, &cache.target, cache.read_only);
        Ok(None)
    }

    /// Owners and modes are those of what it begins as.
    fn fill_cache(
        &mut self,
        stage: &StageRun,
        step: &CopyStep,
        directory: &Path,
    ) -> Result<(), StepError> {
        let copied = self.new_layer()?;
        let target = self.copy_target_of(stage, copied.name()).anew();
        let content = copied.path().join("mount");
        let scratch = scratch_of(directory);
        self.engine.in_home("worker", || {
            let owners = match home::is_single_id() {
                true => Owners::Single,
                false => Owners::Kept,
            };
            copy(step, &target.borrowed()).map_err(|error| RoleFailure::of(&error, Vec::new()))?;
            // The cache may be on another file system than the store.
            let made = fs::create_dir(&scratch).and_then(|()| {
                let (from, to) = (open_directory(&content)?, open_directory(&scratch)?);
                let from = open_directory_readable(from)?;
                copy_tree(from.as_fd(), to.as_fd(), owners)?;
                settle_cache(&scratch, directory)
            });
            made.map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        Ok(())
    }

    fn make_cache(&self, cache: &Cache, directory: &Path) -> Result<(), StepError> {
        let (uid, gid) = (cache.uid.unwrap_or(0), cache.gid.unwrap_or(0));
        let mode = cache.mode.unwrap_or(0o755);
        let scratch = scratch_of(directory);
        self.engine.in_home("worker", || {
            let made = fs::create_dir(&scratch)
                .and_then(|()| std::os::unix::fs::chown(&scratch, Some(uid), Some(gid)))
                .and_then(|()| {
                    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
                    fs::set_permissions(&scratch, mode)
                })
                .and_then(|()| settle_cache(&scratch, directory));
            made.map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        Ok(())
    }

    fn mount_secret(
        &self,
        number: usize,
        secret: &Secret,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        let failed = |source| StepError::ReadSecret {
            id: secret.id.clone(),
            source,
        };
        let content = match self.request.secrets.get(&secret.id) {
            Some(source) => source.read().map_err(failed)?,
            None if secret.required => {
                let id = secret.id.clone();
                return Err(StepError::NoSecret { id });
            }
            None => return Ok(()),
        };
        if let Some(name) = &secret.env {
            let value = crate::sys::text::from_bytes(&content).into_owned();
            mounted.variables.push((name.clone(), value));
        }
        let Some(target) = &secret.target else {
            return Ok(());
        };
        let mode = secret.mode.unwrap_or(0o400);
        let name = format!("secret-{number}");
        let file = self.private_file(mounted, &name, &content, mode)?;
        self.give(&file, secret.uid, secret.gid)?;
        mounted.bind(file, &absolute("/", target), true);
        Ok(())
    }

    fn mount_agent(
        &self,
        number: usize,
        ssh: &Ssh,
        mounted: &mut Mounted,
    ) -> Result<(), StepError> {
        let Some(socket) = self.request.agents.get(&ssh.id) else {
            return match ssh.required {
                true => Err(StepError::NoAgent { id: ssh.id.clone() }),
                false => Ok(()),
            };
        };
        let usual = format!("/run/buildkit/ssh_agent.{number}");
        let target = ssh.target.clone().unwrap_or(usual);
        let target = absolute("/", &target);
        let variable = "SSH_AUTH_SOCK".to_owned();
        if !mounted.variables.iter().any(|(name, _)| *name == variable) {
            mounted.variables.push((variable, target.clone()));
        }
        mounted.bind(socket.clone(), &target, false);
        Ok(())
    }

    fn give(&self, file: &Path, uid: Option<u32>, gid: Option<u32>) -> Result<(), StepError> {
        let (uid, gid) = (uid.unwrap_or(0), gid.unwrap_or(0));
        if (uid, gid) == (0, 0) {
            return Ok(());
        }
        self.engine.in_home("worker", || {
            std::os::unix::fs::chown(file, Some(uid), Some(gid))
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        Ok(())
    }

    /// A file in a directory that nobody else reads and that is gone when the command has ended.
    fn private_file(
        &self,
        mounted: &mut Mounted,
        name: &str,
        content: &[u8],
        mode: u32,
    ) -> Result<PathBuf, StepError> {
        let failed = || system("write a file for a mount");
        if mounted.private.is_none() {
            let path = self
                .engine
                .paths
                .runtime
                .join(format!("build-{}", random_name()));
            let mut made = fs::DirBuilder::new();
            made.recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(failed())?;
            mounted.private = Some(PrivateDirectory(path));
        }
        let directory = mounted.private.as_ref().expect("it was just made");
        let path = directory.0.join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path);
        let written = file.and_then(|mut file| {
            io::Write::write_all(&mut file, content)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
        });
        written.map_err(failed())?;
        Ok(path)
    }
}

/// What is left of one that was killed is known by whose it is.
fn scratch_of(directory: &Path) -> PathBuf {
    let mut scratch = directory.as_os_str().to_owned();
    scratch.push(format!(".tmp-{}", random_name()));
    PathBuf::from(scratch)
}

fn settle_cache(scratch: &Path, directory: &Path) -> io::Result<()> {
    match fs::rename(scratch, directory) {
        // Another build was quicker.
        Err(_) if directory.exists() => fs::remove_dir_all(scratch),
        renamed => renamed,
    }
}

/// A mount as the copy that it would be.
fn bind_step(origin: Origin, source: Option<&str>) -> CopyStep {
    CopyStep {
        origin,
        sources: vec![source.unwrap_or("/").to_owned()],
        inline: Vec::new(),
        destination: "/mount".to_owned(),
        into_directory: false,
        chown: None,
        chmod: None,
        chmod_text: String::new(),
        link: true,
        parents: false,
        exclude: Vec::new(),
        unpack: Unpack::Nothing,
        fetched: Vec::new(),
        epoch: None,
    }
}

/// Where in the context a source really is: links lead nowhere else.
fn real_path(context: &Path, step: &CopyStep) -> io::Result<PathBuf> {
    let tree = Merged::plain(context)?;
    let resolved = tree.resolve(step.sources[0].as_bytes(), true)?;
    Ok(resolved.below(context))
}
