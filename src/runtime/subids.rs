//! Whose ids a new home gets: the user's subordinate ids and the helpers that may map them, or the user's own id alone. Never makes
//! or enters a namespace.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;

use super::home::HomeError;
use super::idmap::{IdMap, subordinate_ids};
use crate::sys::{namespace, program};

/// Where the ids come from: the user's subordinate ids and the helpers that may map them.
pub struct Subids {
    pub users: IdMap,
    pub groups: IdMap,
    pub new_uid_map: PathBuf,
    pub new_gid_map: PathBuf,
}

impl Subids {
    /// `None` where the user has no subordinate ids or no helper that can map them: then only the user's own id is mapped.
    pub fn find() -> Option<Subids> {
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let user = user_name(uid);
        let users = subordinate_ids(Path::new("/etc/subuid"), user.as_deref(), uid);
        let groups = subordinate_ids(Path::new("/etc/subgid"), user.as_deref(), uid);
        if users.is_empty() || groups.is_empty() {
            return None;
        }
        let (new_uid_map, new_gid_map) = (program::find("newuidmap")?, program::find("newgidmap")?);
        // Root lends its own rights to the helpers.
        let may_map = uid == 0
            || !rustix::thread::no_new_privs().unwrap_or(false)
                && [&new_uid_map, &new_gid_map]
                    .iter()
                    .all(|helper| mapping_fault(helper).is_none());
        may_map.then(|| Subids {
            users: IdMap::home(uid, &users),
            groups: IdMap::home(gid, &groups),
            new_uid_map,
            new_gid_map,
        })
    }
}

/// Why a helper gets no right to map ids when an ordinary user starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingFault {
    /// It has neither the setuid bit of root nor a file capability.
    NoRight,
    /// Its file system honours neither.
    NoSuidMount,
}

/// What is wrong with the program at `path`, if anything is.
pub fn mapping_fault(path: &Path) -> Option<MappingFault> {
    let meta = path.metadata().ok()?;
    let set_uid = meta.permissions().mode() & 0o4000 != 0 && meta.uid() == 0;
    let mut value = [0u8; 64];
    if !set_uid && rustix::fs::getxattr(path, "security.capability", &mut value[..]).is_err() {
        return Some(MappingFault::NoRight);
    }
    let flags = rustix::fs::statvfs(path).ok()?.f_flag;
    flags
        .contains(rustix::fs::StatVfsMountFlags::NOSUID)
        .then_some(MappingFault::NoSuidMount)
}

/// From the local file first: the name service costs a tenth of a millisecond even where it only reads that file.
fn user_name(uid: u32) -> Option<String> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = uid.to_string();
    let entry = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let mut own = entry.filter(|fields| fields.len() > 3 && fields[2] == number);
    if let Some(fields) = own.next() {
        return Some(fields[0].to_owned());
    }
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()??;
    Some(user.name)
}

/// Maps the ids of a new home, whose first process `child` is. `begun` is called when the helpers are at it.
pub(super) fn write_maps(
    child: Pid,
    subids: Option<&Subids>,
    begun: impl FnOnce(),
) -> Result<(), HomeError> {
    match subids {
        Some(ids) => run_helpers(child, ids, begun),
        None => write_single_id(child),
    }
}

/// Both at once: each is the start of a setuid program, the dearest part of a container's start.
fn run_helpers(child: Pid, ids: &Subids, begun: impl FnOnce()) -> Result<(), HomeError> {
    let start = |helper, program: &Path, map: &IdMap| {
        let mut command = Command::new(program);
        command
            .arg(child.as_raw_nonzero().to_string())
            .args(map.helper_arguments());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
            .spawn()
            .map_err(|source| HomeError::StartHelper { helper, source })
    };
    let users = start("newuidmap", &ids.new_uid_map, &ids.users)?;
    let groups = start("newgidmap", &ids.new_gid_map, &ids.groups)?;
    begun();
    let finish = |helper, running: std::process::Child| {
        let output = running
            .wait_with_output()
            .map_err(|source| HomeError::StartHelper { helper, source })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr)
            .trim()
            .replace('\n', "; ");
        Err(HomeError::Helper { helper, message })
    };
    let users = finish("newuidmap", users);
    let groups = finish("newgidmap", groups);
    users.and(groups)
}

/// user_namespaces(7): without privilege only the own id may be mapped, and setgroups must be denied first.
fn write_single_id(child: Pid) -> Result<(), HomeError> {
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    let pid = child.as_raw_nonzero();
    let write = |file: &'static str, text: String| {
        namespace::write_proc(&format!("/proc/{pid}/{file}"), &text)
            .map_err(|source| HomeError::WriteMap { file, source })
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("0 {uid} 1\n"))?;
    write("gid_map", format!("0 {gid} 1\n"))
}
