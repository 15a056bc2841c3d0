//! `build --annotation` and the `annotation…` fields of outputs: what is noted where. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::image::{Platform, PlatformError};

/// Where a note stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Manifest,
    Index,
    /// What an index says of a manifest; of a manifest without an index the same as [`Place::IndexDescriptor`].
    ManifestDescriptor,
    /// What an OCI layout says of what is in it.
    IndexDescriptor,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    pub place: Place,
    /// None: for all.
    pub platform: Option<Platform>,
    pub name: String,
    pub value: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    #[error("expected NAME=VALUE")]
    Form,
    #[error(
        "unknown annotation type {kind:?}: manifest, index, manifest-descriptor and index-descriptor are known"
    )]
    Kind { kind: String },
    #[error(transparent)]
    Platform(#[from] PlatformError),
    #[error("annotations of an index are for no platform")]
    OfIndex,
}

/// All that a build notes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(pub Vec<Annotation>);

/// `manifest[linux/arm64]`
fn place(text: &str) -> Result<(Place, Option<Platform>), AnnotationError> {
    let (kind, platform) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        Some((kind, platform)) => (kind, Some(platform.parse()?)),
        None => (text, None),
    };
    let place = match kind {
        "manifest" => Place::Manifest,
        "index" => Place::Index,
        "manifest-descriptor" => Place::ManifestDescriptor,
        "index-descriptor" => Place::IndexDescriptor,
        _ => {
            return Err(AnnotationError::Kind {
                kind: kind.to_owned(),
            });
        }
    };
    match (place, &platform) {
        (Place::Index | Place::IndexDescriptor, Some(_)) => Err(AnnotationError::OfIndex),
        _ => Ok((place, platform)),
    }
}

/// A comma between brackets is none.
fn places(text: &str) -> Result<Vec<(Place, Option<Platform>)>, AnnotationError> {
    text.split(',').map(|one| place(one.trim())).collect()
}

impl FromStr for Annotations {
    type Err = AnnotationError;

    /// `[TYPE[PLATFORM][,TYPE…]:]NAME=VALUE`
    fn from_str(text: &str) -> Result<Annotations, AnnotationError> {
        let (key, value) = text.split_once('=').ok_or(AnnotationError::Form)?;
        let (places, name) = match key.split_once(':') {
            Some((kinds, name)) => (places(kinds)?, name),
            None => (vec![(Place::Manifest, None)], key),
        };
        if name.is_empty() {
            return Err(AnnotationError::Form);
        }
        let all = places.into_iter().map(|(place, platform)| Annotation {
            place,
            platform,
            name: name.to_owned(),
            value: value.to_owned(),
        });
        Ok(Annotations(all.collect()))
    }
}

impl Annotations {
    /// A field of an output: `annotation.NAME`, `annotation-TYPE[PLATFORM].NAME`. None: it is another field.
    pub fn of_field(field: &str, value: &str) -> Option<Result<Annotation, AnnotationError>> {
        let rest = field.strip_prefix("annotation")?;
        let (kind, name) = match rest.strip_prefix('.') {
            Some(name) => ("manifest", name),
            // The name of a platform has no dot.
            None => rest.strip_prefix('-')?.split_once('.')?,
        };
        if name.is_empty() {
            return Some(Err(AnnotationError::Form));
        }
        Some(place(kind).map(|(place, platform)| Annotation {
            place,
            platform,
            name: name.to_owned(),
            value: value.to_owned(),
        }))
    }

    /// Those that stand at a place, for a platform.
    pub fn at(&self, place: Place, platform: Option<&Platform>) -> BTreeMap<String, String> {
        let host = Platform::host();
        let platform = platform.unwrap_or(&host);
        let meant = |one: &&Annotation| {
            let of_platform = one.platform.as_ref();
            one.place == place && of_platform.is_none_or(|wanted| wanted == platform)
        };
        let all = self.0.iter().filter(meant);
        all.map(|one| (one.name.clone(), one.value.clone()))
            .collect()
    }

    pub fn has(&self, place: Place) -> bool {
        self.0.iter().any(|one| one.place == place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_says_where_it_stands() {
        let parsed = |text: &str| text.parse::<Annotations>();
        let at = |text: &str, place, platform: Option<&str>| {
            let platform = platform.map(|text| text.parse().expect("valid"));
            parsed(text).expect("valid").at(place, platform.as_ref())
        };
        let one = || BTreeMap::from([("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(at("a=b=c", Place::Manifest, None), one());
        assert!(at("a=b=c", Place::Index, None).is_empty());
        let text = "index,manifest-descriptor[linux/arm64]:a=b=c";
        assert_eq!(at(text, Place::Index, None), one());
        let descriptor = Place::ManifestDescriptor;
        assert_eq!(at(text, descriptor, Some("linux/arm64/v8")), one());
        assert!(at(text, descriptor, Some("linux/amd64")).is_empty());
        for (text, error) in [
            ("a", AnnotationError::Form),
            ("index:=b", AnnotationError::Form),
            ("index[linux/arm64]:a=b", AnnotationError::OfIndex),
        ] {
            assert_eq!(parsed(text), Err(error), "{text}");
        }
        assert!(matches!(
            parsed("planet:a=b"),
            Err(AnnotationError::Kind { .. })
        ));
        let field = |text: &str| Annotations::of_field(text, "b");
        let annotation = field("annotation-manifest[linux/arm64].org.x").expect("one");
        let annotation = annotation.expect("valid");
        assert_eq!(
            (annotation.place, annotation.name.as_str()),
            (Place::Manifest, "org.x")
        );
        assert!(annotation.platform.is_some());
        let plain = field("annotation.a.b").expect("one").expect("valid");
        assert_eq!((plain.name.as_str(), plain.platform), ("a.b", None));
        assert!(field("name").is_none() && field("annotations").is_none());
    }
}
