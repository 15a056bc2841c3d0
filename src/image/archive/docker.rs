//! Docker archives: `manifest.json` names a config and the layers' tars for each image (`docker save`, `podman save`).

use serde::Deserialize;

use super::super::digest::Digest;
use super::super::document;
use super::super::reference::Reference;
use super::unpacking::{Wanted, warnings_of};
use super::{ArchiveError, Job, Loaded};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

pub(super) fn load(job: &Job<'_>) -> Result<Vec<Loaded>, ArchiveError> {
    let name = "manifest.json";
    let bytes = job.members.document(name, job.members.archive())?;
    let items: Vec<Item> = document::json(&format!("{name} of {}", job.members.archive()), &bytes)?;
    // Everything is checked for names before anything is stored.
    let mut named = Vec::new();
    for item in items {
        let tags = item.repo_tags.iter().flatten().map(|tag| tag.parse());
        let tags: Vec<Reference> = tags.collect::<Result<_, _>>()?;
        named.push((item, tags));
    }
    let load = |(item, names)| load_one(job, &item, names);
    named.into_iter().map(load).collect()
}

fn load_one(job: &Job<'_>, item: &Item, names: Vec<Reference>) -> Result<Loaded, ArchiveError> {
    job.admit(&names)?;
    let config = job.members.document(&item.config, "manifest.json")?;
    let id = Digest::of(&config);
    let subject = format!("config {}", item.config);
    let parsed = document::parse_config(&subject, &config)?;
    job.check_platform(&id, &parsed)?;
    let diff_ids = document::diff_ids(&subject, &parsed)?;
    let members = item.layers.as_deref().unwrap_or_default();
    if diff_ids.len() != members.len() {
        return Err(ArchiveError::LayerCount {
            image: id.to_string(),
            listed: diff_ids.len(),
            found: members.len(),
        });
    }
    let pairs = diff_ids.iter().zip(members);
    let wanted: Vec<Wanted> = pairs
        .map(|(diff_id, member)| Wanted {
            member: member.clone(),
            by: "manifest.json".to_owned(),
            diff_id: Some(diff_id.clone()),
            blob: None,
        })
        .collect();
    let unpacked = job.unpack_missing(&wanted)?;
    let warnings = warnings_of(&unpacked);
    job.store
        .commit_config(&config, &diff_ids, &names, None, unpacked)?;
    Ok(Loaded {
        id,
        names,
        warnings,
    })
}
