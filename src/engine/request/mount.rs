//! What a container gets mounted: the typed result of `-v`, `--mount` and `--tmpfs`. Pure: no path is opened here.

mod long;
mod short;
mod tmpfs;

pub(super) use tmpfs::options as tmpfs_options;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One mount; `target` is absolute, without `.` and `..`, and not `/`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub kind: MountKind,
    pub target: String,
    pub read_only: bool,
    /// Give everything in it to the container's user (`U`).
    pub chown: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    Bind(BindOptions),
    Tmpfs(TmpfsOptions),
    Volume(VolumeOptions),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeOptions {
    /// None: an anonymous one.
    pub name: Option<String>,
    /// It is another container's anonymous one, whose place the new container takes.
    pub inherited: bool,
    /// Not filled with what the image has there.
    pub no_copy: bool,
    /// Relative, without `..`; empty: all of it.
    pub subpath: String,
    /// Those of the volume, if it has to be made.
    pub labels: BTreeMap<String, String>,
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
}

/// Mounts below the source come along, and are read-only where it is: of a tree that another user namespace mounted the
/// kernel gives out no parts (mount_namespaces(7)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindOptions {
    /// Absolute; not resolved any further.
    pub source: PathBuf,
    /// `-v` makes a missing source directory; `--mount` refuses it.
    pub create_source: bool,
    pub propagation: Propagation,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

/// Options of a tmpfs; what is None stays the kernel's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TmpfsOptions {
    /// Bytes.
    pub size: Option<u64>,
    pub mode: Option<u32>,
    /// Further options of mount(8) in the order given, `noexec`, `uid=1000`; docker's `noexec,nosuid,nodev` unless
    /// the opposite was said.
    pub flags: Vec<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MountError {
    #[error("invalid volume specification: '{spec}'")]
    VolumeSpec { spec: String },
    #[error("invalid volume specification: '{spec}': invalid mode: {mode}")]
    VolumeMode { spec: String, mode: String },
    #[error(
        "invalid volume specification: '{spec}': invalid mount path: '{target}' mount path must be absolute"
    )]
    RelativeTarget { spec: String, target: String },
    #[error("invalid volume specification: '{spec}': destination can't be '/'")]
    RootTarget { spec: String },
    #[error("invalid volume subpath {subpath:?}: not a relative path inside the volume")]
    Subpath { subpath: String },
    #[error(
        "an anonymous volume has no name to find a subpath in: source is required with volume-subpath"
    )]
    AnonymousSubpath,
    #[error("mount type {kind}: {reason}")]
    KindRefused { kind: String, reason: &'static str },
    #[error("mount {spec}: {reason}")]
    Path { spec: String, reason: &'static str },
    #[error("invalid field '{field}' must be a key=value pair")]
    Field { field: String },
    #[error("unknown option '{key}' in '{field}'")]
    Key { key: String, field: String },
    #[error("invalid value for '{key}': {value}")]
    Value { key: String, value: String },
    #[error("mount type unknown: '{kind}'")]
    Kind { kind: String },
    #[error("target is required")]
    NoTarget,
    #[error("source is required for a bind mount")]
    NoSource,
    #[error("cannot mix '{option}' options with mount type '{kind}'")]
    Mixed { option: String, kind: &'static str },
    #[error("mount option {key} is not yet supported by bryo")]
    OptionLater { key: String },
    #[error(
        "mount option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction"
    )]
    ReadOnlyBelow,
    #[error("unterminated quote in mount '{spec}'")]
    Quote { spec: String },
    #[error("invalid tmpfs option {option:?}")]
    TmpfsOption { option: String },
    #[error("Duplicate mount point: {target}")]
    Duplicate { target: String },
}

impl Mount {
    /// `-v`: `source:target[:options]`; `directory` makes `./x` absolute.
    pub fn from_volume_flag(spec: &str, directory: &std::path::Path) -> Result<Mount, MountError> {
        short::parse(spec, directory)
    }

    /// `--mount type=bind,source=…,target=…`.
    pub fn from_mount_flag(spec: &str, directory: &std::path::Path) -> Result<Mount, MountError> {
        long::parse(spec, directory)
    }

    fn is_unnamed(&self) -> bool {
        matches!(&self.kind, MountKind::Volume(volume) if volume.name.is_none())
    }

    /// `--tmpfs target[:options]`.
    pub fn from_tmpfs_flag(spec: &str) -> Result<Mount, MountError> {
        tmpfs::parse(spec)
    }
}

impl TmpfsOptions {
    /// In the words of mount(8).
    pub fn mount_options(&self) -> Vec<String> {
        let mut options = self.flags.clone();
        options.extend(self.size.map(|size| format!("size={size}")));
        options.extend(self.mode.map(|mode| format!("mode={mode:o}")));
        options
    }
}

