//! Manifest lists that are being put together: one record each, `manifests/<digest of the list's name>`. Asks no registry and
//! touches no image of the store.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::digest::Digest;
use super::document::media_type;
use super::indexes::ABOUT;
use super::reference::Reference;
use crate::paths::{Paths, PathsError};
use crate::sys::lock::{self, Guard, Mode};
use crate::sys::{disk, fs};

/// Of one record: as many manifests as there are platforms, each of at most 4 MiB.
const LIMIT: u64 = 256 << 20;

/// A list that only this machine knows until it is pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestList {
    pub name: Reference,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    pub members: Vec<Member>,
}

/// One manifest of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As the user named it; its content is at this repository.
    pub reference: Reference,
    /// The very bytes, which are JSON and so UTF-8.
    pub manifest: String,
    pub media_type: String,
    pub platform: MemberPlatform,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What a list says of a manifest, with the names of the image specification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPlatform {
    pub architecture: String,
    pub os: String,
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl MemberPlatform {
    /// What an image's configuration says, as far as it can be read.
    pub fn of_config(config: &[u8]) -> MemberPlatform {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let features = config["os.features"].as_array();
        let features = features.into_iter().flatten().filter_map(Value::as_str);
        MemberPlatform {
            architecture: text("architecture"),
            os: text("os"),
            os_version: text("os.version"),
            os_features: features.map(str::to_owned).collect(),
            variant: text("variant"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Paths(#[from] PathsError),
    #[error("No such manifest: {name}")]
    Unknown { name: String },
    #[error("refusing to amend an existing manifest list with no --amend flag")]
    Exists,
    #[error("manifest for image {image} does not exist in {list}")]
    NoMember { image: String, list: String },
    #[error("manifest entry for image has unsupported os/arch combination: {os}/{architecture}")]
    OddPlatform { os: String, architecture: String },
    #[error("manifest {image} must have an OS and Architecture to be pushed to a registry")]
    NoPlatform { image: String },
    #[error("{operation} {path}: {source}")]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{path}: {source}")]
    Record {
        path: PathBuf,
        source: serde_json::Error,
    },
}

/// A record that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenList {
    /// The name of its file.
    file: String,
    found: String,
}

impl fmt::Display for BrokenList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest list {}: {}", self.file, self.found)
    }
}

/// One descriptor as it is in a list, its members in docker's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a str,
    size: usize,
    digest: Digest,
    platform: &'a MemberPlatform,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

impl Member {
    pub fn digest(&self) -> Digest {
        Digest::of(self.manifest.as_bytes())
    }

    /// The manifest that it says something of, where it is an attestation.
    pub fn about(&self) -> Option<&str> {
        self.annotations.get(ABOUT).map(String::as_str)
    }

    /// Whether this is what the user means: by the name it was added with, or by its digest.
    pub fn is(&self, reference: &Reference) -> bool {
        self.reference == *reference || reference.digest() == Some(&self.digest())
    }
}

impl ManifestList {
    pub fn new(name: Reference) -> ManifestList {
        ManifestList {
            name,
            annotations: BTreeMap::new(),
            members: Vec::new(),
        }
    }

    /// As docker decides it: an OCI index where every manifest is OCI's, else docker's own list.
    pub fn media_type(&self) -> &'static str {
        let oci = |member: &Member| member.media_type == media_type::OCI_MANIFEST;
        match self.members.iter().all(oci) || !self.annotations.is_empty() {
            true => media_type::OCI_INDEX,
            false => media_type::DOCKER_LIST,
        }
    }

    /// The document, in docker's own layout of lines.
    pub fn to_json(&self) -> Vec<u8> {
        let entries = self.members.iter().map(|member| Entry {
            media_type: &member.media_type,
            size: member.manifest.len(),
            digest: member.digest(),
            platform: &member.platform,
            annotations: &member.annotations,
        });
        let index = Index {
            schema_version: 2,
            media_type: self.media_type(),
            manifests: entries.collect(),
            annotations: &self.annotations,
        };
        let mut bytes = Vec::new();
        let layout = serde_json::ser::PrettyFormatter::with_indent(b"   ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, layout);
        let written = index.serialize(&mut serializer);
        written.expect("plain data always serialises");
        bytes
    }

    /// Adds a member, or replaces the one of this name or this digest.
    pub fn put(&mut self, member: Member) {
        let digest = member.digest();
        let known = self
            .members
            .iter_mut()
            .find(|other| other.reference == member.reference || other.digest() == digest);
        match known {
            Some(known) => *known = member,
            None => self.members.push(member),
        }
    }
}

/// All lists of one user.
#[derive(Clone, Debug)]
pub struct ManifestLists {
    directory: PathBuf,
}

impl ManifestLists {
    pub fn new(paths: &Paths) -> ManifestLists {
        ManifestLists {
            directory: paths.manifests(),
        }
    }

    fn path(&self, name: &Reference) -> PathBuf {
        let digest = Digest::of(name.to_string().as_bytes());
        self.directory.join(digest.hex())
    }

    pub fn get(&self, name: &Reference) -> Result<Option<ManifestList>, ListError> {
        let path = self.path(name);
        match fs::read_bounded(&path, LIMIT) {
            Ok(bytes) => {
                let parsed = serde_json::from_slice(&bytes);
                parsed
                    .map(Some)
                    .map_err(|source| ListError::Record { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ListError::Io {
                operation: "read",
                path,
                source,
            }),
        }
    }

    /// Changes one list under the lock of all, which is held for no longer than that.
    pub fn change<T>(
        &self,
        name: &Reference,
        change: impl FnOnce(Option<ManifestList>) -> Result<(ManifestList, T), ListError>,
    ) -> Result<T, ListError> {
        Paths::make(&self.directory)?;
        let _lock = self.lock()?;
        self.sweep();
        let (list, result) = change(self.get(name)?)?;
        let path = self.path(name);
        let json = serde_json::to_vec(&list).expect("plain data always serialises");
        fs::replace_file(&path, &json).map_err(|source| ListError::Io {
            operation: "write",
            path,
            source,
        })?;
        Ok(result)
    }

    /// Every record that cannot be what was written: under another name than its list's, or with a member that is no manifest.
    pub fn check(&self) -> Result<Vec<BrokenList>, ListError> {
        let list = match std::fs::read_dir(&self.directory) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                return Err(ListError::Io {
                    operation: "list",
                    path: self.directory.clone(),
                    source,
                });
            }
        };
        let mut broken = Vec::new();
        for entry in list.flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            if file.starts_with('.') {
                continue;
            }
            if let Err(found) = judge(&entry.path(), &file) {
                broken.push(BrokenList { file, found });
            }
        }
        broken.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(broken)
    }

    /// Removes what writers that were killed left behind.
    pub fn sweep_killed(&self) -> Result<(), ListError> {
        if !self.directory.is_dir() {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.sweep();
        Ok(())
    }

    fn lock(&self) -> Result<Guard, ListError> {
        let path = self.directory.join(".lock");
        lock::lock(&path, Mode::Exclusive).map_err(|source| ListError::Io {
            operation: "lock",
            path,
            source,
        })
    }

    /// Removes a record that [`ManifestLists::check`] has found.
    pub fn put_away(&self, broken: &BrokenList) -> Result<(), ListError> {
        let path = self.directory.join(&broken.file);
        match fs::remove_path(&path) {
            Ok(()) => Ok(()),
            Err(failed) => Err(ListError::Io {
                operation: "remove",
                path,
                source: failed.source,
            }),
        }
    }

    /// Temporary files of writers that were killed: every writer holds the lock that is held here.
    fn sweep(&self) {
        if let Err(error) = fs::sweep_temporary_files(&self.directory) {
            tracing::debug!(%error, "sweep the manifest lists");
        }
    }

    /// Changes a list that there has to be.
    pub fn change_known<T>(
        &self,
        name: &Reference,
        change: impl FnOnce(&mut ManifestList) -> Result<T, ListError>,
    ) -> Result<T, ListError> {
        self.change(name, |list| {
            let mut list = list.ok_or_else(|| ListError::Unknown {
                name: name.to_string(),
            })?;
            let result = change(&mut list)?;
            Ok((list, result))
        })
    }

    pub fn remove(&self, name: &Reference) -> Result<(), ListError> {
        let path = self.path(name);
        match disk::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ListError::Unknown {
                name: name.to_string(),
            }),
            Err(source) => Err(ListError::Io {
                operation: "remove",
                path,
                source,
            }),
        }
    }
}

