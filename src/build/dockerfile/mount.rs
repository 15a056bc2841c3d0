//! `RUN --mount` and `--device`: options to typed values, once their variables are expanded. Mounts nothing.

use super::ast::{Bind, Cache, Device, MountText, RunMount, Secret, Sharing, Ssh, Tmpfs, Word};
use super::error::Fault;
use super::flags::{Wrong, closest};
use super::source::Location;
use super::words;
use crate::config::{Size, parse_bool};

const TYPES: [&str; 5] = ["bind", "cache", "tmpfs", "secret", "ssh"];
const SHARING: [(&str, Sharing); 3] = [
    ("shared", Sharing::Shared),
    ("private", Sharing::Private),
    ("locked", Sharing::Locked),
];
/// Every option, and the types it is for.
const KEYS: [(&str, &[&str]); 18] = [
    ("type", &TYPES),
    ("from", &["bind", "cache"]),
    ("source", &["bind", "cache", "secret"]),
    ("src", &["bind", "cache", "secret"]),
    ("target", &TYPES),
    ("dst", &TYPES),
    ("destination", &TYPES),
    ("readonly", &["bind", "cache", "secret"]),
    ("ro", &["bind", "cache", "secret"]),
    ("readwrite", &["bind", "cache", "tmpfs"]),
    ("rw", &["bind", "cache", "tmpfs"]),
    ("id", &["cache", "secret", "ssh"]),
    ("sharing", &["cache"]),
    ("size", &["tmpfs"]),
    ("env", &["secret"]),
    ("required", &["secret", "ssh"]),
    ("mode", &["cache", "secret", "ssh"]),
    ("uid", &["cache", "secret", "ssh"]),
];
/// As `uid`.
const GID: &str = "gid";

/// What the options of one mount say; a later one wins.
#[derive(Default)]
struct Options {
    kind: usize,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<Sharing>,
    size: Option<u64>,
    env: Option<String>,
    required: bool,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
}

pub(super) fn known_keys() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|(key, _)| *key).chain([GID])
}

fn types_of(key: &str) -> Option<&'static [&'static str]> {
    let key = if key == GID { "uid" } else { key };
    KEYS.iter()
        .find(|(known, _)| *known == key)
        .map(|(_, types)| *types)
}

impl MountText {
    /// Splits the value of a `--mount`. Everything is checked that has no variable; the rest when it is resolved.
    pub fn parse(flag: &Word) -> Result<MountText, Wrong> {
        let fields = split(flag, "mount")?;
        let mount = MountText {
            location: flag.location,
            fields,
        };
        for (key, value) in &mount.fields {
            if types_of(&key.text).is_none() {
                return Err(Wrong::at(
                    key.location,
                    Fault::MountKey {
                        key: key.text.clone(),
                        nearest: closest(&key.text, known_keys()),
                    },
                ));
            }
            if key.text == "from" && value.as_ref().is_some_and(|value| value.text.contains('$')) {
                let flag = "from".to_owned();
                return Err(Wrong::at(key.location, Fault::NoVariables { flag }));
            }
        }
        let is_fixed =
            |value: &Option<Word>| value.as_ref().is_none_or(|value| !value.text.contains('$'));
        if mount.fields.iter().all(|(_, value)| is_fixed(value)) {
            mount.resolve_with(|word| Ok(word.text.clone()))?;
        }
        Ok(mount)
    }

    /// The stage, image or named context it mounts from. Never has variables.
    pub fn from(&self) -> Option<&Word> {
        let from = self.fields.iter().rev().find(|(key, _)| key.text == "from");
        from.and_then(|(_, value)| value.as_ref())
            .filter(|from| !from.text.is_empty())
    }

    /// The typed mount, its values expanded.
    pub(super) fn resolve_with(
        &self,
        mut expand: impl FnMut(&Word) -> Result<String, Wrong>,
    ) -> Result<RunMount, Wrong> {
        let mut fields = Vec::with_capacity(self.fields.len());
        let mut options = Options::default();
        for (key, value) in &self.fields {
            let expanded = value.as_ref().map(&mut expand).transpose()?;
            if key.text == "type" {
                options.kind = kind(&expanded, value.as_ref().unwrap_or(key))?;
            }
            let location = value.as_ref().map_or(key.location, |value| value.location);
            fields.push((key, expanded, location));
        }
        for (key, value, location) in fields {
            let kind = TYPES[options.kind];
            if types_of(&key.text).is_none_or(|types| !types.contains(&kind)) {
                let key_text = key.text.clone();
                return Err(Wrong::at(
                    key.location,
                    Fault::MountKeyOfType {
                        key: key_text,
                        kind,
                    },
                ));
            }
            options
                .set(&key.text, value)
                .map_err(|fault| Wrong::at(location, fault))?;
        }
        options
            .mount()
            .map_err(|fault| Wrong::at(self.location, fault))
    }
}

