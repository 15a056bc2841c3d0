//! What a container, a network or a volume is made from, as one word: another word is another thing. Pure.

use sha2::{Digest as _, Sha256};

use super::model::{FileObject, FileRef, Named, Network, Project, Service, Volume};

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a project is plain data")
}

/// Of all that a service's containers are made from: docker's hash, unless there is more that docker's does not see.
pub fn service(project: &Project, service: &Service) -> String {
    let mut more = Vec::new();
    if let Some(egress) = &service.egress {
        more.extend(json(egress));
    }
    for (wanted, all) in [
        (&service.secrets, &project.secrets),
        (&service.configs, &project.configs),
    ] {
        for one in wanted {
            more.extend(content(project, one, all));
        }
    }
    // What is not called as the project calls it may be called otherwise another time.
    let usual = |key: &str| format!("{}_{key}", project.name);
    let networks = service.networks.keys().filter_map(|key| {
        let name = &project.networks.get(key)?.name;
        (*name != usual(key)).then_some(name)
    });
    let volumes = service.volumes.iter().filter_map(|mount| {
        let name = &project.volumes.get(&mount.source)?.name;
        (*name != usual(&mount.source)).then_some(name)
    });
    for name in networks.chain(volumes) {
        more.extend(name.as_bytes());
    }
    let docker_s = super::hash(service);
    match more.is_empty() {
        true => docker_s,
        false => hex(&[docker_s.as_bytes(), &more].concat()),
    }
}

/// What only the container's record has of a secret or config; a file is bound, and may change.
fn content(project: &Project, wanted: &FileRef, all: &Named<FileObject>) -> Vec<u8> {
    let Some(object) = all.get(&wanted.source) else {
        return Vec::new();
    };
    let variable = project.environment.get(&object.environment);
    let text = variable.unwrap_or(&object.content);
    text.as_bytes().to_vec()
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
