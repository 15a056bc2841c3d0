//! The rows of `images` and its filters, in docker's meaning.

use std::collections::HashMap;

use super::super::EngineError;
use super::super::request::{ImageFilters, ListImagesRequest};
use crate::image::{self, Digest, NameEntry, Names, Reference, Store, StoreError};

/// One row: a name of an image, or an image without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRow {
    pub id: Digest,
    /// As docker shows it, without `docker.io/library/`; none for an image without a name.
    pub repository: Option<String>,
    /// None where only a digest is left of the name.
    pub tag: Option<String>,
    /// The digest a pull of this repository was answered with.
    pub digest: Option<Digest>,
    /// The index that the name stands for.
    pub index: Option<Digest>,
    pub created: Option<jiff::Timestamp>,
    /// Bytes of the unpacked layers.
    pub size: u64,
}

/// Images without a name only where they are asked for, as docker 29 has it.
pub(super) fn rows(
    store: &Store,
    request: &ListImagesRequest,
) -> Result<Vec<ImageRow>, EngineError> {
    let names = store.names()?;
    let mut patterns = request.filters.reference.clone();
    patterns.extend(request.pattern.clone());
    let (before, since) = (
        created_of(&names, request.filters.before.as_deref())?,
        created_of(&names, request.filters.since.as_deref())?,
    );
    let mut rows = Vec::new();
    for entries in by_image(&names) {
        let created = created(entries[0]);
        let in_time = before.is_none_or(|limit| created < limit)
            && since.is_none_or(|limit| created > limit)
            && request
                .filters
                .until
                .is_none_or(|limit| created.is_some_and(|created| created < limit.0));
        let dangling = entries.iter().all(|entry| tag_of(entry).is_none());
        let nameless = entries.iter().all(|entry| entry.reference.is_none());
        let asked_for = request.all || request.filters.dangling == Some(true);
        if (asked_for || !nameless)
            && in_time
            && request
                .filters
                .dangling
                .is_none_or(|wanted| wanted == dangling)
            && has_labels(store, &entries[0].id, &request.filters)?
        {
            rows.extend(rows_of(&entries, &patterns));
        }
    }
    rows.sort_by(|a, b| {
        (b.created, &a.repository, &a.tag).cmp(&(a.created, &b.repository, &b.tag))
    });
    Ok(rows)
}

pub(super) fn tag_of(entry: &NameEntry) -> Option<&str> {
    entry.reference.as_ref().and_then(Reference::tag)
}

/// The entries of each image, in the order of the index.
pub(super) fn by_image(names: &Names) -> Vec<Vec<&NameEntry>> {
    let mut places: HashMap<(&Digest, Option<&Digest>), usize> = HashMap::new();
    let mut images: Vec<Vec<&NameEntry>> = Vec::new();
    // An index is one image.
    let own = names.entries.iter();
    for entry in own.filter(|entry| entry.member_of().is_none()) {
        // One without a name is none of the image's names.
        let nameless = entry.head().filter(|_| entry.reference.is_none());
        let place = *places.entry((&entry.id, nameless)).or_insert_with(|| {
            images.push(Vec::new());
            images.len() - 1
        });
        images[place].push(entry);
    }
    images
}

/// A digest is shown beside the tags of its repository; alone it makes a row of its own.
fn rows_of(entries: &[&NameEntry], patterns: &[String]) -> Vec<ImageRow> {
    let row = |entry: &NameEntry, tag: Option<&str>, digest: Option<&Digest>| ImageRow {
        id: entry.id.clone(),
        repository: entry.reference.as_ref().map(Reference::familiar_name),
        tag: tag.map(str::to_owned),
        digest: digest.cloned(),
        index: entry.head().cloned(),
        created: created(entry),
        size: entry.size,
    };
    let mut rows = Vec::new();
    for entry in entries {
        let Some(reference) = &entry.reference else {
            if patterns.is_empty() {
                rows.push(row(entry, None, None));
            }
            continue;
        };
        if !patterns.is_empty() && !patterns.iter().any(|pattern| fits(pattern, reference)) {
            continue;
        }
        let of_repository = |other: &&&NameEntry| {
            let other = other.reference.as_ref();
            other.is_some_and(|other| other.name() == reference.name())
        };
        let mut siblings = entries.iter().filter(of_repository);
        match (reference.tag(), reference.digest()) {
            (Some(tag), _) => {
                // The same image may be there by other manifests, with other layers' digests.
                let known = siblings.filter_map(|other| {
                    let digest = other.reference.as_ref()?.digest()?;
                    Some((other.manifest != entry.manifest, digest))
                });
                let digest = known.min_by_key(|(is_other, _)| *is_other);
                let digest = digest.map(|(_, digest)| digest);
                let digest = entry.head().or(digest);
                rows.push(row(entry, Some(tag), digest));
            }
            (None, digest) if siblings.all(|other| tag_of(other).is_none()) => {
                rows.push(row(entry, None, digest));
            }
            _ => {}
        }
    }
    rows
}

