//! Whose namespaces a new container gets, settled when it is made; and the processes that have them, found when it starts.

use std::collections::BTreeMap;

use nix::sched::CloneFlags;

use super::request::{CreateRequest, NetworkMode};
use super::{Engine, EngineError};
use crate::container::{ContainerConfig, IpcMode, MapLine, Namespaces, Sharing, Status, UserMode};
use crate::runtime::entrance::Join;
use crate::runtime::fuse;
use crate::runtime::idmap::IdRange;
use crate::runtime::isolation::Isolation;
use crate::runtime::spec::{Place, Places};
use crate::runtime::userns::UserNamespace;
use crate::sys::lock;
use crate::sys::process::ProcessName;

/// podman's smallest range of `--userns auto`.
const AUTO_SIZE: u32 = 1024;

/// What a start needs to know of the namespaces.
pub(super) struct Settled {
    pub user: UserNamespace,
    pub joins: Vec<Join>,
    pub places: Places,
}

impl Engine {
    /// Names of other containers become their ids; what contradicts itself is refused in docker's words.
    pub(super) fn settle_namespaces(
        &self,
        request: &CreateRequest,
        network: NetworkMode,
    ) -> Result<(Namespaces, NetworkMode), EngineError> {
        let mut chosen = request.namespaces.clone();
        for sharing in [&mut chosen.pid, &mut chosen.uts] {
            if let Sharing::Container(name) = sharing {
                *name = self.id_of(name)?;
            }
        }
        if let IpcMode::Container(name) = &mut chosen.ipc {
            *name = self.joinable_ipc(name)?;
        }
        if let UserMode::Container(name) = &mut chosen.user {
            *name = self.id_of(name)?;
        }
        let network = match network {
            NetworkMode::Container(name) => NetworkMode::Container(self.id_of(&name)?),
            other => other,
        };
        if let Some(message) = contradiction(request, &network) {
            return Err(EngineError::Conflict { message });
        }
        if chosen.uid_map.is_empty() {
            chosen.uid_map.clone_from(&chosen.gid_map);
        } else if chosen.gid_map.is_empty() {
            chosen.gid_map.clone_from(&chosen.uid_map);
        }
        Ok((chosen, network))
    }

    fn id_of(&self, name: &str) -> Result<String, EngineError> {
        Ok(self.find(name)?.id.to_string())
    }

    fn joinable_ipc(&self, name: &str) -> Result<String, EngineError> {
        let record = self.find(name)?;
        match self.config_of(&record)?.host.namespaces.ipc {
            IpcMode::Private | IpcMode::None => Err(EngineError::IpcNotShareable {
                name: name.to_owned(),
            }),
            _ => Ok(record.id.to_string()),
        }
    }

    /// The range of `--userns auto`: the first that no other container has. Locked until the container's record is there.
    pub(super) fn allot_range(
        &self,
        namespaces: &mut Namespaces,
        user: &str,
    ) -> Result<Option<lock::Guard>, EngineError> {
        let UserMode::Auto { size } = namespaces.user else {
            return Ok(None);
        };
        let path = self.paths.data.join("userns.lock");
        let lock = lock::lock(&path, lock::Mode::Exclusive);
        let lock = lock.map_err(EngineError::file("lock", &path))?;
        // A number that the program shall run as has to be among them.
        let numbers = user.split(':').filter_map(|id| id.parse::<u32>().ok());
        let least = numbers.map(|id| id.saturating_add(1)).max();
        let size = size.unwrap_or_else(|| AUTO_SIZE.max(least.unwrap_or(0)));
        let others = self.containers.all()?.into_iter();
        let mut taken: Vec<MapLine> = others
            .filter_map(|record| record.config().ok())
            .filter(|config| matches!(config.host.namespaces.user, UserMode::Auto { .. }))
            .flat_map(|config| config.host.namespaces.uid_map)
            .collect();
        taken.sort_by_key(|line| line.outside);
        let mut first = 1;
        for line in taken {
            if line.outside >= first && line.outside - first >= size {
                break;
            }
            first = first.max(line.outside.saturating_add(line.size));
        }
        let line = MapLine {
            inside: 0,
            outside: first,
            size,
        };
        namespaces.uid_map = vec![line];
        namespaces.gid_map = vec![line];
        Ok(Some(lock))
    }

