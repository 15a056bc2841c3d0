//! Whose namespaces the container lives in. Looks no container up.

use std::str::FromStr;

use super::value;
use crate::cli::error::{CliError, Kind};
use crate::cli::ui::Ui;
use crate::container::{Namespaces, Sharing, UserMode};
use crate::engine::request::CreateRequest;

#[derive(clap::Args, Debug)]
pub struct NamespaceFlags {
    /// User namespace: host, keep-id[:uid=N,gid=N], auto[:size=N], nomap, container:NAME
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// Map user ids (CONTAINER:HOME[:SIZE]; of home, 0 is you and 1 your first subordinate id)
    #[arg(long, value_name = "MAP")]
    uidmap: Vec<String>,
    /// Map group ids, as --uidmap
    #[arg(long, value_name = "MAP")]
    gidmap: Vec<String>,
    /// pid namespace: host, container:NAME
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// ipc namespace: private, shareable, none, host, container:NAME
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// uts namespace: host, container:NAME
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
    /// cgroup namespace: private, host
    #[arg(long, value_name = "MODE")]
    cgroupns: Option<String>,
    /// Cgroup that the container's is made in: below bryo's own, or with a / before it within the tree that is yours
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

impl NamespaceFlags {
    pub fn apply(self, request: &mut CreateRequest, ui: &Ui) -> Result<(), CliError> {
        let lines = |flag: &str, texts: &[String]| {
            let lines = texts.iter().map(|text| value(flag, text));
            lines.collect::<Result<Vec<_>, CliError>>()
        };
        let user = self.userns.as_deref().unwrap_or_default();
        let chosen = Namespaces {
            user: value("--userns", user)?,
            pid: mode("--pid: invalid PID mode", self.pid.as_deref())?,
            ipc: mode("--ipc: invalid IPC mode", self.ipc.as_deref())?,
            uts: mode("--uts: invalid UTS mode", self.uts.as_deref())?,
            cgroup: mode("--cgroupns: invalid CGROUP mode", self.cgroupns.as_deref())?,
            uid_map: lines("--uidmap", &self.uidmap)?,
            gid_map: lines("--gidmap", &self.gidmap)?,
        };
        if matches!(chosen.cgroup, Sharing::Container(_)) {
            return Err(CliError::usage("--cgroupns: invalid CGROUP mode"));
        }
        if chosen.user == UserMode::Host && (request.privileged || !request.cap_add.is_empty()) {
            ui.warning(
                "with --userns host the container's root has its capabilities over all of your containers' files, too",
            );
        }
        request.namespaces = chosen;
        request.cgroup_parent = self.cgroup_parent.filter(|path| !path.is_empty());
        Ok(())
    }
}

/// docker's words for what is no mode.
fn mode<T: FromStr + Default>(words: &str, text: Option<&str>) -> Result<T, CliError> {
    let parsed = text.map(str::parse).transpose();
    Ok(parsed
        .map_err(|_| CliError::new(Kind::Failed, words))?
        .unwrap_or_default())
}
