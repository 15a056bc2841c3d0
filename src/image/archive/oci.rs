//! OCI archives: an image layout in a tar (`index.json`, `blobs/sha256/…`; OCI image spec, `image-layout.md`).

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};

use super::super::digest::Digest;
use super::super::document::{self, Document, media_type};
use super::super::layer::KnownBlob;
use super::super::platform::Platform;
use super::super::reference::Reference;
use super::unpacking::{Wanted, warnings_of};
use super::{ArchiveError, Job, Loaded, OneImage, indexed};

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
        if !is_wanted(job, descriptor) {
            continue;
        }
        let (name, warning) = name(descriptor)?;
        let names: Vec<Reference> = name.into_iter().collect();
        let mut image = match indexed::load(job, &subject, descriptor, &names)? {
            Some(image) => image,
            None => load_one(job, find(job, &subject, descriptor, 0)?, names)?,
        };
        image.warnings.extend(warning);
        loaded.push(image);
    }
    if !loaded.is_empty() {
        return Ok(loaded);
    }
    match &job.options.platform {
        Some(wanted) if !index.manifests().is_empty() => Err(not_offered(&subject, wanted, &index)),
        _ => Err(ArchiveError::NoImages {
            archive: job.members.archive().to_owned(),
        }),
    }
}

/// An image of an index.
pub(super) fn load_unnamed(
    job: &Job<'_>,
    by: &str,
    descriptor: &Descriptor,
) -> Result<Loaded, ArchiveError> {
    load_one(job, find(job, by, descriptor, 1)?, Vec::new())
}

/// One image of a layout, without its names.
pub(super) fn load_only(job: &Job<'_>, one: &OneImage) -> Result<Loaded, ArchiveError> {
    let archive = job.members.archive().to_owned();
    let subject = format!("index.json of {archive}");
    let bytes = job.members.document("index.json", &archive)?;
    let Document::Index(index) = Document::parse(&subject, &bytes, None)? else {
        return Err(ArchiveError::NoImages { archive });
    };
    let all = index.manifests();
    let has_tag = |descriptor: &&Descriptor, tag: &str| {
        let annotations = descriptor.annotations().as_ref();
        let own = annotations.and_then(|all| all.get("org.opencontainers.image.ref.name"));
        own.is_some_and(|own| {
            let full: Option<Reference> = own.parse().ok().filter(|_| own.contains('/'));
            own == tag || full.is_some_and(|name| name.tag() == Some(tag))
        })
    };
    let chosen = match (&one.digest, one.tag.as_deref()) {
        (Some(digest), _) => all
            .iter()
            .find(|descriptor| descriptor.digest().as_ref() == digest.as_str()),
        (None, Some(tag)) => all.iter().find(|descriptor| has_tag(descriptor, tag)),
        (None, None) => match &all[..] {
            [only] => Some(only),
            all => all.iter().find(|descriptor| has_tag(descriptor, "latest")),
        },
    };
    let chosen = chosen.ok_or_else(|| ArchiveError::NotThere {
        archive,
        wanted: match &one.digest {
            Some(digest) => digest.to_string(),
            None => one.tag.clone().unwrap_or_else(|| "latest".to_owned()),
        },
    })?;
    load_one(job, find(job, &subject, chosen, 0)?, Vec::new())
}

/// Not what belongs to an image without being one (buildkit's attestations are for `unknown/unknown`), and not what another
/// platform than the one asked for needs.
fn is_wanted(job: &Job<'_>, descriptor: &Descriptor) -> bool {
    let Some(platform) = descriptor.platform() else {
        return true;
    };
    let asked = job.options.platform.as_ref();
    platform.os().to_string() != "unknown"
        && asked.is_none_or(|wanted| wanted.matches(platform).is_some())
}

/// The image of a directory that is one manifest with its blobs beside it (the `dir:` of skopeo and podman).
pub(super) fn load_bare(job: &Job<'_>) -> Result<Vec<Loaded>, ArchiveError> {
    let name = "manifest.json";
    let bytes = job.members.document(name, job.members.archive())?;
    let subject = format!("{name} of {}", job.members.archive());
    let Document::Manifest(manifest) = Document::parse(&subject, &bytes, None)? else {
        return Err(ArchiveError::NoImages {
            archive: job.members.archive().to_owned(),
        });
    };
    let media_type = manifest.media_type().as_ref().map(ToString::to_string);
    let found = Found {
        digest: Digest::of(&bytes),
        bytes,
        media_type: media_type.unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned()),
        manifest,
    };
    Ok(vec![load_one(job, found, Vec::new())?])
}

/// The spec's own annotation where it is a full name (podman's; umoci changes only this one), else the full name that
/// containerd and buildkit write beside a tag. The spec's may be any word: one that can't name an image is told.
fn name(descriptor: &Descriptor) -> Result<(Option<Reference>, Option<String>), ArchiveError> {
    let annotation = |key: &str| descriptor.annotations().as_ref()?.get(key);
    let own = annotation("org.opencontainers.image.ref.name");
    let full = annotation("io.containerd.image.name");
    if let Some(full) = full.filter(|_| own.is_none_or(|own| !own.contains('/'))) {
        return Ok((Some(full.parse()?), None));
    }
    match own.map(|name| (name, name.parse())) {
        None => Ok((None, None)),
        Some((_, Ok(name))) => Ok((Some(name), None)),
        Some((name, Err(error))) => {
            let warning = format!("loaded without its name {name:?}: {error}");
            Ok((None, Some(warning)))
        }
    }
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
    let host = Platform::host();
    let wanted = job.options.platform.as_ref().unwrap_or(&host);
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
    Err(not_offered(subject, wanted, index))
}

fn not_offered(subject: &str, wanted: &Platform, index: &ImageIndex) -> ArchiveError {
    let offered = index.manifests().iter();
    let offered = offered.filter_map(|descriptor| descriptor.platform().as_ref());
    let offered: Vec<String> = offered
        .map(|platform| Platform::of(platform).to_string())
        .collect();
    ArchiveError::Platform {
        index: subject.to_owned(),
        platform: wanted.clone(),
        offered: offered.join(", "),
    }
}

fn load_one(job: &Job<'_>, found: Found, names: Vec<Reference>) -> Result<Loaded, ArchiveError> {
    job.admit(&names)?;
    let by = format!("manifest {}", found.digest);
    let config_digest = document::descriptor_digest(&by, found.manifest.config())?;
    let config = job.blob(&config_digest, found.manifest.config().size(), &by)?;
    let subject = format!("config {config_digest}");
    let parsed = document::parse_config(&subject, &config)?;
    job.check_platform(&config_digest, &parsed)?;
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
            member: job.blob_name(&digest),
            by: by.clone(),
            diff_id: Some(diff_id.clone()),
            blob: Some(KnownBlob {
                digest,
                size: descriptor.size(),
                media_type: descriptor.media_type().to_string(),
                as_made_here: false,
            }),
        });
    }
    let unpacked = job.unpack_missing(&wanted)?;
    let warnings = warnings_of(&unpacked);
    let media_type = match found.media_type.as_str() {
        media_type::DOCKER_MANIFEST => media_type::DOCKER_MANIFEST,
        _ => media_type::OCI_MANIFEST,
    };
    let id = job.store.commit_image(
        &found.bytes,
        media_type,
        &config,
        &diff_ids,
        &names,
        unpacked,
    )?;
    Ok(Loaded {
        id,
        names,
        warnings,
    })
}
