//! Accounts that a container gets beside those of its image: of the host, and the program's own.

use nix::unistd::{Uid, User, getuid};

use super::super::EngineError;
use super::super::namespaces::kept_user;
use crate::container::ContainerConfig;
use crate::runtime::accounts::{AccountEntry, Accounts};

/// Looked up at every start, as everything of the host's is.
pub fn accounts(config: &ContainerConfig) -> Result<Accounts, EngineError> {
    let host = &config.host;
    let find = |name: &String| host_user(name);
    let mut entries: Vec<AccountEntry> =
        host.host_users.iter().map(find).collect::<Result<_, _>>()?;
    let home = match config.process.working_dir.as_str() {
        "" => "/",
        directory => directory,
    };
    if host.account != Some(false)
        && let Some(ids) = kept_user(&host.namespaces)
    {
        entries.extend(own_account(&ids, home));
    }
    let program =
        (host.account == Some(true)).then(|| (config.process.user.clone(), home.to_owned()));
    Ok(Accounts { entries, program })
}

fn host_user(name: &str) -> Result<AccountEntry, EngineError> {
    let found = match name.parse() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    let user = found
        .ok()
        .flatten()
        .ok_or_else(|| EngineError::NoHostUser {
            name: name.to_owned(),
        })?;
    Ok(entry(&user))
}

/// Whoever starts the container, with the ids it has inside.
fn own_account(ids: &str, home: &str) -> Option<AccountEntry> {
    let user = User::from_uid(getuid()).ok().flatten()?;
    let (uid, gid) = ids.split_once(':')?;
    Some(AccountEntry {
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        home: home.to_owned(),
        shell: "/bin/sh".to_owned(),
        ..entry(&user)
    })
}

fn entry(user: &User) -> AccountEntry {
    AccountEntry {
        name: user.name.clone(),
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        comment: user.gecos.to_string_lossy().into_owned(),
        home: user.dir.to_string_lossy().into_owned(),
        shell: user.shell.to_string_lossy().into_owned(),
    }
}
