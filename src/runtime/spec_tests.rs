//! Specifications of given parameters, as values.

#![allow(clippy::unwrap_used)]
use oci_spec::runtime::MountBuilder;

use super::*;

fn parameters() -> ContainerParameters {
    ContainerParameters {
        args: vec!["true".into()],
        hostname: "0123456789ab".into(),
        ..Default::default()
    }
}

fn destinations(spec: &Spec) -> Vec<&str> {
    spec.mounts()
        .as_ref()
        .unwrap()
        .iter()
        .map(|mount| mount.destination().to_str().unwrap())
        .collect()
}

fn options<'a>(spec: &'a Spec, destination: &str) -> &'a [String] {
    let mounts = spec.mounts().as_ref().unwrap();
    let mount = mounts
        .iter()
        .find(|mount| mount.destination() == Path::new(destination))
        .unwrap();
    mount.options().as_ref().unwrap()
}

fn bind(destination: &str) -> Mount {
    let options = vec!["rbind".to_string()];
    MountBuilder::default()
        .destination(destination)
        .typ("bind")
        .source("/srv")
        .options(options)
        .build()
        .unwrap()
}

fn with_mounts(destinations: &[&str]) -> Result<Spec, SpecError> {
    spec(&ContainerParameters {
        mounts: destinations.iter().copied().map(bind).collect(),
        ..parameters()
    })
}

fn with_env(env: &[&str]) -> Vec<String> {
    let env = env.iter().map(ToString::to_string).collect();
    let spec = spec(&ContainerParameters {
        env,
        ..parameters()
    })
    .unwrap();
    spec.process().as_ref().unwrap().env().clone().unwrap()
}

#[test]
fn defaults_are_dockers() {
    let spec = spec(&parameters()).unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(
        destinations(&spec),
        [
            "/proc",
            "/dev",
            "/dev/pts",
            "/sys",
            "/sys/fs/cgroup",
            "/dev/mqueue",
            "/dev/shm"
        ]
    );
    assert_eq!(linux.namespaces().as_ref().unwrap().len(), 7);
    assert_eq!(linux.masked_paths().as_ref().unwrap().len(), 12);
    assert_eq!(linux.readonly_paths().as_ref().unwrap().len(), 5);
    assert!(linux.seccomp().is_none());
    assert_eq!(
        spec.annotations().as_ref().unwrap()[SECCOMP_ANNOTATION],
        SECCOMP_DEFAULT
    );
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.cwd(), Path::new("/"));
    assert_eq!(process.no_new_privileges(), Some(false));
    assert_eq!(process.user().username(), &None);
    let bounding = process
        .capabilities()
        .as_ref()
        .unwrap()
        .bounding()
        .as_ref()
        .unwrap();
    assert_eq!(CapabilitySet::from(bounding), CapabilitySet::docker());
}

#[test]
fn specification_survives_its_json() {
    let spec = spec(&parameters()).unwrap();
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
}

#[test]
fn privileged_masks_nothing_and_has_all_capabilities() {
    let known_capabilities = CapabilitySet::up_to(37);
    let spec = spec(&ContainerParameters {
        privileged: true,
        known_capabilities,
        ..parameters()
    })
    .unwrap();
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.masked_paths().as_ref().unwrap().is_empty());
    assert!(linux.readonly_paths().as_ref().unwrap().is_empty());
    assert!(
        !spec
            .annotations()
            .as_ref()
            .unwrap()
            .contains_key(SECCOMP_ANNOTATION)
    );
    assert!(options(&spec, "/sys").contains(&"rw".into()));
    assert!(options(&spec, "/sys/fs/cgroup").contains(&"rw".into()));
    let capabilities = spec
        .process()
        .as_ref()
        .unwrap()
        .capabilities()
        .as_ref()
        .unwrap();
    assert_eq!(
        CapabilitySet::from(capabilities.bounding().as_ref().unwrap()),
        known_capabilities
    );
}

#[test]
fn host_network_has_no_network_namespace_and_binds_sys() {
    let spec = spec(&ContainerParameters {
        places: Places {
            network: Place::Host,
            ..Places::default()
        },
        ..parameters()
    })
    .unwrap();
    let linux = spec.linux().as_ref().unwrap();
    let network = |namespace: &oci_spec::runtime::LinuxNamespace| {
        namespace.typ() == LinuxNamespaceType::Network
    };
    assert!(!linux.namespaces().as_ref().unwrap().iter().any(network));
    assert!(options(&spec, "/sys").contains(&"rbind".into()));
    assert!(linux.sysctl().as_ref().unwrap().is_empty());
}

#[test]
fn single_id_map_has_no_tty_group() {
    let group = |single_id| {
        let spec = spec(&ContainerParameters {
            single_id,
            ..parameters()
        })
        .unwrap();
        options(&spec, "/dev/pts").contains(&"gid=5".into())
    };
    assert_eq!((group(true), group(false)), (false, true));
}

