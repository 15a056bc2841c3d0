//! Where bryo keeps things: the XDG directories and what lies in them. Makes directories, reads nothing.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The four roots of DESIGN "The store"; every one is made 0700 when first used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paths {
    /// `$XDG_DATA_HOME/bryo`: images, layers, containers, names.
    pub data: PathBuf,
    /// `$XDG_CACHE_HOME/bryo`: may be deleted at any time.
    pub cache: PathBuf,
    /// `$XDG_CONFIG_HOME/bryo`: `config.toml`, `certs.d`.
    pub config: PathBuf,
    /// `$XDG_RUNTIME_DIR/bryo`: sockets and the home-namespace record; may vanish at logout with no loss.
    pub runtime: PathBuf,
    /// Why `runtime` is not below `$XDG_RUNTIME_DIR`, where it is not: shown by `info` and `doctor`.
    pub runtime_fallback: Option<RuntimeFallback>,
}

/// Why the runtime directory the session names is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RuntimeFallback {
    #[error("XDG_RUNTIME_DIR is not set")]
    Unset,
    #[error("XDG_RUNTIME_DIR names {path}, which is no directory")]
    Missing { path: PathBuf },
    #[error("XDG_RUNTIME_DIR names {path}, which is not absolute")]
    Relative { path: PathBuf },
    #[error("XDG_RUNTIME_DIR names {path}, which is too long for the sockets in it")]
    Long { path: PathBuf },
    #[error("XDG_RUNTIME_DIR names {path}, which belongs to user {owner}")]
    NotOurs { path: PathBuf, owner: u32 },
}

#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    #[error("no home directory: neither HOME nor the password database names one")]
    NoHome,
    #[error("make directory {path}: {source}")]
    Make {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("directory {path} belongs to user {owner}, not to this one")]
    ForeignOwner { path: PathBuf, owner: u32 },
}

impl Paths {
    /// Reads the environment; makes nothing yet.
    pub fn from_environment() -> Result<Paths, PathsError> {
        let base = directories::BaseDirs::new().ok_or(PathsError::NoHome)?;
        let data = base.data_dir().join("bryo");
        let (runtime, runtime_fallback) = runtime_directory(
            std::env::var_os("XDG_RUNTIME_DIR")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
                .or_else(usual_runtime),
        );
        Ok(Paths {
            cache: base.cache_dir().join("bryo"),
            config: base.config_dir().join("bryo"),
            runtime,
            runtime_fallback,
            data,
        })
    }

    pub fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    pub fn names(&self) -> PathBuf {
        self.data.join("names")
    }

    /// The lowest layer of every container.
    pub fn mount_points(&self) -> PathBuf {
        self.data.join("lowest")
    }

    /// What is out of sight and still to be deleted, and what is being made.
    pub fn trash(&self) -> PathBuf {
        self.data.join("trash")
    }

    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Manifest lists that are being put together.
    pub fn manifests(&self) -> PathBuf {
        self.data.join("manifests")
    }

    pub fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    pub fn secrets(&self) -> PathBuf {
        self.data.join("secrets")
    }

    pub fn networks(&self) -> PathBuf {
        self.data.join("networks")
    }

    /// Where the inner half of `bryo net` listens.
    pub fn net_socket(&self) -> PathBuf {
        self.runtime.join("net")
    }

    /// Held by whoever starts `bryo net`.
    pub fn net_lock(&self) -> PathBuf {
        self.runtime.join("net.lock")
    }

    pub fn layers(&self) -> PathBuf {
        self.data.join("layers")
    }

    /// What the steps of builds came to.
    pub fn build_steps(&self) -> PathBuf {
        self.cache.join("build/steps")
    }

    /// Directories that `RUN --mount=type=cache` keeps.
    pub fn build_mounts(&self) -> PathBuf {
        self.cache.join("build/mounts")
    }

    /// Files that builds have downloaded.
    pub fn build_downloads(&self) -> PathBuf {
        self.cache.join("build/downloads")
    }

    /// Digests of files that builds have read.
    pub fn build_files(&self) -> PathBuf {
        self.cache.join("build/files")
    }

    /// The store's lock: shared for whoever adds or uses, exclusive for garbage collection and migration.
    pub fn store_lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    /// Records which process holds the home namespace.
    pub fn home_record(&self) -> PathBuf {
        self.runtime.join("home")
    }

    /// Held by whoever makes the scope in which all containers are.
    pub fn cgroup_lock(&self) -> PathBuf {
        self.runtime.join("cgroup.lock")
    }

    /// Remembers that the kernel's overlay can't be used here.
    pub fn storage_fallback(&self) -> PathBuf {
        self.runtime.join("storage")
    }

    /// A monitor's socket; the short name keeps it below the 108 bytes of `sun_path`.
    pub fn monitor_socket(&self, container_hex: &str) -> PathBuf {
        self.runtime.join("m").join(&container_hex[..16])
    }

    /// Makes a directory and its parents, 0700 whatever the umask says.
    pub fn make(path: &Path) -> Result<(), PathsError> {
        if path.is_dir() {
            return Ok(());
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| PathsError::Make {
            path: path.to_owned(),
            source,
        })
    }

    /// Makes the runtime directory and refuses one that another user has prepared.
    pub fn make_runtime(&self) -> Result<(), PathsError> {
        Paths::make(&self.runtime.join("m"))?;
        match owner_of(&self.runtime) {
            Some(owner) if owner != our_uid() => Err(PathsError::ForeignOwner {
                path: self.runtime.clone(),
                owner,
            }),
            _ => Ok(()),
        }
    }
}

/// What the name of a socket may have (unix(7)), and what the longest of bryo's adds to the directory: `/bryo/ssh-` of a build
/// with a key, an id and `/agent`.
const SUN_PATH: usize = 107;
const SOCKET: usize = 32;

/// `$XDG_RUNTIME_DIR/bryo`, or a private directory below `/tmp` where that is unset, stale, no use or someone else's.
fn runtime_directory(named: Option<PathBuf>) -> (PathBuf, Option<RuntimeFallback>) {
    let reason = match named {
        None => RuntimeFallback::Unset,
        // Another directory's command would look for the containers elsewhere; the XDG rules leave such a path out of account.
        Some(path) if path.is_relative() => RuntimeFallback::Relative { path },
        Some(path) if path.as_os_str().len() + SOCKET > SUN_PATH => RuntimeFallback::Long { path },
        Some(path) => match owner_of(&path) {
            Some(owner) if owner == our_uid() => return (path.join("bryo"), None),
            Some(owner) => RuntimeFallback::NotOurs { path, owner },
            None => RuntimeFallback::Missing { path },
        },
    };
    (
        PathBuf::from(format!("/tmp/bryo-{}", our_uid())),
        Some(reason),
    )
}

/// Where a login session's is, and that of a user who lingers: cron and su set no variable for it.
fn usual_runtime() -> Option<PathBuf> {
    let path = PathBuf::from(format!("/run/user/{}", our_uid()));
    (owner_of(&path) == Some(our_uid())).then_some(path)
}

fn owner_of(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path)
        .ok()
        .filter(|meta| meta.is_dir())
        .map(|meta| meta.uid())
}

fn our_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}
