//! OCI archives: an image layout in a tar (`index.json`, `blobs/sha256/…`; OCI image spec, `image-layout.md`).

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use super::super::digest::Digest;
use super::super::document::{self, Document, media_type};
use super::super::reference::Reference;
use super::unpacking::Wanted;
use super::{ArchiveError, Job, Loaded};

/// A manifest with the media type it was described by.
struct Found {
    digest: Digest,
    bytes: Vec<u8>,
    media_type: String,
    manifest: Box<ImageManifest>,
}

pub(super) fn load(job: &Job<'_>) -> Result<Vec<Loaded>, ArchiveError> {
    let subject = format!("index.json of {}", job.members.archive());
    let bytes = job.members.document("index.json", job.members.archive())?;
    let Document::Index(index) = Document::parse(&subject, &bytes, None)? else {
        return Err(ArchiveError::NoImages {
            archive: job.members.archive().to_owned(),
        });
    };
    let mut loaded = Vec::new();
    for descriptor in index.manifests() {
        let names: Vec<Reference> = name(descriptor)?.into_iter().collect();
        let found = find(job, &subject, descriptor, 0)?;
        loaded.push(load_one(job, found, names)?);
    }
    if loaded.is_empty() {
        return Err(ArchiveError::NoImages {
            archive: job.members.archive().to_owned(),
        });
    }
    Ok(loaded)
}

/// The full name containerd and buildkit write beside the tag, else the spec's own annotation.
fn name(descriptor: &Descriptor) -> Result<Option<Reference>, ArchiveError> {
    let Some(annotations) = descriptor.annotations() else {
        return Ok(None);
    };
    let full = annotations.get("io.containerd.image.name");
    let name = full.or_else(|| annotations.get("org.opencontainers.image.ref.name"));
    Ok(name.map(|name| name.parse()).transpose()?)
}

fn find(
    job: &Job<'_>,
    by: &str,
    descriptor: &Descriptor,
    depth: u32,
) -> Result<Found, ArchiveError> {
    let digest = document::descriptor_digest(by, descriptor)?;
    let bytes = job.blob(&digest, descriptor.size(), by)?;
    let subject = format!("manifest {digest}");
    let announced = descriptor.media_type().to_string();
    match Document::parse(&subject, &bytes, Some(&announced))? {
        Document::Manifest(manifest) => {
            let inner = manifest.media_type().as_ref().map(ToString::to_string);
            Ok(Found {
                digest,
                bytes,
                media_type: inner.unwrap_or(announced),
                manifest,
            })
        }
        Document::Index(_) if depth >= 2 => Err(ArchiveError::Nesting { index: subject }),
        Document::Index(index) => {
            let best = choose(job, &subject, &index)?;
            find(job, &subject, best, depth + 1)
        }
    }
}

/// The descriptor that fits the wanted platform best; one without a platform fits only if it is alone.
fn choose<'i>(
    job: &Job<'_>,
    subject: &str,
    index: &'i ImageIndex,
) -> Result<&'i Descriptor, ArchiveError> {
    let wanted = &job.options.platform;
    let ranked = index.manifests().iter().filter_map(|descriptor| {
        let rank = wanted.matches(descriptor.platform().as_ref()?)?;
        Some((rank, descriptor))
    });
    if let Some((_, best)) = ranked.min_by_key(|(rank, _)| *rank) {
        return Ok(best);
    }
    if let [only] = &index.manifests()[..]
        && only.platform().is_none()
    {
        return Ok(only);
    }
    let offered = index
        .manifests()
        .iter()
        .filter_map(|d| d.platform().as_ref());
    let offered: Vec<String> = offered
        .map(|platform| super::Platform::of(platform).to_string())
        .collect();
    Err(ArchiveError::Platform {
        index: subject.to_owned(),
        platform: wanted.clone(),
        offered: offered.join(", "),
    })
}

fn load_one(job: &Job<'_>, found: Found, names: Vec<Reference>) -> Result<Loaded, ArchiveError> {
    let by = format!("manifest {}", found.digest);
    let config_digest = document::descriptor_digest(&by, found.manifest.config())?;
    let config = job.blob(&config_digest, found.manifest.config().size(), &by)?;
    let subject = format!("config {config_digest}");
    let parsed = document::parse_config(&subject, &config)?;
    let diff_ids = document::diff_ids(&subject, &parsed)?;
    let layers = found.manifest.layers();
    if diff_ids.len() != layers.len() {
        return Err(ArchiveError::LayerCount {
            image: config_digest.to_string(),
            listed: diff_ids.len(),
            found: layers.len(),
        });
    }
    let mut wanted = Vec::new();
    for (diff_id, descriptor) in diff_ids.iter().zip(layers) {
        let digest = document::descriptor_digest(&by, descriptor)?;
        wanted.push(Wanted {
            member: format!("blobs/sha256/{}", digest.hex()),
            by: by.clone(),
            diff_id: diff_id.clone(),
            blob: Some((digest, descriptor.size())),
        });
    }
    let warnings = job.store_layers(&wanted)?;
    let media_type = match found.media_type.as_str() {
        media_type::DOCKER_MANIFEST => media_type::DOCKER_MANIFEST,
        _ => media_type::OCI_MANIFEST,
    };
    let id = job
        .store
        .commit_image(&found.bytes, media_type, &config, &diff_ids, &names)?;
    Ok(Loaded {
        id,
        names,
        warnings,
    })
}
