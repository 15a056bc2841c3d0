//! What a container, a network or a volume is made from, as one word: another word is another thing. Pure.

use sha2::{Digest as _, Sha256};

use super::model::{Deploy, FileObject, FileRef, Named, Network, Project, Service, Volume};

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a project is plain data")
}

/// Of all that a service's containers are made from: not of how its image comes to be, how many there are, or when they start.
pub fn service(project: &Project, service: &Service) -> String {
    let plain = Service {
        build: None,
        pull_policy: String::new(),
        scale: None,
        depends_on: Named::new(),
        profiles: Vec::new(),
        deploy: Some(Deploy {
            replicas: None,
            ..service.deploy.clone().unwrap_or_default()
        }),
        attach: None,
        develop: None,
        ..service.clone()
    };
    let mut bytes = json(&plain);
    if let Some(egress) = &service.egress {
        bytes.extend(json(egress));
    }
    for (wanted, all) in [
        (&service.secrets, &project.secrets),
        (&service.configs, &project.configs),
    ] {
        for one in wanted {
            bytes.extend(content(project, one, all));
        }
    }
    // By the names that the engine knows: these follow the project's.
    for key in service.networks.keys() {
        bytes.extend(
            project
                .networks
                .get(key)
                .map_or(&b""[..], |one| one.name.as_bytes()),
        );
    }
    for mount in &service.volumes {
        let volume = project.volumes.get(&mount.source);
        bytes.extend(volume.map_or(&b""[..], |one| one.name.as_bytes()));
    }
    hex(&bytes)
}

/// What only the container's record has of a secret or config; a file is bound, and may change.
fn content(project: &Project, wanted: &FileRef, all: &Named<FileObject>) -> Vec<u8> {
    let Some(object) = all.get(&wanted.source) else {
        return Vec::new();
    };
    let variable = project.environment.get(&object.environment);
    let text = variable.unwrap_or(&object.content);
    [object.file.as_bytes(), b"\0", text.as_bytes()].concat()
}

pub fn network(network: &Network) -> String {
    let mut bytes = json(network);
    if let Some(egress) = &network.egress {
        bytes.extend(json(egress));
    }
    hex(&bytes)
}

pub fn volume(volume: &Volume) -> String {
    hex(&json(volume))
}
