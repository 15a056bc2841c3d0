//! A service's `build:` and `develop:`.

use serde::{Deserialize, Serialize, Serializer};

use super::parts::FileRef;
use super::values::{is_empty, is_false, is_zero};
use super::{Bytes, Extensions, Named, Texts, Ulimit, Variables};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Build {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub context: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dockerfile: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dockerfile_inline: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub args: Variables,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub provenance: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sbom: String,
    /// `ID`, or `ID=PATH`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ssh: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub labels: Texts,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_from: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache_to: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub no_cache: bool,
    #[serde(skip_serializing_if = "is_empty")]
    pub additional_contexts: Texts,
    #[serde(skip_serializing_if = "is_false")]
    pub pull: bool,
    /// `NAME=ADDRESS`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub isolation: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub network: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<BuildSecret>,
    #[serde(skip_serializing_if = "is_zero")]
    pub shm_size: Bytes,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(skip_serializing_if = "is_empty")]
    pub ulimits: Named<Ulimit>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

pub type BuildSecret = FileRef;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Develop {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watch: Vec<Watch>,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Watch {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub action: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub target: String,
    #[serde(serialize_with = "without_program")]
    pub exec: Option<WatchExec>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub initial_sync: bool,
    #[serde(flatten, serialize_with = "crate::compose::model::marked")]
    pub extensions: Extensions,
}

pub type WatchExec = super::Hook;

/// docker's JSON has an empty one where there is none.
fn without_program<S: Serializer>(
    exec: &Option<WatchExec>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match exec {
        Some(exec) => exec.serialize(serializer),
        None => serializer.collect_map([("command", ())]),
    }
}
