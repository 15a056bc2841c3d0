//! `--mount key=value,…`: one line of CSV, so that a path with a comma can be quoted.

use std::collections::BTreeMap;
use std::path::Path;

use super::{
    BindOptions, Mount, MountError, MountKind, Propagation, TmpfsOptions, VolumeOptions, absolute,
    checked_target, tmpfs,
};
use crate::config::parse_bool;

/// What was said, before it is known which kind of mount it belongs to.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: bool,
    propagation: Option<Propagation>,
    /// `bind-recursive=readonly`, which a read-only bind is anyway.
    read_only_below: bool,
    create_source: Option<bool>,
    tmpfs_size: Option<u64>,
    tmpfs_mode: Option<u32>,
    volume: VolumeOptions,
    chown: bool,
    /// The first option of each kind of mount, for the message when it is mixed with another.
    bind_option: Option<String>,
    tmpfs_option: Option<String>,
    volume_option: Option<String>,
}

pub fn parse(spec: &str, directory: &Path) -> Result<Mount, MountError> {
    let mut fields = Fields::default();
    for field in csv(spec)? {
        set(&mut fields, &field)?;
    }
    let kind = fields.kind.as_deref().unwrap_or("volume");
    match kind {
        "bind" | "tmpfs" | "volume" => {}
        "image" | "npipe" | "cluster" => {
            return Err(MountError::KindRefused {
                kind: kind.to_owned(),
                reason: match kind {
                    "image" => "not yet supported by bryo",
                    "npipe" => "named pipes exist on Windows only",
                    _ => "cluster volumes need a swarm, and bryo has none",
                },
            });
        }
        _ => {
            return Err(MountError::Kind {
                kind: kind.to_owned(),
            });
        }
    }
    let target = fields.target.as_deref().ok_or(MountError::NoTarget)?;
    let target = checked_target(spec, target)?;
    let read_only = fields.read_only;
    let kind = match kind {
        "bind" => MountKind::Bind(bind(&fields, directory)?),
        "tmpfs" => MountKind::Tmpfs(tmpfs(&fields)?),
        _ => MountKind::Volume(volume(&fields)?),
    };
    Ok(Mount {
        kind,
        target,
        read_only,
        chown: fields.chown,
    })
}

fn set(fields: &mut Fields, field: &str) -> Result<(), MountError> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key.to_ascii_lowercase(), Some(value)),
        None => (field.to_ascii_lowercase(), None),
    };
    let flag = matches!(
        key.as_str(),
        "readonly"
            | "ro"
            | "volume-nocopy"
            | "bind-nonrecursive"
            | "bind-create-src"
            | "u"
            | "chown"
    );
    let text = match value {
        Some(value) => value,
        None if flag => "true",
        None => {
            return Err(MountError::Field {
                field: field.to_owned(),
            });
        }
    };
    let wrong = || MountError::Value {
        key: key.clone(),
        value: text.to_owned(),
    };
    match key.as_str() {
        "type" => fields.kind = Some(text.to_ascii_lowercase()),
        "source" | "src" => fields.source = Some(text.to_owned()),
        "target" | "dst" | "destination" => fields.target = Some(text.to_owned()),
        "readonly" | "ro" => fields.read_only = parse_bool(text).ok_or_else(wrong)?,
        "consistency" => {}
        "bind-propagation" => {
            let propagation = Propagation::parse(&text.to_ascii_lowercase());
            fields.propagation = Some(propagation.ok_or_else(wrong)?);
        }
        "bind-nonrecursive" => {
            if parse_bool(text).ok_or_else(wrong)? {
                return Err(MountError::OptionLater { key });
            }
        }
        "bind-recursive" => match text {
            "enabled" => {}
            "readonly" => fields.read_only_below = true,
            "disabled" | "writable" => {
                return Err(MountError::OptionLater {
                    key: format!("{key}={text}"),
                });
            }
            _ => return Err(wrong()),
        },
        "bind-create-src" => fields.create_source = Some(parse_bool(text).ok_or_else(wrong)?),
        "tmpfs-size" => fields.tmpfs_size = Some(tmpfs::size(text).ok_or_else(wrong)?),
        "tmpfs-mode" => fields.tmpfs_mode = Some(tmpfs::mode(text).ok_or_else(wrong)?),
        // podman's
        "u" | "chown" => fields.chown = parse_bool(text).ok_or_else(wrong)?,
        "volume-nocopy" => fields.volume.no_copy = parse_bool(text).ok_or_else(wrong)?,
        "volume-label" => insert(&mut fields.volume.labels, text),
        "volume-driver" => fields.volume.driver = Some(text.to_owned()),
        "volume-opt" => insert(&mut fields.volume.options, text),
        "volume-subpath" => fields.volume.subpath = subpath(text)?,
        "image-subpath" => {
            return Err(MountError::OptionLater { key });
        }
        _ => {
            return Err(MountError::Key {
                key,
                field: field.to_owned(),
            });
        }
    }
    remember(fields, &key);
    Ok(())
}

