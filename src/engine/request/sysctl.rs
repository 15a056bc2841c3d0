//! `--sysctl`: only the kernel parameters that belong to a container's namespaces.

use std::str::FromStr;

/// `net.ipv4.ip_forward=1`; the name has dots, and is below one of the namespaced trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sysctl {
    pub name: String,
    pub value: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("sysctl '{text}' is not allowed")]
pub struct SysctlError {
    text: String,
}

const NAMES: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const TREES: [&str; 2] = ["net.", "fs.mqueue."];

impl FromStr for Sysctl {
    type Err = SysctlError;

    fn from_str(text: &str) -> Result<Sysctl, SysctlError> {
        let error = || SysctlError {
            text: text.to_owned(),
        };
        let (name, value) = text.split_once('=').ok_or_else(error)?;
        let allowed = NAMES.contains(&name) || TREES.iter().any(|tree| name.starts_with(tree));
        // a name becomes a path below /proc/sys: nothing in it may climb out
        let harmless = !name.contains("..") && !name.contains('\0') && !value.contains('\0');
        let climbs = name.split('/').any(|part| part == "..");
        if !allowed || !harmless || climbs {
            return Err(error());
        }
        Ok(Sysctl {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaced_parameters_pass() {
        assert!("net.ipv4.ip_forward=1".parse::<Sysctl>().is_ok());
        assert!("kernel.sem=1 2 3 4".parse::<Sysctl>().is_ok());
        for bad in [
            "kernel.panic=1",
            "net.ipv4.ip_forward",
            "net.../x=1",
            "net./../kernel/panic=1",
            "vm.swappiness=1",
        ] {
            assert_eq!(
                bad.parse::<Sysctl>().map_err(|e| e.to_string()),
                Err(format!("sysctl '{bad}' is not allowed"))
            );
        }
    }
}
