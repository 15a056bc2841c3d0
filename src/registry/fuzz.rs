//! What is fuzzed of this module: what registries answer. Each function takes any bytes and fails only where a promise is broken.

use super::challenge;
use super::manifest::{self, Document};

/// `WWW-Authenticate`.
pub fn challenges(bytes: &[u8]) {
    if let Ok(header) = std::str::from_utf8(bytes) {
        let found = challenge::parse(header);
        assert!(found.len() <= bytes.len());
    }
}

/// A manifest or an index; never both, whatever it was sent as.
pub fn documents(bytes: &[u8]) {
    for header in [
        None,
        Some(manifest::OCI_MANIFEST),
        Some(manifest::OCI_INDEX),
        Some("text/plain"),
    ] {
        let parsed = manifest::parse(bytes, header);
        if let Ok((Document::Manifest(manifest), _)) = &parsed {
            assert!(manifest.layers.len() <= 500);
        }
        let shaped = manifest::shape(bytes, header);
        assert!(parsed.is_err() || shaped.is_ok());
    }
    let _ = manifest::blobs(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::corpus::replay;

    #[test]
    fn the_corpora_hold_no_finding() {
        replay("challenges", challenges);
        replay("answers", documents);
        replay("documents", documents);
    }
}
