//! The databases of dpkg and apk. Pure.

use super::{Package, purl};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A value of `os-release`, without its quotes.
pub(super) fn field(text: &str, key: &str) -> String {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value
        .unwrap_or_default()
        .trim_matches(['"', '\''])
        .to_owned()
}

/// Lines `KEY: VALUE` up to an empty one; what continues a value begins with a space and is left out.
fn paragraphs(text: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
    text.split("\n\n").map(|paragraph| {
        let lines = paragraph
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']));
        let fields = lines.filter_map(|line| line.split_once(':'));
        fields.map(|(key, value)| (key, value.trim())).collect()
    })
}

fn value<'a>(fields: &[(&str, &'a str)], key: &str) -> &'a str {
    let found = fields.iter().find(|(known, _)| *known == key);
    found.map_or("", |(_, value)| value)
}

impl System {
    pub fn read(self, text: &str, system: &str, release: &str) -> Vec<Package> {
        let distribution = match release.is_empty() {
            true => system.to_owned(),
            false => format!("{system}-{release}"),
        };
        let packages =
            paragraphs(text).filter_map(|fields| self.package(&fields, system, &distribution));
        packages.collect()
    }

    fn package(self, fields: &[(&str, &str)], system: &str, distribution: &str) -> Option<Package> {
        let of = |key: &str| value(fields, key);
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
            return None;
        }
        let vendor = if system.is_empty() { usual } else { system };
        let qualifiers = [("arch", architecture), ("distro", distribution)];
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
            purl: purl(kind, &format!("{vendor}/{name}"), version, &qualifiers),
            license: license.to_owned(),
            supplier: supplier.to_owned(),
            found_in: String::new(),
        })
    }
}
