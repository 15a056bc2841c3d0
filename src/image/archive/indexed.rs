//! Images for several platforms, and what is said of them, in an OCI archive: loaded as one index under its names. An archive that
//! has one image of an index, as after `save --platform`, is left to `oci`.

use std::collections::BTreeMap;
use std::io::Read;

use super::super::digest::Digest;
use super::super::document::{self, Document, DocumentError, media_type};
use super::super::indexes::{ABOUT, Index, IndexedImage, KIND, MAX_STATEMENT};
use super::super::reference::Reference;
use super::super::save::Said;
use super::super::verify::VerifyingReader;
use super::{ArchiveError, Job, Loaded, oci};
use oci_spec::image::{Descriptor, ImageIndex};
use serde_json::Value;

/// Whether the layout of an archive that has a docker archive's list too says more than that list can.
pub(super) fn is_anywhere(job: &Job<'_>) -> Result<bool, ArchiveError> {
    let subject = format!("index.json of {}", job.members.archive());
    let bytes = job.members.document("index.json", job.members.archive())?;
    let Document::Index(index) = Document::parse(&subject, &bytes, None)? else {
        return Ok(false);
    };
    for one in index.manifests() {
        if wanted(job, &subject, one)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `None`: it is no index, or nothing is in it that one image would not have.
pub(super) fn load(
    job: &Job<'_>,
    by: &str,
    descriptor: &Descriptor,
    names: &[Reference],
) -> Result<Option<Loaded>, ArchiveError> {
    let Some(index) = wanted(job, by, descriptor)? else {
        return Ok(None);
    };
    job.admit(names)?;
    let subject = format!("index {}", descriptor.digest());
    let mut found = Index::default();
    let mut warnings = Vec::new();
    for one in images(job, &subject, &index)? {
        let digest = document::descriptor_digest(&subject, one)?;
        let image = oci::load_unnamed(job, &subject, one)?;
        warnings.extend(image.warnings);
        found.images.push(IndexedImage {
            id: image.id,
            said: said(job, &subject, &index, &digest)?,
            manifest: digest,
            annotations: annotations(one),
        });
    }
    let of_index = index.annotations().iter().flatten();
    found.annotations = of_index.map(|(k, v)| (k.clone(), v.clone())).collect();
    job.store.commit_index(&found, names)?;
    let id = job.store.head_of(&found)?;
    Ok(id.map(|id| Loaded {
        id,
        names: names.to_vec(),
        warnings,
    }))
}

/// An index of which more than one image is there, or one and what is said of it.
fn wanted(
    job: &Job<'_>,
    by: &str,
    descriptor: &Descriptor,
) -> Result<Option<Box<ImageIndex>>, ArchiveError> {
    let announced = descriptor.media_type().to_string();
    let is_index = [media_type::OCI_INDEX, media_type::DOCKER_LIST].contains(&announced.as_str());
    if !is_index || job.options.platform.is_some() {
        return Ok(None);
    }
    let digest = document::descriptor_digest(by, descriptor)?;
    let subject = format!("index {digest}");
    let bytes = job.blob(&digest, descriptor.size(), by)?;
    let Document::Index(index) = Document::parse(&subject, &bytes, Some(&announced))? else {
        return Ok(None);
    };
    let images = images(job, &subject, &index)?;
    let mut said = false;
    for one in index.manifests().iter().filter(|one| is_statement(one)) {
        said |= is_there(job, &subject, one)?;
    }
    let is_more = images.len() > 1 || images.len() == 1 && said;
    Ok(is_more.then_some(index))
}

/// Those that can be run and are in the archive.
fn images<'i>(
    job: &Job<'_>,
    subject: &str,
    index: &'i ImageIndex,
) -> Result<Vec<&'i Descriptor>, ArchiveError> {
    let mut found = Vec::new();
    for one in index.manifests() {
        let is_known = one
            .platform()
            .as_ref()
            .is_some_and(|platform| platform.os().to_string() != "unknown");
        if is_known && !is_statement(one) && is_there(job, subject, one)? {
            found.push(one);
        }
    }
    Ok(found)
}

fn is_there(job: &Job<'_>, by: &str, one: &Descriptor) -> Result<bool, ArchiveError> {
    let digest = document::descriptor_digest(by, one)?;
    Ok(job.members.has(&job.blob_name(&digest)))
}

fn annotations(one: &Descriptor) -> BTreeMap<String, String> {
    let all = one.annotations().iter().flatten();
    all.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn is_statement(one: &Descriptor) -> bool {
    annotations(one).contains_key(KIND)
}

/// What is said of a manifest of the index.
fn said(
    job: &Job<'_>,
    subject: &str,
    index: &ImageIndex,
    manifest: &Digest,
) -> Result<Said, ArchiveError> {
    let mut said = Said::default();
    for one in index.manifests() {
        let is_about = annotations(one).get(ABOUT).map(String::as_str) == Some(manifest.as_str());
        if !is_statement(one) || !is_about || !is_there(job, subject, one)? {
            continue;
        }
        let digest = document::descriptor_digest(subject, one)?;
        let by = format!("manifest {digest}");
        let bytes = job.blob(&digest, one.size(), subject)?;
        let Document::Manifest(statements) = Document::parse(&by, &bytes, None)? else {
            continue;
        };
        for layer in statements.layers() {
            said.add(statement(job, &by, layer)?);
        }
    }
    Ok(said)
}

/// Larger than other documents: a bill of materials.
fn statement(job: &Job<'_>, by: &str, layer: &Descriptor) -> Result<Value, ArchiveError> {
    let digest = document::descriptor_digest(by, layer)?;
    let member = job.blob_name(&digest);
    let section = job.members.open(&member, by)?;
    if section.size() > MAX_STATEMENT {
        return Err(DocumentError::TooLarge { subject: member }.into());
    }
    let mut reader = VerifyingReader::new(section, digest, layer.size());
    let mut bytes = Vec::new();
    let read = reader.read_to_end(&mut bytes);
    read.map_err(|source| ArchiveError::Content {
        member: member.clone(),
        source,
    })?;
    let parsed = serde_json::from_slice(&bytes);
    Ok(parsed.map_err(|source| DocumentError::Json {
        subject: member,
        source,
    })?)
}