fn kind(value: &Option<String>, word: &Word) -> Result<usize, Wrong> {
    let Some(value) = value else {
        let key = "type".to_owned();
        return Err(Wrong::at(word.location, Fault::MountNoValue { key }));
    };
    let lower = value.to_lowercase();
    TYPES
        .iter()
        .position(|known| *known == lower)
        .ok_or_else(|| {
            Wrong::at(
                word.location,
                Fault::MountType {
                    nearest: closest(&lower, TYPES),
                    value: value.clone(),
                },
            )
        })
}

/// The fields of a record, keys in lower case.
fn split(flag: &Word, name: &'static str) -> Result<Vec<(Word, Option<Word>)>, Wrong> {
    let fields = words::record(&flag.text)
        .ok_or_else(|| Wrong::at(flag.location, Fault::Quote { flag: name }))?;
    // Inside of quotes with quotes in them the place is only near. Fields come in order, so that no character is counted twice.
    let mut counted = (0, flag.location.column);
    let mut column = |bytes: usize| {
        let between = flag.text.get(counted.0..bytes).unwrap_or_default();
        counted = (bytes, counted.1 + between.chars().count());
        counted.1
    };
    let mut word = |at: usize, text: &str| Word {
        text: text.to_owned(),
        location: Location::at(flag.location.line, column(at)),
    };
    Ok(fields
        .into_iter()
        .map(|(at, field)| match field.split_once('=') {
            Some((key, value)) => {
                let key_word = word(at, &key.to_lowercase());
                let value_at = at + key.len() + 1;
                (key_word, Some(word(value_at, value)))
            }
            None => (word(at, &field.to_lowercase()), None),
        })
        .collect())
}