impl Propagation {
    pub fn parse(text: &str) -> Option<Propagation> {
        Some(match text {
            "rprivate" => Propagation::Rprivate,
            "private" => Propagation::Private,
            "rshared" => Propagation::Rshared,
            "shared" => Propagation::Shared,
            "rslave" => Propagation::Rslave,
            "slave" => Propagation::Slave,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Propagation::Rprivate => "rprivate",
            Propagation::Private => "private",
            Propagation::Rshared => "rshared",
            Propagation::Shared => "shared",
            Propagation::Rslave => "rslave",
            Propagation::Slave => "slave",
        }
    }
}

/// The mounts of `-v`, `--mount` and `--tmpfs` together, by docker's rules: of `--tmpfs` the last one counts, the same `-v` twice is
/// one, and an anonymous volume of `-v` is there only where nothing else is. Any other target twice is an error.
pub fn joined(
    short: Vec<Mount>,
    long: Vec<Mount>,
    tmpfs: Vec<Mount>,
) -> Result<Vec<Mount>, MountError> {
    let (unnamed, mut mounts): (Vec<Mount>, Vec<Mount>) =
        short.into_iter().partition(Mount::is_unnamed);
    let mut seen = Vec::new();
    mounts.retain(|mount| {
        !seen.contains(mount) && {
            seen.push(mount.clone());
            true
        }
    });
    mounts.extend(long);
    let is_among = |mount: &Mount, all: &[Mount]| all.iter().any(|m| m.target == mount.target);
    for (at, mount) in tmpfs.iter().enumerate() {
        if !is_among(mount, &tmpfs[at + 1..]) {
            mounts.push(mount.clone());
        }
    }
    for (at, mount) in mounts.iter().enumerate() {
        if is_among(mount, &mounts[..at]) {
            return Err(MountError::Duplicate {
                target: mount.target.clone(),
            });
        }
    }
    for mount in unnamed {
        if !is_among(&mount, &mounts) {
            mounts.push(mount);
        }
    }
    Ok(mounts)
}

/// Lexical: `/a/./b/../c/` is `/a/c`, as docker cleans targets before it looks at them.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    format!("/{}", parts.join("/"))
}

/// A cleaned target, refused if it is relative or `/`.
fn checked_target(spec: &str, target: &str) -> Result<String, MountError> {
    if !target.starts_with('/') {
        return Err(MountError::RelativeTarget {
            spec: spec.to_owned(),
            target: target.to_owned(),
        });
    }
    if target.contains('\0') {
        return Err(MountError::Path {
            spec: spec.replace('\0', "?"),
            reason: "a path has a NUL byte in it",
        });
    }
    match clean(target) {
        root if root == "/" => Err(MountError::RootTarget {
            spec: spec.to_owned(),
        }),
        target => Ok(target),
    }
}

/// True for what names a path rather than a volume: `/x`, `./x`, `../x`, `.`, `..`, `~` is a name's job of the shell.
fn is_path(source: &str) -> bool {
    source.starts_with('/')
        || source == "."
        || source == ".."
        || source.starts_with("./")
        || source.starts_with("../")
}

fn absolute(source: &str, directory: &std::path::Path) -> PathBuf {
    if source.starts_with('/') {
        return PathBuf::from(clean(source));
    }
    PathBuf::from(clean(&directory.join(source).to_string_lossy()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn targets_are_cleaned() {
        assert_eq!(clean("/a/./b//../c/"), "/a/c");
        assert_eq!(clean("/../.."), "/");
        assert!(matches!(
            checked_target("x", "/.."),
            Err(MountError::RootTarget { .. })
        ));
    }

    #[test]
    fn one_target_is_mounted_once_or_refused() {
        let volumes = |texts: &[&str]| -> Vec<Mount> {
            let parse = |text: &&str| Mount::from_volume_flag(text, Path::new("/")).unwrap();
            texts.iter().map(parse).collect()
        };
        let tmpfs = |texts: &[&str]| -> Vec<Mount> {
            let parse = |text: &&str| Mount::from_tmpfs_flag(text).unwrap();
            texts.iter().map(parse).collect()
        };
        let long = || vec![Mount::from_mount_flag("type=tmpfs,dst=/x", Path::new("/")).unwrap()];
        let refused = [
            (volumes(&["a:/x", "b:/x"]), vec![], vec![]),
            (volumes(&["a:/x", "a:/x:ro"]), vec![], vec![]),
            (volumes(&["a:/x/../x"]), long(), vec![]),
            (volumes(&["a:/x"]), vec![], tmpfs(&["/./x"])),
            (vec![], long(), tmpfs(&["/x"])),
            (vec![], [long(), long()].concat(), vec![]),
        ];
        for (short, long, tmpfs) in refused {
            let said = joined(short, long, tmpfs).unwrap_err().to_string();
            assert_eq!(said, "Duplicate mount point: /x");
        }
        let taken = [
            (
                volumes(&["a:/x", "a:/x"]),
                vec![],
                vec![],
                volumes(&["a:/x"]),
            ),
            (volumes(&["/x", "/x"]), vec![], vec![], volumes(&["/x"])),
            (volumes(&["/x", "a:/x"]), vec![], vec![], volumes(&["a:/x"])),
            (volumes(&["/x"]), long(), vec![], long()),
            (volumes(&["/x"]), vec![], tmpfs(&["/x"]), tmpfs(&["/x"])),
            (
                vec![],
                vec![],
                tmpfs(&["/x:size=1m", "/x/:size=2m"]),
                tmpfs(&["/x:size=2m"]),
            ),
        ];
        for (short, long, tmpfs, expected) in taken {
            assert_eq!(joined(short, long, tmpfs).unwrap(), expected);
        }
    }
}