fn remember(fields: &mut Fields, key: &str) {
    for (family, place) in [
        ("bind-", &mut fields.bind_option),
        ("tmpfs-", &mut fields.tmpfs_option),
        ("volume-", &mut fields.volume_option),
    ] {
        if key.starts_with(family) && place.is_none() {
            *place = Some(format!("{family}*"));
        }
    }
}

fn not_mixed(kind: &'static str, options: [&Option<String>; 2]) -> Result<(), MountError> {
    match options.into_iter().flatten().next() {
        None => Ok(()),
        Some(option) => Err(MountError::Mixed {
            option: option.clone(),
            kind,
        }),
    }
}

fn bind(fields: &Fields, directory: &Path) -> Result<BindOptions, MountError> {
    not_mixed("bind", [&fields.volume_option, &fields.tmpfs_option])?;
    let source = fields.source.as_deref().filter(|source| !source.is_empty());
    let source = source.ok_or(MountError::NoSource)?;
    if source.contains('\0') {
        return Err(MountError::Value {
            key: "source".to_owned(),
            value: source.replace('\0', "?"),
        });
    }
    if fields.read_only_below && !fields.read_only {
        return Err(MountError::ReadOnlyBelow);
    }
    Ok(BindOptions {
        source: absolute(source, directory),
        create_source: fields.create_source.unwrap_or(false),
        propagation: fields.propagation.unwrap_or_default(),
    })
}

fn tmpfs(fields: &Fields) -> Result<TmpfsOptions, MountError> {
    not_mixed("tmpfs", [&fields.bind_option, &fields.volume_option])?;
    if fields.source.is_some() {
        return Err(MountError::Mixed {
            option: "source".to_owned(),
            kind: "tmpfs",
        });
    }
    Ok(TmpfsOptions {
        size: fields.tmpfs_size,
        mode: fields.tmpfs_mode,
        ..tmpfs::defaults()
    })
}

fn volume(fields: &Fields) -> Result<VolumeOptions, MountError> {
    not_mixed("volume", [&fields.bind_option, &fields.tmpfs_option])?;
    let name = fields.source.clone().filter(|name| !name.is_empty());
    if name.is_none() && !fields.volume.subpath.is_empty() {
        return Err(MountError::AnonymousSubpath);
    }
    Ok(VolumeOptions {
        name,
        ..fields.volume.clone()
    })
}

/// `key=value`, or a key with nothing.
fn insert(map: &mut BTreeMap<String, String>, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    map.insert(key.to_owned(), value.to_owned());
}

/// Inside the volume by its text already; what links in the volume make of it is the kernel's to bound.
fn subpath(text: &str) -> Result<String, MountError> {
    let outside = text.starts_with('/') || text.split('/').any(|part| part == "..");
    match outside || text.contains('\0') {
        true => Err(MountError::Subpath {
            subpath: text.replace('\0', "?"),
        }),
        false => Ok(text.to_owned()),
    }
}

/// A field that begins with a quote ends with one; a doubled quote inside stands for itself (RFC 4180).
fn csv(spec: &str) -> Result<Vec<String>, MountError> {
    let mut fields = vec![String::new()];
    let mut chars = spec.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let at_start = fields.last().is_some_and(String::is_empty);
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                push(&mut fields, '"');
            }
            '"' if quoted => quoted = false,
            '"' if at_start => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    if quoted {
        return Err(MountError::Quote {
            spec: spec.to_owned(),
        });
    }
    Ok(fields)
}

