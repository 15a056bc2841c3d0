//! What a signature says, in the form that containers' simple signing and cosign share (containers-signature(5)). Pure.

use serde::Deserialize;

use crate::image::{Digest, Reference};

/// Why a signature does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureFault {
    #[error("it was not made with a key that counts")]
    Key,
    #[error("it has expired, or its key has")]
    Expired,
    #[error("it is of {signed}")]
    OtherDigest { signed: String },
    #[error("it is of the repository or tag {signed:?}")]
    OtherName { signed: String },
    #[error("it cannot be read: {reason}")]
    Malformed { reason: String },
}

impl SignatureFault {
    pub fn malformed(reason: impl ToString) -> SignatureFault {
        let reason = reason.to_string();
        SignatureFault::Malformed {
            reason: super::super::exchange::printable(&reason, 200),
        }
    }
}

/// Unknown members next to these are allowed; within what is critical they would be ignored at one's peril.
#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    #[serde(rename = "type")]
    kind: String,
    identity: Identity,
    image: Image,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: Digest,
}

/// Compares what was signed with what is wanted. The bytes have to be verified before.
pub fn check(
    bytes: &[u8],
    kind: &str,
    reference: &Reference,
    digests: &[Digest],
) -> Result<(), SignatureFault> {
    let payload: Payload = serde_json::from_slice(bytes).map_err(SignatureFault::malformed)?;
    let Critical {
        kind: signed_kind,
        identity,
        image,
    } = payload.critical;
    if signed_kind != kind {
        return Err(SignatureFault::malformed(format!(
            "it is a {signed_kind:?}"
        )));
    }
    if !digests.contains(&image.digest) {
        return Err(SignatureFault::OtherDigest {
            signed: image.digest.to_string(),
        });
    }
    match is_of(&identity.reference, reference) {
        true => Ok(()),
        false => Err(SignatureFault::OtherName {
            signed: super::super::exchange::printable(&identity.reference, 200),
        }),
    }
}

/// containers' `matchRepoDigestOrExact`, and cosign's names without tags: the repository, and the tag where both have one.
fn is_of(signed: &str, wanted: &Reference) -> bool {
    let Ok(parsed) = signed.parse::<Reference>() else {
        return false;
    };
    let last = signed.rsplit('/').next().unwrap_or(signed);
    let has_tag = last
        .split('@')
        .next()
        .is_some_and(|name| name.contains(':'));
    let by_tag = has_tag && wanted.digest().is_none();
    parsed.name() == wanted.name() && (!by_tag || parsed.tag() == wanted.tag())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(name: &str, digest: &Digest) -> Vec<u8> {
        let text = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{name}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"t"}},"optional":null}}"#
        );
        text.into_bytes()
    }

    fn checked(bytes: &[u8], name: &str) -> Result<(), SignatureFault> {
        let reference = name.parse().expect("valid");
        check(bytes, "t", &reference, &[Digest::of(b"a")])
    }

    #[test]
    fn repository_and_tag_have_to_be_the_wanted_ones() {
        let digest = Digest::of(b"a");
        for (signed, wanted, right) in [
            ("h.io/x", "h.io/x:1", true),
            ("h.io/x:1", "h.io/x:1", true),
            ("h.io/x:1", "h.io/x:2", false),
            ("h.io/x:1", &format!("h.io/x@{digest}"), true),
            ("h.io/y", "h.io/x:1", false),
            ("x", "h.io/x:1", false),
            ("debian", "docker.io/library/debian:12", true),
            ("h.io:5000/x", "h.io/x", false),
            ("", "h.io/x", false),
        ] {
            let found = checked(&payload(signed, &digest), wanted);
            assert_eq!(found.is_ok(), right, "{signed} for {wanted}: {found:?}");
        }
    }

    #[test]
    fn what_is_critical_has_to_be_understood() {
        let digest = Digest::of(b"a");
        let right = String::from_utf8(payload("h.io/x", &digest)).expect("text");
        assert_eq!(checked(right.as_bytes(), "h.io/x"), Ok(()));
        let wrong = payload("h.io/x", &Digest::of(b"b"));
        assert!(matches!(
            checked(&wrong, "h.io/x"),
            Err(SignatureFault::OtherDigest { .. })
        ));
        for text in [
            right.replace(r#""type":"t""#, r#""type":"u""#),
            right.replace(r#""type":"t""#, r#""type":"t","also":1"#),
            right.replace(r#""type":"t""#, r#""type":"t","type":"t""#),
            right.replace("sha256:", "md5:"),
            right.replace("critical", "Critical"),
            right[..right.len() - 1].to_owned(),
            String::new(),
        ] {
            assert!(
                matches!(
                    checked(text.as_bytes(), "h.io/x"),
                    Err(SignatureFault::Malformed { .. })
                ),
                "{text}"
            );
        }
    }
}
