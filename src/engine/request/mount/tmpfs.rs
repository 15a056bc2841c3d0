//! `--tmpfs target[:options]`, and the options of a tmpfs in general.

use std::str::FromStr;

use super::{Mount, MountError, MountKind, TmpfsOptions, checked_target};
use crate::config::Size;

const DEFAULTS: [&str; 3] = ["noexec", "nosuid", "nodev"];
/// Pairs of opposites: what is said last counts.
const FLAGS: [(&str, &str); 13] = [
    ("ro", "rw"),
    ("exec", "noexec"),
    ("suid", "nosuid"),
    ("dev", "nodev"),
    ("sync", "async"),
    ("dirsync", ""),
    ("mand", "nomand"),
    ("atime", "noatime"),
    ("diratime", "nodiratime"),
    ("relatime", "norelatime"),
    ("strictatime", "nostrictatime"),
    ("lazytime", "nolazytime"),
    ("defaults", ""),
];
const VALUES: [&str; 5] = ["uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

pub fn parse(spec: &str) -> Result<Mount, MountError> {
    let (target, options) = spec.split_once(':').unwrap_or((spec, ""));
    let mut mount = Mount {
        target: checked_target(spec, target)?,
        read_only: false,
        chown: false,
        kind: MountKind::Tmpfs(empty()),
    };
    let MountKind::Tmpfs(tmpfs) = &mut mount.kind else {
        return Ok(mount);
    };
    tmpfs.flags = DEFAULTS.map(str::to_owned).to_vec();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        match option {
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            _ => add(tmpfs, option)?,
        }
    }
    Ok(mount)
}

/// As `--mount type=tmpfs` begins: docker adds the safe flags there too.
pub fn defaults() -> TmpfsOptions {
    TmpfsOptions {
        flags: DEFAULTS.map(str::to_owned).to_vec(),
        ..empty()
    }
}

/// `o` of a volume of type tmpfs, where nothing is added.
pub fn options(text: &str) -> Result<TmpfsOptions, MountError> {
    let mut tmpfs = empty();
    for option in text.split(',').filter(|option| !option.is_empty()) {
        add(&mut tmpfs, option)?;
    }
    Ok(tmpfs)
}

fn empty() -> TmpfsOptions {
    TmpfsOptions {
        size: None,
        mode: None,
        flags: Vec::new(),
    }
}

fn add(tmpfs: &mut TmpfsOptions, option: &str) -> Result<(), MountError> {
    let wrong = || MountError::TmpfsOption {
        option: option.to_owned(),
    };
    if let Some((key, value)) = option.split_once('=') {
        match key {
            "size" => tmpfs.size = Some(size(value).ok_or_else(wrong)?),
            "mode" => tmpfs.mode = Some(mode(value).ok_or_else(wrong)?),
            _ if VALUES.contains(&key) => {
                let prefix = format!("{key}=");
                tmpfs.flags.retain(|flag| !flag.starts_with(&prefix));
                tmpfs.flags.push(option.to_owned());
            }
            _ => return Err(wrong()),
        }
        return Ok(());
    }
    let (yes, no) = FLAGS
        .iter()
        .find(|(yes, no)| option == *yes || (option == *no && !no.is_empty()))
        .ok_or_else(wrong)?;
    tmpfs.flags.retain(|flag| flag != yes && flag != no);
    if option != "defaults" {
        tmpfs.flags.push(option.to_owned());
    }
    Ok(())
}

/// `64m`; a share of the memory (`50%`) has no fixed size and is left to nobody: refused.
pub fn size(value: &str) -> Option<u64> {
    Size::from_str(value).ok().map(|size| size.0)
}

/// Octal, as chmod reads it.
pub fn mode(value: &str) -> Option<u32> {
    u32::from_str_radix(value, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tmpfs(spec: &str) -> (bool, TmpfsOptions) {
        let mount = parse(spec).unwrap();
        match mount.kind {
            MountKind::Tmpfs(options) => (mount.read_only, options),
            _ => panic!("{spec} is no tmpfs"),
        }
    }

    #[test]
    fn a_tmpfs_is_safe_unless_told_otherwise() {
        assert_eq!(tmpfs("/run").1.flags, ["noexec", "nosuid", "nodev"]);
        let (read_only, options) = tmpfs("/run:ro,exec,size=64m,mode=1770,uid=1,uid=2");
        assert!(read_only);
        assert_eq!(options.flags, ["nosuid", "nodev", "exec", "uid=2"]);
        assert_eq!(options.size, Some(64 << 20));
        assert_eq!(options.mode, Some(0o1770));
    }

    #[test]
    fn unknown_options_are_named() {
        let error = |spec: &str| parse(spec).unwrap_err().to_string();
        assert_eq!(error("/run:foo"), "invalid tmpfs option \"foo\"");
        assert_eq!(error("/run:size=x"), "invalid tmpfs option \"size=x\"");
        assert_eq!(error("/run:mode=999"), "invalid tmpfs option \"mode=999\"");
        assert!(error("run").contains("must be absolute"));
    }
}