fn push(fields: &mut [String], c: char) {
    if let Some(last) = fields.last_mut() {
        last.push(c);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(spec: &str) -> Result<Mount, String> {
        parse(spec, Path::new("/work")).map_err(|e| e.to_string())
    }

    #[test]
    fn binds_and_their_options() {
        let mount =
            parsed("type=bind,src=./a,dst=/b,ro,bind-propagation=shared,bind-recursive=readonly")
                .unwrap();
        assert!(mount.read_only);
        let MountKind::Bind(bind) = mount.kind else {
            panic!("no bind");
        };
        assert_eq!(bind.source, Path::new("/work/a"));
        assert!(!bind.create_source);
        assert_eq!(bind.propagation, Propagation::Shared);
    }

    #[test]
    fn quotes_hide_commas() {
        let mount = parsed("type=bind,\"source=/a,b\",target=/c").unwrap();
        let MountKind::Bind(bind) = mount.kind else {
            panic!("no bind");
        };
        assert_eq!(bind.source, Path::new("/a,b"));
        assert!(
            parsed("type=bind,\"source=/a")
                .unwrap_err()
                .starts_with("unterminated")
        );
    }

    #[test]
    fn tmpfs_size_and_mode() {
        let mount = parsed("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        let MountKind::Tmpfs(tmpfs) = mount.kind else {
            panic!("no tmpfs");
        };
        assert_eq!((tmpfs.size, tmpfs.mode), (Some(1 << 20), Some(0o1770)));
        assert_eq!(tmpfs.flags, ["noexec", "nosuid", "nodev"]);
    }

    #[test]
    fn volumes_are_the_default_and_have_options() {
        let spec = "source=a,target=/b,volume-nocopy,volume-label=x=y=z,volume-label=w,\
                    volume-driver=local,volume-opt=type=tmpfs,volume-subpath=c/d,ro,U=true";
        let mount = parsed(spec).unwrap();
        assert!(mount.read_only && mount.chown);
        let MountKind::Volume(volume) = mount.kind else {
            panic!("no volume");
        };
        let pairs = |pairs: &[(&str, &str)]| {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        let expected = VolumeOptions {
            inherited: false,
            name: Some("a".to_owned()),
            no_copy: true,
            subpath: "c/d".to_owned(),
            labels: pairs(&[("x", "y=z"), ("w", "")]),
            driver: Some("local".to_owned()),
            options: pairs(&[("type", "tmpfs")]),
        };
        assert_eq!(volume, expected);
        let MountKind::Volume(anonymous) = parsed("target=/b").unwrap().kind else {
            panic!("no volume");
        };
        assert_eq!(anonymous, VolumeOptions::default());
    }

    #[test]
    fn errors_are_docker_s() {
        for (spec, message) in [
            ("type=bind,x", "invalid field 'x' must be a key=value pair"),
            ("type=bind,x=1", "unknown option 'x' in 'x=1'"),
            ("type=bind,ro=maybe", "invalid value for 'ro': maybe"),
            ("type=foo,target=/a", "mount type unknown: 'foo'"),
            ("type=bind,source=/a", "target is required"),
            ("type=bind,target=/a", "source is required for a bind mount"),
            (
                "type=bind,source=/a,target=/b,tmpfs-size=1m",
                "cannot mix 'tmpfs-*' options with mount type 'bind'",
            ),
            (
                "type=tmpfs,source=/a,target=/b",
                "cannot mix 'source' options with mount type 'tmpfs'",
            ),
            (
                "type=bind,source=/a,target=/b,bind-recursive=writable",
                "mount option bind-recursive=writable is not yet supported by bryo",
            ),
            (
                "type=bind,source=/a,target=/b,bind-nonrecursive",
                "mount option bind-nonrecursive is not yet supported by bryo",
            ),
            (
                "type=bind,source=/a,target=/b,bind-recursive=readonly",
                "mount option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
            ),
            (
                "type=image,source=a,target=/b",
                "mount type image: not yet supported by bryo",
            ),
            (
                "type=npipe,source=a,target=/b",
                "mount type npipe: named pipes exist on Windows only",
            ),
            (
                "type=volume,source=a,target=/b,bind-propagation=shared",
                "cannot mix 'bind-*' options with mount type 'volume'",
            ),
            (
                "source=a,target=/b,volume-subpath=../c",
                "invalid volume subpath \"../c\": not a relative path inside the volume",
            ),
        ] {
            assert_eq!(parsed(spec).unwrap_err(), message, "{spec}");
        }
        assert!(
            parsed("type=bind,source=/a,target=b")
                .unwrap_err()
                .contains("must be absolute")
        );
    }
}