impl Options {
    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), Fault> {
        let wrong = |value: &str, expected| {
            Err(Fault::MountValue {
                key: key.to_owned(),
                value: value.to_owned(),
                expected,
            })
        };
        let Some(value) = value else {
            match key {
                "readonly" | "ro" => self.read_only = Some(true),
                "readwrite" | "rw" => self.read_only = Some(false),
                "required" => self.required = true,
                _ => {
                    return Err(Fault::MountNoValue {
                        key: key.to_owned(),
                    });
                }
            }
            return Ok(());
        };
        let boolean = || {
            parse_bool(&value).map_or_else(|| wrong(&value, "true or false").map(|()| false), Ok)
        };
        let number = |radix, expected| match u32::from_str_radix(&value, radix) {
            Ok(number) if !value.starts_with('+') => Ok(Some(number)),
            _ => wrong(&value, expected).map(|()| None),
        };
        match key {
            "from" => self.from = Some(value).filter(|value| !value.is_empty()),
            "source" | "src" => self.source = Some(value),
            "target" | "dst" | "destination" => self.target = Some(value),
            "readonly" | "ro" => self.read_only = Some(boolean()?),
            "readwrite" | "rw" => self.read_only = Some(!boolean()?),
            "required" => self.required = boolean()?,
            "id" => self.id = Some(value),
            "env" => self.env = Some(value),
            "mode" => self.mode = number(8, "an octal mode, as in 0400")?,
            "uid" => self.uid = number(10, "a user's number")?,
            GID => self.gid = number(10, "a group's number")?,
            "size" => match value.parse::<Size>() {
                Ok(size) => self.size = Some(size.0),
                Err(_) => return wrong(&value, "a size, as in 64m"),
            },
            "sharing" => {
                let lower = value.to_lowercase();
                let Some((_, sharing)) = SHARING.iter().find(|(known, _)| *known == lower) else {
                    let nearest = closest(&lower, SHARING.iter().map(|(word, _)| *word));
                    return Err(Fault::Sharing { value, nearest });
                };
                self.sharing = Some(*sharing);
            }
            // `type` was read before all others.
            _ => {}
        }
        Ok(())
    }

    fn mount(self) -> Result<RunMount, Fault> {
        let kind = TYPES[self.kind];
        let needs = |option| Fault::MountNeeds { kind, option };
        let target = self.target.filter(|target| !target.is_empty());
        if kind == "tmpfs" && self.read_only == Some(true) {
            return Err(Fault::MountKeyOfType {
                key: "rw=false".into(),
                kind,
            });
        }
        if kind == "secret" && self.read_only == Some(false) {
            return Err(Fault::MountKeyOfType {
                key: "ro=false".into(),
                kind,
            });
        }
        Ok(match kind {
            "bind" => RunMount::Bind(Bind {
                from: self.from,
                source: self.source,
                target: target.ok_or(needs("target"))?,
                read_only: self.read_only.unwrap_or(true),
            }),
            "cache" => RunMount::Cache(Cache {
                id: self.id.filter(|id| !id.is_empty()),
                target: target.ok_or(needs("target"))?,
                sharing: self.sharing.unwrap_or_default(),
                from: self.from,
                source: self.source,
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
                read_only: self.read_only.unwrap_or(false),
            }),
            "tmpfs" => RunMount::Tmpfs(Tmpfs {
                target: target.ok_or(needs("target"))?,
                size: self.size,
            }),
            "secret" => {
                let not_empty = |text: Option<String>| text.filter(|text| !text.is_empty());
                let id = match (not_empty(self.source), not_empty(self.id)) {
                    (Some(_), Some(_)) => return Err(Fault::SecretTwoNames),
                    (source, id) => source.or(id),
                };
                let base = |path: &str| {
                    path.trim_end_matches('/')
                        .rsplit('/')
                        .next()
                        .map(str::to_owned)
                };
                let id = id
                    .or_else(|| target.as_deref().and_then(base))
                    .ok_or(needs("id or target"))?;
                let target = match (&target, &self.env) {
                    (None, None) => base(&id).map(|name| format!("/run/secrets/{name}")),
                    _ => target,
                };
                RunMount::Secret(Secret {
                    id,
                    target,
                    env: self.env,
                    required: self.required,
                    mode: self.mode,
                    uid: self.uid,
                    gid: self.gid,
                })
            }
            _ => RunMount::Ssh(Ssh {
                id: self
                    .id
                    .filter(|id| !id.is_empty())
                    .unwrap_or_else(|| "default".into()),
                target,
                required: self.required,
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
            }),
        })
    }
}

impl Device {
    /// `NAME[,required]` or `name=NAME[,required[=true]]`
    pub fn parse(flag: &Word) -> Result<Device, Wrong> {
        let mut device = Device {
            name: Word {
                text: String::new(),
                location: flag.location,
            },
            required: false,
        };
        for (key, value) in split(flag, "device")? {
            match (key.text.as_str(), value) {
                ("required", None) => device.required = true,
                ("required", Some(value)) => {
                    device.required = parse_bool(&value.text).ok_or_else(|| {
                        Wrong::at(
                            value.location,
                            Fault::FlagValue {
                                flag: "device".into(),
                                value: value.text.clone(),
                                expected: "required=true or required=false",
                            },
                        )
                    })?;
                }
                ("name", Some(name)) => device.name = name,
                // A name has a `=` itself: `vendor.com/class=name`, as it is written, not in lower case.
                (text, value) if text.contains('/') && device.name.text.is_empty() => {
                    let at = key.location.column - flag.location.column;
                    let written: String = flag
                        .text
                        .chars()
                        .skip(at)
                        .take_while(|character| *character != ',')
                        .collect();
                    debug_assert!(value.is_none_or(|value| written.ends_with(&value.text)));
                    device.name = Word {
                        text: written,
                        location: key.location,
                    };
                }
                (text, _) => {
                    return Err(Wrong::at(
                        key.location,
                        Fault::DeviceKey {
                            nearest: closest(text, ["name", "required"]),
                            key: text.to_owned(),
                        },
                    ));
                }
            }
        }
        match device.name.text.is_empty() {
            true => Err(Wrong::at(flag.location, Fault::DeviceName)),
            false => Ok(device),
        }
    }
}

#[cfg(test)]
#[path = "mount_tests.rs"]
#[allow(clippy::unwrap_used)]
mod tests;