fn judge(path: &Path, file: &str) -> Result<(), String> {
    let bytes = match fs::read_bounded(path, LIMIT) {
        // Removed since it was listed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| error.to_string())?,
    };
    let list: ManifestList = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if Digest::of(list.name.to_string().as_bytes()).hex() != file {
        return Err(format!("it is the record of {}", list.name));
    }
    for member in &list.members {
        let parsed: Result<Value, _> = serde_json::from_str(&member.manifest);
        parsed.map_err(|error| format!("its manifest of {}: {error}", member.reference))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, media_type: &str, text: &str) -> Member {
        Member {
            reference: name.parse().expect("valid"),
            manifest: text.to_owned(),
            media_type: media_type.to_owned(),
            platform: MemberPlatform {
                architecture: "arm64".to_owned(),
                os: "linux".to_owned(),
                ..MemberPlatform::default()
            },
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn a_list_is_dockers_unless_every_manifest_is_ocis() {
        let mut list = ManifestList::new("x:1".parse().expect("valid"));
        list.put(member("a:1", media_type::OCI_MANIFEST, "{}"));
        assert_eq!(list.media_type(), media_type::OCI_INDEX);
        list.put(member("b:1", media_type::DOCKER_MANIFEST, "{ }"));
        assert_eq!(list.media_type(), media_type::DOCKER_LIST);
        list.put(member("b:1", media_type::OCI_MANIFEST, "{  }"));
        assert_eq!(list.members.len(), 2);
        let text = String::from_utf8(list.to_json()).expect("JSON is text");
        let begin = "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"application/vnd.oci.image.index.v1+json\",\n   \"manifests\": [\n      {\n         \"mediaType\":";
        assert!(text.starts_with(begin), "{text}");
        assert!(!text.contains("annotations") && !text.contains("variant"));
    }
}
