//! What the container sees of files: mounts, and how its root may be written. Never looks at a source.

use std::path::{Path, PathBuf};

use super::value;
use crate::cli::error::CliError;
use crate::config::Size;
use crate::engine::request::{CreateRequest, Mount, MountError, joined, parse_secret};

#[derive(clap::Args, Debug)]
pub struct StorageFlags {
    /// Mount a volume, a directory or a file ([SOURCE:]TARGET[:OPTIONS])
    #[arg(short, long, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Driver of the volumes that are made: only `local` exists
    #[arg(long, value_name = "DRIVER")]
    volume_driver: Option<String>,
    /// Mount what other containers mount (CONTAINER[:ro])
    #[arg(long, value_name = "CONTAINER")]
    volumes_from: Vec<String>,
    /// Hand in a secret (SECRET[,type=mount|env][,target=...][,uid=...][,gid=...][,mode=...])
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Attach a mount (type=volume|bind|tmpfs,source=...,target=...)
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Mount a tmpfs (TARGET[:OPTIONS])
    #[arg(long, value_name = "TMPFS")]
    tmpfs: Vec<String>,
    /// Make the container's root filesystem read-only
    #[arg(long)]
    read_only: bool,
    /// With --read-only: let /run, /tmp and /var/tmp be written, as a tmpfs each
    #[arg(long)]
    read_only_tmpfs: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    shm_size: Option<String>,
}

impl StorageFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        request.mounts = mounts(&self.volume, &self.mount, &self.tmpfs, &directory)?;
        request.volume_driver = self.volume_driver;
        for text in &self.volumes_from {
            request.volumes_from.push(value("--volumes-from", text)?);
        }
        for text in &self.secret {
            let secret = parse_secret(text);
            let secret = secret.map_err(|error| CliError::argument("--secret", text, &error))?;
            request.secrets.push(secret);
        }
        if self.read_only_tmpfs && !self.read_only {
            return Err(CliError::usage("--read-only-tmpfs needs --read-only"));
        }
        if self.read_only_tmpfs {
            for target in WRITABLE {
                if !request.mounts.iter().any(|mount| mount.target == target) {
                    let mount = Mount::from_tmpfs_flag(target);
                    request.mounts.push(mount.expect("the target is absolute"));
                }
            }
        }
        request.read_only = self.read_only;
        request.shm_size = shm_size(self.shm_size.as_deref())?;
        Ok(())
    }
}

/// What programs expect to write, whatever their root is.
const WRITABLE: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

fn mounts(
    volumes: &[String],
    long: &[String],
    tmpfs: &[String],
    directory: &Path,
) -> Result<Vec<Mount>, CliError> {
    let volume =
        |text: &String| Mount::from_volume_flag(text, directory).map_err(wrong("-v", text));
    let mount =
        |text: &String| Mount::from_mount_flag(text, directory).map_err(wrong("--mount", text));
    let one_tmpfs = |text: &String| Mount::from_tmpfs_flag(text).map_err(wrong("--tmpfs", text));
    let short = volumes.iter().map(volume).collect::<Result<_, _>>()?;
    let long = long.iter().map(mount).collect::<Result<_, _>>()?;
    let tmpfs = tmpfs.iter().map(one_tmpfs).collect::<Result<_, _>>()?;
    joined(short, long, tmpfs).map_err(|error| CliError::failed(&error))
}

/// docker's client sees what can't be read, its daemon what makes no sense: an ordinary failure.
fn wrong<'a>(flag: &'a str, text: &'a str) -> impl Fn(MountError) -> CliError + 'a {
    move |error| match error {
        MountError::VolumeSpec { .. } => CliError::usage(error.to_string()),
        MountError::VolumeMode { .. }
        | MountError::RelativeTarget { .. }
        | MountError::RootTarget { .. }
        | MountError::Kind { .. }
        | MountError::NoSource => CliError::failed(&error),
        _ => CliError::argument(flag, text, &error),
    }
}

fn shm_size(text: Option<&str>) -> Result<Option<u64>, CliError> {
    let size = text
        .map(|text| value::<Size>("--shm-size", text))
        .transpose()?;
    // docker takes 0 for its own default
    Ok(size.map(|size| size.0).filter(|bytes| *bytes > 0))
}