fn created(entry: &NameEntry) -> Option<jiff::Timestamp> {
    entry.created.as_deref()?.parse().ok()
}

fn created_of(
    names: &Names,
    text: Option<&str>,
) -> Result<Option<Option<jiff::Timestamp>>, EngineError> {
    let Some(text) = text else { return Ok(None) };
    let (entry, _) = image::find(names, text)?;
    Ok(Some(created(entry)))
}

/// Only where labels are asked for is a config read.
fn has_labels(store: &Store, id: &Digest, filters: &ImageFilters) -> Result<bool, EngineError> {
    if filters.labels.is_empty() {
        return Ok(true);
    }
    let subject = format!("config of image {id}");
    let config = image::parse_config(&subject, &store.read_blob(id)?).map_err(StoreError::from)?;
    let labels = config.labels_of_config().into_iter().flatten();
    let labels = labels.map(|(key, value)| (key.clone(), value.clone()));
    Ok(filters.labels.fit(&labels.collect()))
}

/// Docker's `reference.FamiliarMatch`: the pattern fits the short name with or without its tag.
fn fits(pattern: &str, reference: &Reference) -> bool {
    let whole = reference.familiar();
    let name = reference.familiar_name();
    // A full name is accepted too: what was typed to pull finds what was pulled.
    let full = reference.to_string();
    [whole.as_str(), &name, &full, &reference.name()]
        .iter()
        .any(|text| glob(pattern.as_bytes(), text.as_bytes()))
}

/// Go's `path.Match`: `*` and `?` stop at `/`, `[a-z]` is a class, `\` takes the next byte as it is.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            let end = text
                .iter()
                .position(|byte| *byte == b'/')
                .unwrap_or(text.len());
            (0..=end).any(|taken| glob(rest, &text[taken..]))
        }
        ([b'?', rest @ ..], [byte, text @ ..]) => *byte != b'/' && glob(rest, text),
        ([b'[', rest @ ..], [byte, text @ ..]) => match class(rest, *byte) {
            Some((true, rest)) => glob(rest, text),
            _ => false,
        },
        ([b'\\', wanted, rest @ ..], [byte, text @ ..]) => wanted == byte && glob(rest, text),
        ([wanted, rest @ ..], [byte, text @ ..]) => wanted == byte && glob(rest, text),
        _ => false,
    }
}

/// Whether a byte is in the class that begins here, and what follows the class; `None` if it never ends.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    let mut first = true;
    loop {
        match rest {
            [b']', after @ ..] if !first => return Some((found != negated, after)),
            [low, b'-', high, after @ ..] if *high != b']' => {
                found |= (*low..=*high).contains(&byte);
                rest = after;
            }
            [one, after @ ..] => {
                found |= *one == byte;
                rest = after;
            }
            [] => return None,
        }
        first = false;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::image::media_type;

    fn entry(name: Option<&str>, image: &str, created: &str) -> NameEntry {
        NameEntry {
            reference: name.map(|name| name.parse().unwrap()),
            manifest: Digest::of(image.as_bytes()),
            manifest_size: 1,
            media_type: media_type::OCI_MANIFEST.to_owned(),
            id: Digest::of(image.as_bytes()),
            created: Some(created.to_owned()),
            size: 1,
            index: None,
        }
    }

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text) in [
            ("debian", "debian"),
            ("deb*", "debian"),
            ("*/x:1.*", "quay/x:1.2"),
            ("d[a-f]bian", "debian"),
            ("d[^a-d]bian", "debian"),
            ("debia?", "debian"),
            ("a\\*", "a*"),
        ] {
            assert!(
                glob(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for (pattern, text) in [
            ("deb", "debian"),
            ("*", "quay/x"),
            ("d[a-d]bian", "debian"),
            ("[", "["),
            ("debian?", "debian"),
        ] {
            assert!(
                !glob(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn an_image_has_a_row_for_each_tag_and_digests_beside_them() {
        let digest = Digest::of(b"pulled");
        let at = "2024-01-01T00:00:00Z";
        let with_digest = format!("x@{digest}");
        let entries = [
            entry(Some("x:1"), "a", at),
            entry(Some("x:2"), "a", at),
            entry(Some(&with_digest), "a", at),
            entry(Some("y:1"), "a", at),
        ];
        let entries: Vec<&NameEntry> = entries.iter().collect();
        let shown = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
            let rows = rows_of(&entries, &patterns);
            let line = |row: ImageRow| {
                let digest = row.digest.map_or("-", |_| "digest");
                format!(
                    "{} {} {digest}",
                    row.repository.unwrap(),
                    row.tag.unwrap_or_default()
                )
            };
            rows.into_iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), ["x 1 digest", "x 2 digest", "y 1 -"]);
        assert_eq!(shown(&["x:2"]), ["x 2 digest"]);
        assert_eq!(shown(&["y"]), ["y 1 -"]);
        let moved = entry(Some(&with_digest), "a", at);
        let rows = rows_of(&[&moved], &[]);
        assert_eq!(
            (rows[0].tag.clone(), rows[0].repository.as_deref()),
            (None, Some("x"))
        );
    }
}
