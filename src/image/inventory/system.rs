//! The databases of dpkg and apk. Pure.

use super::found::{Found, Told};

/// Of a word of `os-release`, which each package's URL repeats.
const WORD_MAX: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum System {
    Dpkg,
    Apk,
}

/// What a path in the image is, if it is such a database.
pub(super) fn kind(path: &str) -> Option<System> {
    match path {
        "var/lib/dpkg/status" => Some(System::Dpkg),
        "lib/apk/db/installed" | "usr/lib/apk/db/installed" => Some(System::Apk),
        // Distroless images have a file for each package.
        _ => match path.strip_prefix("var/lib/dpkg/status.d/") {
            Some(name) if !name.contains(['/', '.']) => Some(System::Dpkg),
            _ => None,
        },
    }
}

/// A value of `os-release`, without its quotes; one that is too long is none.
pub fn release_field(text: &str, key: &str) -> String {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = value.map(|value| value.trim_matches(['"', '\'']));
    let value = value.filter(|value| value.len() <= WORD_MAX);
    value.unwrap_or_default().to_owned()
}

/// Of lines `KEY: VALUE`; what continues a value begins with a space and is left out.
fn value<'a>(paragraph: &'a str, key: &str) -> &'a str {
    let mut lines = paragraph.lines();
    let found = lines.find_map(|line| {
        let (known, value) = line.split_once(':')?;
        (known == key).then(|| value.trim())
    });
    found.unwrap_or_default()
}

impl System {
    pub fn read(self, text: &str, system: &str, release: &str, found: &mut Found<'_>) {
        let distribution = match release.is_empty() {
            true => system.to_owned(),
            false => format!("{system}-{release}"),
        };
        for paragraph in text.split("\n\n") {
            self.package(paragraph, system, &distribution, found);
        }
    }

    fn package(self, paragraph: &str, system: &str, distribution: &str, found: &mut Found<'_>) {
        let of = |key: &str| value(paragraph, key);
        let (kind, usual, [name, version, architecture, license, supplier]) = match self {
            System::Dpkg => {
                let status = of("Status");
                let removed = !status.is_empty() && !status.ends_with(" installed");
                let words = [
                    of("Package"),
                    of("Version"),
                    of("Architecture"),
                    "",
                    of("Maintainer"),
                ];
                ("deb", "debian", if removed { [""; 5] } else { words })
            }
            System::Apk => (
                "apk",
                "alpine",
                [of("P"), of("V"), of("A"), of("L"), of("m")],
            ),
        };
        if name.is_empty() {
            return;
        }
        found.add(Told {
            kind,
            namespace: if system.is_empty() { usual } else { system },
            name,
            version,
            qualifiers: &[("arch", architecture), ("distro", distribution)],
            license,
            supplier,
        });
    }
}