    /// The namespaces of a container that is about to start; those it joins have to be there.
    pub(super) fn namespaces_of(&self, config: &ContainerConfig) -> Result<Settled, EngineError> {
        if self.isolation() == Isolation::Chroot {
            return Ok(Settled {
                user: UserNamespace::Home,
                joins: Vec::new(),
                places: Places::of_host(),
            });
        }
        let chosen = &config.host.namespaces;
        let mut joins = Joins::default();
        let network = match config.host.network.as_str() {
            "host" => Place::Host,
            // Its /sys can't be mounted by whoever does not own it.
            text if text.starts_with("ns:") => Place::Host,
            text => match text.strip_prefix("container:") {
                Some(id) => joins.add(self, id, CloneFlags::CLONE_NEWNET)?,
                None => Place::Private,
            },
        };
        let mut sharing = |sharing: &Sharing, kind| match sharing {
            Sharing::Private => Ok(Place::Private),
            Sharing::Host => Ok(Place::Host),
            Sharing::Container(id) => joins.add(self, id, kind),
        };
        let mut places = Places {
            network,
            pid: sharing(&chosen.pid, CloneFlags::CLONE_NEWPID)?,
            uts: sharing(&chosen.uts, CloneFlags::CLONE_NEWUTS)?,
            cgroup: sharing(&chosen.cgroup, CloneFlags::CLONE_NEWCGROUP)?,
            no_shared_memory: chosen.ipc == IpcMode::None,
            host_queues: std::path::Path::new("/dev/mqueue").is_dir(),
            ..Places::default()
        };
        places.ipc = match &chosen.ipc {
            IpcMode::Host => Place::Host,
            IpcMode::Container(id) => joins.add(self, id, CloneFlags::CLONE_NEWIPC)?,
            IpcMode::Private | IpcMode::Shareable | IpcMode::None => Place::Private,
        };
        if let UserMode::Container(id) = &chosen.user {
            joins.add(self, id, CloneFlags::empty())?;
        }
        let joins = joins.into_list();
        let user = match joins.first() {
            Some(_) => UserNamespace::Joined,
            None => user_namespace(chosen),
        };
        places.user = match (&user, joins.first()) {
            (UserNamespace::Joined, Some(first)) => Place::Of(first.init.pid),
            (UserNamespace::Home, _) => Place::Host,
            _ => Place::Private,
        };
        if shifts(&user)
            && let Err(reason) = fuse::usable()
        {
            return Err(EngineError::NoShiftedIds {
                mode: chosen.user.to_string(),
                reason: reason.to_string(),
            });
        }
        Ok(Settled {
            user,
            joins,
            places,
        })
    }
}

/// By container.
#[derive(Default)]
struct Joins(BTreeMap<String, Join>);

impl Joins {
    fn add(&mut self, engine: &Engine, id: &str, kind: CloneFlags) -> Result<Place, EngineError> {
        if let Some(known) = self.0.get_mut(id) {
            known.kinds |= kind;
            return Ok(Place::Of(known.init.pid));
        }
        let record = engine.find(id)?;
        let container = engine.containers.name_of(&record);
        let state = match record.status() {
            Ok(Status::Running(state)) if !state.started.is_empty() => state,
            _ => return Err(EngineError::JoinEnded { name: container }),
        };
        let init = ProcessName {
            pid: state.init,
            start: state.init_start,
        };
        let join = Join {
            container,
            init,
            kinds: kind,
        };
        self.0.insert(id.to_owned(), join);
        Ok(Place::Of(init.pid))
    }

    fn into_list(self) -> Vec<Join> {
        self.0.into_values().collect()
    }
}

