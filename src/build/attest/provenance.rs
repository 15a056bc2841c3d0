//! Where an image came from, as SLSA 1 has it. Names secrets, never their values. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::finish::Built;
use super::super::request::{BuildRequest, SecretSource};
use super::super::scope::PROXIES;
use crate::image::{Platform, Predicate};

const KIND: &str = "https://slsa.dev/provenance/v1";
/// What the external parameters mean.
const BUILD_TYPE: &str = "urn:bryo:build:dockerfile:v1";

/// How much is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// `mode=max`: also the values of arguments, and the Dockerfile itself.
    pub everything: bool,
    /// A URI; None: this program.
    pub builder: Option<String>,
}

/// `began` and `ended`: RFC 3339.
pub fn provenance(
    request: &BuildRequest,
    built: &Built,
    detail: &Detail,
    began: &str,
    ended: &str,
) -> Predicate {
    let builder = detail.builder.clone();
    let builder =
        builder.unwrap_or_else(|| concat!("urn:bryo:", env!("CARGO_PKG_VERSION")).to_owned());
    let materials: Vec<Value> = built
        .materials
        .iter()
        .map(|one| json!({ "uri": one.uri, "digest": { &one.digest.0: one.digest.1 } }))
        .collect();
    let mut definition = json!({
        "buildType": BUILD_TYPE,
        "externalParameters": parameters(request, detail),
        "internalParameters": { "builderPlatform": Platform::host().to_string() },
        "resolvedDependencies": materials,
    });
    if detail.everything {
        let text = String::from_utf8_lossy(&request.dockerfile);
        definition["internalParameters"]["dockerfile"] = text.into();
    }
    Predicate {
        kind: KIND.to_owned(),
        content: json!({
            "buildDefinition": definition,
            "runDetails": {
                "builder": { "id": builder },
                "metadata": {
                    "invocationId": built.image.id.as_str(),
                    "startedOn": began,
                    "finishedOn": ended,
                },
            },
        }),
    }
}

fn parameters(request: &BuildRequest, detail: &Detail) -> Value {
    let mut source = json!({ "path": request.dockerfile_name });
    if let Some(from) = &request.source {
        source["uri"] = from.uri.as_str().into();
        source["digest"] = json!({ &from.digest.0: from.digest.1 });
    }
    let mut shown = json!({ "configSource": source });
    let fields = shown.as_object_mut().expect("it was made as one");
    if let Some(target) = &request.target {
        fields.insert("target".to_owned(), target.as_str().into());
    }
    if let Some(platform) = &request.platform {
        fields.insert("platform".to_owned(), platform.to_string().into());
    }
    let secrets = request.secrets.iter().map(|(id, source)| {
        let kind = match source {
            SecretSource::File(_) => "file",
            SecretSource::Variable(_) => "env",
        };
        json!({ "id": id, "type": kind })
    });
    let secrets: Vec<Value> = secrets.collect();
    if !secrets.is_empty() {
        fields.insert("secrets".to_owned(), secrets.into());
    }
    let agents: Vec<Value> = request
        .agents
        .keys()
        .map(|id| json!({ "id": id }))
        .collect();
    if !agents.is_empty() {
        fields.insert("ssh".to_owned(), agents.into());
    }
    let contexts: Map<String, Value> = request
        .named_contexts
        .iter()
        .map(|(name, context)| (name.clone(), context.shown().into()))
        .collect();
    if !contexts.is_empty() {
        fields.insert("contexts".to_owned(), contexts.into());
    }
    // An argument may be a secret, though it should not; where files come from is no part of what they are.
    let arguments = request.args.iter();
    let arguments: BTreeMap<&String, &String> = arguments
        .filter(|(name, _)| !PROXIES.contains(&name.as_str()))
        .collect();
    if !arguments.is_empty() {
        let arguments = match detail.everything {
            true => json!(arguments),
            false => json!(arguments.keys().collect::<Vec<_>>()),
        };
        fields.insert("args".to_owned(), arguments);
    }
    if detail.everything {
        let labels: Map<String, Value> = request
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        fields.insert("labels".to_owned(), labels.into());
    }
    shown
}
