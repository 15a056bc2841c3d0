//! `-v [source:]target[:options]`.

use std::path::Path;

use super::{
    BindOptions, Mount, MountError, MountKind, Propagation, VolumeOptions, absolute,
    checked_target, is_path,
};

pub fn parse(spec: &str, directory: &Path) -> Result<Mount, MountError> {
    let invalid = || MountError::VolumeSpec {
        spec: spec.to_owned(),
    };
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, target, options) = match parts[..] {
        [only] if !only.is_empty() => {
            return Ok(volume(None, checked_target(spec, only)?));
        }
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return Err(invalid()),
    };
    if source.is_empty() || target.is_empty() {
        return Err(invalid());
    }
    if parts.len() == 3 && options.is_empty() {
        return Err(MountError::VolumeMode {
            spec: spec.to_owned(),
            mode: String::new(),
        });
    }
    let target = checked_target(spec, target)?;
    if source.contains('\0') {
        return Err(invalid());
    }
    let mut mount = match is_path(source) {
        true => Mount {
            kind: MountKind::Bind(BindOptions {
                source: absolute(source, directory),
                create_source: true,
                propagation: Propagation::default(),
            }),
            target,
            read_only: false,
            chown: false,
        },
        false => volume(Some(source.to_owned()), target),
    };
    apply(spec, options, &mut mount)?;
    Ok(mount)
}

fn volume(name: Option<String>, target: String) -> Mount {
    Mount {
        kind: MountKind::Volume(VolumeOptions {
            name,
            ..VolumeOptions::default()
        }),
        target,
        read_only: false,
        chown: false,
    }
}

/// Each kind of option may be said once, as docker has it; `z`, `Z` and the macOS consistency words change nothing here.
fn apply(spec: &str, options: &str, mount: &mut Mount) -> Result<(), MountError> {
    let bad = || MountError::VolumeMode {
        spec: spec.to_owned(),
        mode: options.to_owned(),
    };
    let mut seen: Vec<&str> = Vec::new();
    for option in options.split(',').filter(|_| !options.is_empty()) {
        let kind = match option {
            "ro" | "rw" => "access",
            "z" | "Z" => "label",
            "consistent" | "cached" | "delegated" | "default" => "consistency",
            "nocopy" => "copy",
            "U" => "owner",
            _ => "propagation",
        };
        if seen.contains(&kind) {
            return Err(bad());
        }
        seen.push(kind);
        match (option, &mut mount.kind) {
            ("ro", _) => mount.read_only = true,
            ("U", _) => mount.chown = true,
            ("nocopy", MountKind::Volume(volume)) => volume.no_copy = true,
            // only volumes are filled from the image
            ("nocopy", _) => return Err(bad()),
            (_, MountKind::Bind(bind)) if kind == "propagation" => {
                bind.propagation = Propagation::parse(option).ok_or_else(bad)?;
            }
            // what is mounted in a volume is nobody's but the container's
            _ if kind == "propagation" => return Err(bad()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(spec: &str) -> Result<Mount, String> {
        parse(spec, Path::new("/work")).map_err(|e| e.to_string())
    }

    fn bind(spec: &str) -> (String, bool, Propagation) {
        let mount = parsed(spec).unwrap();
        let MountKind::Bind(bind) = mount.kind else {
            panic!("{spec} is no bind");
        };
        assert!(bind.create_source);
        (
            format!("{}:{}", bind.source.display(), mount.target),
            mount.read_only,
            bind.propagation,
        )
    }

    #[test]
    fn paths_become_binds() {
        let plain = |text: &str| (text.to_owned(), false, Propagation::Rprivate);
        assert_eq!(bind("/a:/b"), plain("/a:/b"));
        assert_eq!(bind("./x:/b"), plain("/work/x:/b"));
        assert_eq!(bind("..:/b/"), plain("/:/b"));
        assert_eq!(bind("/a:/b:z"), plain("/a:/b"));
        assert!(bind("/a:/b:ro").1);
        assert_eq!(bind("/a:/b:ro,rshared").2, Propagation::Rshared);
    }

    #[test]
    fn names_become_volumes() {
        let volume = |spec: &str| {
            let mount = parsed(spec).unwrap();
            let MountKind::Volume(volume) = mount.kind else {
                panic!("{spec} is no volume");
            };
            (volume.name, volume.no_copy, mount.read_only, mount.chown)
        };
        assert_eq!(volume("/b"), (None, false, false, false));
        let name = || Some("name".to_owned());
        assert_eq!(volume("name:/b"), (name(), false, false, false));
        assert_eq!(volume("name:/b:z"), (name(), false, false, false));
        assert_eq!(volume("name:/b:ro,nocopy,U"), (name(), true, true, true));
        for bad in ["name:/b:rshared", "name:/b:nocopy,nocopy", "/a:/b:nocopy"] {
            assert!(parsed(bad).unwrap_err().contains("invalid mode"), "{bad}");
        }
    }

    #[test]
    fn errors_are_docker_s() {
        for bad in ["", ":", "/a:", ":/b", "/a:/b:ro:x"] {
            assert_eq!(
                parsed(bad).unwrap_err(),
                format!("invalid volume specification: '{bad}'")
            );
        }
        for (bad, mode) in [("/a:/b:rx", "rx"), ("/a:/b:ro,rw", "ro,rw"), ("/a:/b:", "")] {
            assert_eq!(
                parsed(bad).unwrap_err(),
                format!("invalid volume specification: '{bad}': invalid mode: {mode}")
            );
        }
        assert_eq!(
            parsed("/a:b").unwrap_err(),
            "invalid volume specification: '/a:b': invalid mount path: 'b' mount path must be absolute"
        );
        assert_eq!(
            parsed("/a:/").unwrap_err(),
            "invalid volume specification: '/a:/': destination can't be '/'"
        );
    }
}