fn user_namespace(chosen: &Namespaces) -> UserNamespace {
    let ranges = |lines: &[MapLine]| lines.iter().map(range).collect::<Vec<_>>();
    match chosen.user {
        UserMode::Nested if chosen.uid_map.is_empty() => UserNamespace::Nested,
        UserMode::Nested | UserMode::Auto { .. } => UserNamespace::Explicit {
            users: ranges(&chosen.uid_map),
            groups: ranges(&chosen.gid_map),
        },
        UserMode::Host => UserNamespace::Home,
        UserMode::KeepId { uid, gid } => UserNamespace::KeepId {
            uid: uid.unwrap_or(rustix::process::getuid().as_raw()),
            gid: gid.unwrap_or(rustix::process::getgid().as_raw()),
        },
        UserMode::NoMap => UserNamespace::NoMap,
        UserMode::Container(_) => UserNamespace::Joined,
    }
}

fn range(line: &MapLine) -> IdRange {
    IdRange {
        inside: line.inside,
        outside: line.outside,
        size: line.size,
    }
}

/// The ids of the store's files are not the container's, so that fuse-overlayfs has to translate them. For root, `keep-id` keeps
/// everything.
fn shifts(user: &UserNamespace) -> bool {
    match user {
        UserNamespace::KeepId { uid, gid } => (*uid, *gid) != (0, 0),
        UserNamespace::NoMap | UserNamespace::Explicit { .. } => true,
        UserNamespace::Nested | UserNamespace::Home | UserNamespace::Joined => false,
    }
}

/// The user of `keep-id`, where no other was asked for: podman's rule, whatever the image says.
pub(super) fn kept_user(chosen: &Namespaces) -> Option<String> {
    match (&chosen.user, user_namespace(chosen)) {
        (UserMode::KeepId { .. }, UserNamespace::KeepId { uid, gid }) => {
            Some(format!("{uid}:{gid}"))
        }
        _ => None,
    }
}

/// What cannot be said together, in docker's words where it has any.
fn contradiction(request: &CreateRequest, network: &NetworkMode) -> Option<&'static str> {
    let chosen = &request.namespaces;
    let names = &request.names;
    let joins_network = matches!(network, NetworkMode::Container(_));
    let is_file = matches!(network, NetworkMode::File(_));
    let joins = joins_network
        || matches!(chosen.pid, Sharing::Container(_))
        || matches!(chosen.uts, Sharing::Container(_))
        || matches!(chosen.ipc, IpcMode::Container(_));
    let own_ids = !matches!(chosen.user, UserMode::Nested | UserMode::Container(_))
        || !chosen.uid_map.is_empty()
        || !chosen.gid_map.is_empty();
    let has_dns =
        !(names.servers.is_empty() && names.search.is_empty() && names.options.is_empty());
    let checks = [
        (
            chosen.uts != Sharing::Private && request.hostname.is_some(),
            "conflicting options: hostname and the UTS mode",
        ),
        (
            joins_network && request.hostname.is_some(),
            "conflicting options: hostname and the network mode",
        ),
        (
            joins_network && has_dns,
            "conflicting options: dns and the network mode",
        ),
        (
            joins_network && !names.extra_hosts.is_empty(),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            joins_network && (request.publish_all || !request.ports.is_empty()),
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            is_file && (request.publish_all || !request.ports.is_empty()),
            "conflicting options: port publishing and a network namespace that is there already",
        ),
        (
            joins_network && !request.expose.is_empty(),
            "conflicting options: port exposing and the container type network mode",
        ),
        (
            joins && own_ids,
            "conflicting options: whoever joins a container's namespaces joins its user namespace too, so there are no other ids to choose",
        ),
        (
            chosen.user == UserMode::Host && chosen.pid != Sharing::Private,
            "conflicting options: --userns host would let the container's root reach every process of yours in a shared pid namespace",
        ),
        (
            chosen.user != UserMode::Nested
                && !(chosen.uid_map.is_empty() && chosen.gid_map.is_empty()),
            "conflicting options: --uidmap and --gidmap with another --userns",
        ),
    ];
    let found = checks.into_iter().find(|(wrong, _)| *wrong);
    found.map(|(_, message)| message)
}
