//! What a docker before 1.10 saved: a directory for each layer with its tar and a configuration that names its parent, and
//! `repositories` with the names (docker's image specification 1.0). Nothing in it has a digest: DiffIDs come from unpacking.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::digest::Digest;
use super::super::document::{self, DocumentError};
use super::super::platform::Platform;
use super::super::reference::{Reference, ReferenceError};
use super::unpacking::{Unpacked, Wanted, warnings_of};
use super::{ArchiveError, Job, Loaded};

const NAMES: &str = "repositories";

/// More than any storage of docker's stacked.
const MOST_LAYERS: usize = 500;

/// What of a layer's `json` is read here; the rest goes into the image's configuration as it is.
#[derive(Deserialize)]
struct Own {
    parent: Option<String>,
    created: Option<String>,
    author: Option<String>,
    comment: Option<String>,
    container_config: Option<MadeBy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MadeBy {
    cmd: Option<Vec<String>>,
}

/// Layers that this archive has given so far.
type Stored = HashMap<String, Digest>;

/// All images that are named, and those without a name that no other is made from.
pub(super) fn load(job: &Job<'_>) -> Result<Vec<Loaded>, ArchiveError> {
    let mut named: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    for (name, id) in names(job)? {
        named.entry(id).or_default().push(name);
    }
    let mut parents = HashSet::new();
    let ids = job.members.directories_of("json");
    for id in &ids {
        parents.extend(own(id, &document(job, id)?)?.parent);
    }
    for id in ids {
        if !parents.contains(&id) {
            named.entry(id).or_default();
        }
    }
    let mut stored = Stored::new();
    let load = |(id, names): (String, Vec<Reference>)| load_one(job, &id, names, &mut stored);
    named.into_iter().map(load).collect()
}

fn names(job: &Job<'_>) -> Result<Vec<(Reference, String)>, ArchiveError> {
    if !job.members.has(NAMES) {
        return Ok(Vec::new());
    }
    let bytes = job.members.document(NAMES, job.members.archive())?;
    let subject = format!("{NAMES} of {}", job.members.archive());
    let all: BTreeMap<String, BTreeMap<String, String>> = document::json(&subject, &bytes)?;
    let each = all.into_iter().flat_map(|(repository, tags)| {
        let named = move |(tag, id)| Ok((format!("{repository}:{tag}").parse()?, id));
        tags.into_iter().map(named)
    });
    Ok(each.collect::<Result<_, ReferenceError>>()?)
}

fn document(job: &Job<'_>, id: &str) -> Result<Vec<u8>, ArchiveError> {
    job.members.document(&format!("{id}/json"), NAMES)
}

fn own(id: &str, bytes: &[u8]) -> Result<Own, DocumentError> {
    document::json(&format!("{id}/json"), bytes)
}

fn load_one(
    job: &Job<'_>,
    id: &str,
    names: Vec<Reference>,
    stored: &mut Stored,
) -> Result<Loaded, ArchiveError> {
    job.admit(&names)?;
    let top = document(job, id)?;
    let mut chain = Vec::new();
    let mut next = Some(id.to_owned());
    while let Some(id) = next {
        if chain.len() >= MOST_LAYERS {
            return Err(ArchiveError::Chain {
                image: id,
                most: MOST_LAYERS,
            });
        }
        let own = own(&id, &document(job, &id)?)?;
        next = own.parent.clone().filter(|parent| !parent.is_empty());
        chain.push((id, own));
    }
    chain.reverse();
    let unpacked = unpack_missing(job, &chain, stored)?;
    let warnings = warnings_of(&unpacked);
    let diff_ids: Vec<Digest> = chain.iter().map(|(id, _)| stored[id].clone()).collect();
    let history = chain.iter().map(|(_, own)| history(own)).collect();
    let subject = format!("{id}/json");
    let config = configuration(document::json(&subject, &top)?, &diff_ids, history);
    let parsed = document::parse_config(&subject, &config)?;
    let id = Digest::of(&config);
    job.check_platform(&id, &parsed)?;
    job.store
        .commit_config(&config, &diff_ids, &names, None, unpacked)?;
    Ok(Loaded {
        id,
        names,
        warnings,
    })
}

/// Unpacks what no image of this archive has brought yet.
fn unpack_missing(
    job: &Job<'_>,
    chain: &[(String, Own)],
    stored: &mut Stored,
) -> Result<Vec<Unpacked>, ArchiveError> {
    let mut found = Vec::new();
    let mut unpacked = Vec::new();
    for (id, _) in chain {
        if stored.contains_key(id) || found.iter().any(|(known, _)| known == id) {
            continue;
        }
        let wanted = Wanted {
            member: format!("{id}/layer.tar"),
            by: format!("{id}/json"),
            diff_id: None,
            blob: None,
        };
        let (layer, report) = job.unpack_one(&wanted, &job.options.unpack)?;
        found.push((id.clone(), report.diff_id.clone()));
        unpacked.push((layer, report));
    }
    stored.extend(found);
    Ok(unpacked)
}

fn history(own: &Own) -> Value {
    let mut line = Map::new();
    let command = own.container_config.as_ref().and_then(|by| by.cmd.as_ref());
    let values = [
        ("created", own.created.clone()),
        ("author", own.author.clone()),
        ("created_by", command.map(|words| words.join(" "))),
        ("comment", own.comment.clone()),
    ];
    for (key, value) in values {
        if let Some(value) = value.filter(|text| !text.is_empty()) {
            line.insert(key.to_owned(), value.into());
        }
    }
    Value::Object(line)
}

/// The topmost layer's own, without what places it in this kind of archive, as docker converts it.
fn configuration(
    mut document: Map<String, Value>,
    diff_ids: &[Digest],
    history: Vec<Value>,
) -> Vec<u8> {
    for key in ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"] {
        document.remove(key);
    }
    let host = Platform::host();
    for (key, usual) in [("architecture", host.architecture), ("os", host.os)] {
        let entry = document.entry(key).or_insert(Value::Null);
        if entry.as_str().is_none_or(str::is_empty) {
            *entry = usual.into();
        }
    }
    let ids: Vec<&str> = diff_ids.iter().map(Digest::as_str).collect();
    let rootfs = json!({ "type": "layers", "diff_ids": ids });
    document.insert("rootfs".to_owned(), rootfs);
    document.insert("history".to_owned(), Value::Array(history));
    serde_json::to_vec(&document).expect("plain data always serialises")
}