#[test]
fn environment_is_dockers_then_the_images_then_the_flags() {
    let path = format!("PATH={}", defaults::PATH);
    assert_eq!(
        with_env(&["A=1", "B=", "A=2"]),
        [&path, "HOSTNAME=0123456789ab", "A=2", "B="]
    );
    assert_eq!(
        with_env(&["PATH=/bin"]),
        ["PATH=/bin", "HOSTNAME=0123456789ab"]
    );
}

/// CVE-2026-57231: none of these may bring a variable of the host in.
#[test]
fn malformed_variables_bring_nothing_in() {
    assert_eq!(with_env(&["SECRET", "SEC*", "*", "=x", ""]).len(), 2);
    let env = vec!["A=\0".into()];
    assert!(matches!(
        spec(&ContainerParameters {
            env,
            ..parameters()
        }),
        Err(SpecError::NullByte { .. })
    ));
}

#[test]
fn terminal_sets_term() {
    let spec = spec(&ContainerParameters {
        terminal: true,
        ..parameters()
    })
    .unwrap();
    assert!(
        spec.process()
            .as_ref()
            .unwrap()
            .env()
            .as_ref()
            .unwrap()
            .contains(&"TERM=xterm".into())
    );
}

#[test]
fn mounts_replace_defaults_and_come_parents_first() {
    let spec = with_mounts(&["/data/cache/", "/data", "/dev/shm"]).unwrap();
    assert_eq!(
        destinations(&spec)[5..],
        ["/dev/mqueue", "/data", "/data/cache", "/dev/shm"]
    );
    let spec = with_mounts(&["/dev"]).unwrap();
    assert_eq!(
        destinations(&spec),
        ["/proc", "/sys", "/sys/fs/cgroup", "/dev"]
    );
}

#[test]
fn destinations_that_could_harm_are_refused() {
    for destination in ["relative", "/a/../etc", "/", ".."] {
        assert!(
            matches!(
                with_mounts(&[destination]),
                Err(SpecError::MountDestination { .. })
            ),
            "{destination}"
        );
    }
    for destination in ["/proc", "/proc/", "/proc/self/attr", "/./proc/sys"] {
        assert!(
            matches!(
                with_mounts(&[destination]),
                Err(SpecError::MountOverProc { .. })
            ),
            "{destination}"
        );
    }
    assert!(with_mounts(&["/proc/meminfo"]).is_ok());
}

#[test]
fn only_a_containers_own_sysctls_are_set() {
    let set = |name: &str, network| {
        let sysctls = vec![(name.to_string(), "1".to_string())];
        spec(&ContainerParameters {
            sysctls,
            places: Places {
                network,
                ..Places::default()
            },
            ..parameters()
        })
        .is_ok()
    };
    assert!(set("net.core.somaxconn", Place::Private));
    assert!(set("net/core/somaxconn", Place::Private));
    assert!(!set("net.core.somaxconn", Place::Host));
    assert!(set("kernel.shmmax", Place::Host));
    assert!(!set("kernel.core_pattern", Place::Private));
    assert!(!set("net.../kernel/core_pattern", Place::Private));
}

#[test]
fn a_relayed_container_sends_in_small_pieces_unless_it_says_otherwise() {
    let sent_at_once = |relayed, network, sysctls: &[(&str, &str)]| {
        let sysctls = sysctls
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let parameters = ContainerParameters {
            relayed,
            sysctls,
            places: Places {
                network,
                ..Places::default()
            },
            ..parameters()
        };
        let spec = spec(&parameters).unwrap();
        let all = spec.linux().as_ref().unwrap().sysctl().clone().unwrap();
        all.get("net.ipv4.tcp_wmem").cloned()
    };
    let own = Some("4096\t16384\t262144".to_owned());
    assert_eq!(sent_at_once(true, Place::Private, &[]), own);
    assert_eq!(sent_at_once(false, Place::Private, &[]), None);
    assert_eq!(sent_at_once(true, Place::Host, &[]), None);
    let asked = sent_at_once(true, Place::Private, &[("net/ipv4/tcp_wmem", "1 2 3")]);
    assert_eq!(asked.as_deref(), Some("1 2 3"));
}

#[test]
fn impossible_processes_are_refused() {
    assert_eq!(
        spec(&ContainerParameters::default()),
        Err(SpecError::NoCommand)
    );
    let relative = ContainerParameters {
        cwd: "srv".into(),
        ..parameters()
    };
    assert!(matches!(
        spec(&relative),
        Err(SpecError::RelativeCwd { .. })
    ));
    let args = vec!["a\0b".into()];
    assert!(matches!(
        spec(&ContainerParameters {
            args,
            ..parameters()
        }),
        Err(SpecError::NullByte { .. })
    ));
    let unknown = ContainerParameters {
        cap_add: vec!["NET_ADMN".into()],
        ..parameters()
    };
    assert!(matches!(spec(&unknown), Err(SpecError::Capability(_))));
}
