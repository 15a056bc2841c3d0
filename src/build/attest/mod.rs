//! What a build says of its image: a bill of materials (SPDX 2.3), and where it came from (SLSA 1). Pure; reads no image itself.

mod provenance;
mod spdx;

use serde::{Deserialize, Serialize};

pub use provenance::{Detail, provenance};
pub use spdx::bill;

/// What a build was given from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Material {
    /// Without credentials.
    pub uri: String,
    /// `sha256` or `sha1`, and its hex digits.
    pub digest: (String, String),
}

/// A URL without a user, a password and what follows a question mark: none of it says what was fetched.
pub fn without_secrets(url: &str) -> String {
    let url = url.split('?').next().unwrap_or(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = match rest.find('/') {
                Some(at) => rest.split_at(at),
                None => (rest, ""),
            };
            let host = host.rsplit('@').next().unwrap_or(host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_material_has_no_credentials() {
        for (url, shown) in [
            ("https://me:pw@host/a.git", "https://host/a.git"),
            ("https://host/a?token=x", "https://host/a"),
            ("https://host", "https://host"),
            ("git@host:a/b", "git@host:a/b"),
            ("https://host/a@b", "https://host/a@b"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
