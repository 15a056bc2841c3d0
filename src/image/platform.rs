//! Platforms: what an image was built for, and which of several fits this host best.

use std::fmt;
use std::str::FromStr;

/// `os/architecture[/variant]` in Go's words (`linux/amd64`, `linux/arm64/v8`), normalised as containerd does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PlatformError {
    #[error("platform {text:?} is not os/architecture[/variant], as in linux/arm64/v8")]
    Malformed { text: String },
}

impl Platform {
    /// What this machine runs natively.
    pub fn host() -> Platform {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
            other => (other, None),
        };
        Platform::normalised("linux", architecture, variant)
    }

    fn normalised(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let os = os.to_ascii_lowercase();
        let architecture = architecture.to_ascii_lowercase();
        let variant = variant.map(str::to_ascii_lowercase);
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
            ("i386" | "i686" | "386", other) => ("386", other),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", Some("v8")),
            ("aarch64" | "arm64", other) => ("arm64", other),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("6")) => ("arm", Some("v6")),
            (other, variant) => (other, variant),
        };
        Platform {
            os,
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// The platform an index's descriptor names, in this type's normal form.
    pub fn of(offered: &oci_spec::image::Platform) -> Platform {
        Platform::normalised(
            &offered.os().to_string(),
            &offered.architecture().to_string(),
            offered.variant().as_deref(),
        )
    }

    /// The platform an image's config names.
    pub fn of_config(config: &oci_spec::image::ImageConfiguration) -> Platform {
        Platform::normalised(
            &config.os().to_string(),
            &config.architecture().to_string(),
            config.variant().as_deref(),
        )
    }

    /// How well an offered platform serves this one: `None` does not run, 0 fits exactly, more is worse.
    pub fn matches(&self, offered: &oci_spec::image::Platform) -> Option<u32> {
        self.rank(&Platform::of(offered))
    }

    /// As [`Platform::matches`], for a platform already in normal form.
    pub fn rank(&self, offered: &Platform) -> Option<u32> {
        if self.os != offered.os {
            return None;
        }
        let level =
            |platform: &Platform| platform.variant.as_deref().map_or(Some(1), variant_level);
        if self.architecture == offered.architecture {
            if self.variant == offered.variant {
                return Some(0);
            }
            // A newer processor of the same family runs what was built for an older one.
            return match (level(self), level(offered)) {
                (Some(ours), Some(theirs)) if theirs < ours => Some(ours - theirs),
                _ => None,
            };
        }
        None
    }
}

fn variant_level(variant: &str) -> Option<u32> {
    variant.strip_prefix('v')?.parse().ok()
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Platform, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.len() <= 64
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let malformed = || PlatformError::Malformed {
            text: text.to_owned(),
        };
        if !parts.iter().all(word) {
            return Err(malformed());
        }
        match parts[..] {
            // One word is the architecture or the system, the other is the host's (as docker reads it).
            ["linux"] => Ok(Platform::host()),
            [one] if KNOWN_ARCHITECTURES.contains(&one) => {
                Ok(Platform::normalised("linux", one, None))
            }
            [os, architecture] => Ok(Platform::normalised(os, architecture, None)),
            [os, architecture, variant] => {
                Ok(Platform::normalised(os, architecture, Some(variant)))
            }
            _ => Err(malformed()),
        }
    }
}

const KNOWN_ARCHITECTURES: [&str; 15] = [
    "amd64", "x86_64", "x86-64", "386", "i386", "arm64", "aarch64", "arm", "armhf", "armel",
    "ppc64le", "s390x", "riscv64", "mips64le", "loong64",
];

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Platform {
        text.parse().expect("valid")
    }

    #[test]
    fn spellings_of_one_platform_are_equal() {
        assert_eq!(parse("linux/x86_64"), parse("linux/amd64"));
        assert_eq!(parse("linux/arm64"), parse("linux/arm64/v8"));
        assert_eq!(parse("linux/arm"), parse("linux/arm/v7"));
        assert_eq!(parse("arm64"), parse("linux/aarch64"));
        assert_eq!(parse("linux/arm64").to_string(), "linux/arm64/v8");
    }

    #[test]
    fn older_variants_run_and_newer_do_not() {
        assert_eq!(parse("linux/arm/v7").rank(&parse("linux/arm/v6")), Some(1));
        assert_eq!(parse("linux/arm/v6").rank(&parse("linux/arm/v7")), None);
        assert_eq!(parse("linux/amd64/v3").rank(&parse("linux/amd64")), Some(2));
        assert_eq!(parse("linux/amd64").rank(&parse("linux/amd64/v3")), None);
        assert_eq!(parse("linux/amd64").rank(&parse("linux/arm64")), None);
        assert_eq!(parse("linux/amd64").rank(&parse("windows/amd64")), None);
    }

    #[test]
    fn malformed_platforms_are_refused() {
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/am d64", "nonsense"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?} was accepted");
        }
    }
}
