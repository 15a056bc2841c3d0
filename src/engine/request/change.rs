//! `commit --change`: single Dockerfile instructions that change an image's settings, in docker's grammar. Pure.

use serde_json::{Map, Value, json};

use super::expand::{expand, words};
use super::time::parse_go_duration;

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigChange {
    instruction: Instruction,
    /// Everything behind the instruction's name.
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    OnBuild,
    StopSignal,
    User,
    Volume,
    WorkDir,
}

const INSTRUCTIONS: [(&str, Instruction); 11] = [
    ("CMD", Instruction::Cmd),
    ("ENTRYPOINT", Instruction::Entrypoint),
    ("ENV", Instruction::Env),
    ("EXPOSE", Instruction::Expose),
    ("HEALTHCHECK", Instruction::Healthcheck),
    ("LABEL", Instruction::Label),
    ("ONBUILD", Instruction::OnBuild),
    ("STOPSIGNAL", Instruction::StopSignal),
    ("USER", Instruction::User),
    ("VOLUME", Instruction::Volume),
    ("WORKDIR", Instruction::WorkDir),
];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("{name} is not a valid change command")]
    Instruction { name: String },
    #[error("{name} requires at least one argument")]
    NoArgument { name: &'static str },
    #[error("syntax error - can't find = in {word:?}: must be of the form: name=value")]
    NoEquals { word: String },
    #[error("{name} names can not be blank")]
    Blank { name: &'static str },
    #[error("invalid containerPort: {port}")]
    Port { port: String },
    #[error("{text:?}: {reason}")]
    Health { text: String, reason: String },
    #[error("invalid signal: {signal}")]
    Signal { signal: String },
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedTrigger,
    #[error("{name} isn't allowed as an ONBUILD trigger")]
    Trigger { name: String },
}

impl ConfigChange {
    /// Reads the lines of one `--change`.
    pub fn parse(text: &str) -> Result<Vec<ConfigChange>, ChangeError> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(ConfigChange::line).collect()
    }

    fn line(line: &str) -> Result<ConfigChange, ChangeError> {
        let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let upper = name.to_ascii_uppercase();
        let found = INSTRUCTIONS.iter().find(|(known, _)| *known == upper);
        let Some((name, instruction)) = found.copied() else {
            return Err(ChangeError::Instruction {
                name: name.to_owned(),
            });
        };
        let text = rest.trim().to_owned();
        if text.is_empty() {
            return Err(ChangeError::NoArgument { name });
        }
        let change = ConfigChange { instruction, text };
        // Whatever can be wrong is found on nothing.
        change.apply(&mut Map::new())?;
        Ok(change)
    }

    /// Changes the settings of an image (`Config`) in the order of the instructions. An entrypoint without a command before
    /// it takes the old command away, as in a Dockerfile.
    pub fn apply_all(changes: &[ConfigChange], config: &mut Map<String, Value>) {
        let mut has_command = false;
        for change in changes {
            if change.instruction == Instruction::Entrypoint && !has_command {
                config.remove("Cmd");
            }
            has_command |= change.instruction == Instruction::Cmd;
            change.apply(config).expect("it was tried when it was read");
        }
    }

    fn apply(&self, config: &mut Map<String, Value>) -> Result<(), ChangeError> {
        let env = variables(config);
        let text = self.text.as_str();
        match self.instruction {
            Instruction::Cmd => set(config, "Cmd", json!(command(text))),
            Instruction::Entrypoint => set(config, "Entrypoint", json!(command(text))),
            Instruction::Env => {
                for (name, value) in pairs("ENV", text, &env)? {
                    set_variable(config, &name, &value);
                }
            }
            Instruction::Label => {
                for (name, value) in pairs("LABEL", text, &env)? {
                    object(config, "Labels").insert(name, value.into());
                }
            }
            Instruction::Expose => {
                for word in words(text) {
                    for port in exposed_ports(&expand(&word, &env))? {
                        object(config, "ExposedPorts").insert(port, json!({}));
                    }
                }
            }
            Instruction::Volume => {
                let listed = list(text).unwrap_or_else(|| words(text));
                for volume in listed {
                    let volume = expand(&volume, &env);
                    if volume.is_empty() {
                        return Err(ChangeError::Blank { name: "VOLUME" });
                    }
                    object(config, "Volumes").insert(volume, json!({}));
                }
            }
            Instruction::User => set(config, "User", json!(expand(text, &env))),
            Instruction::WorkDir => {
                let asked = expand(text, &env);
                let now = config.get("WorkingDir").and_then(Value::as_str);
                let path = std::path::Path::new(now.unwrap_or("/")).join(asked);
                let path = crate::runtime::rootfs::clean(&path);
                set(config, "WorkingDir", json!(path.to_string_lossy()));
            }
            Instruction::StopSignal => {
                let signal = expand(text, &env);
                if signal.parse::<super::Signal>().is_err() {
                    return Err(ChangeError::Signal { signal });
                }
                set(config, "StopSignal", json!(signal));
            }
            Instruction::OnBuild => {
                let trigger = text.split_whitespace().next().unwrap_or_default();
                match trigger.to_ascii_uppercase().as_str() {
                    "ONBUILD" => return Err(ChangeError::ChainedTrigger),
                    name @ ("FROM" | "MAINTAINER") => {
                        return Err(ChangeError::Trigger {
                            name: name.to_owned(),
                        });
                    }
                    _ => array(config, "OnBuild").push(text.into()),
                }
            }
            Instruction::Healthcheck => set(config, "Healthcheck", health(text)?),
        }
        Ok(())
    }
}

fn set(config: &mut Map<String, Value>, key: &str, value: Value) {
    config.insert(key.to_owned(), value);
}

/// The list under `key`, made where there is none.
fn array<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let value = config.entry(key).or_insert_with(|| json!([]));
    if !value.is_array() {
        *value = json!([]);
    }
    value.as_array_mut().expect("it was made one")
}

fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(key).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was made one")
}

fn variables(config: &Map<String, Value>) -> Vec<(String, String)> {
    let env = config.get("Env").and_then(Value::as_array);
    let assignments = env.into_iter().flatten().filter_map(Value::as_str);
    let split = assignments.filter_map(|assignment| assignment.split_once('='));
    split
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn set_variable(config: &mut Map<String, Value>, name: &str, value: &str) {
    let assignment = Value::from(format!("{name}={value}"));
    let env = array(config, "Env");
    let begin = format!("{name}=");
    let known = env.iter_mut().find(|known| {
        let known = known.as_str();
        known.is_some_and(|known| known.starts_with(&begin))
    });
    match known {
        Some(known) => *known = assignment,
        None => env.push(assignment),
    }
}

/// The exec form is a JSON list; everything else goes to a shell.
fn command(text: &str) -> Vec<String> {
    list(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// `name=value …`, or `name value` with the rest of the line.
fn pairs(
    name: &'static str,
    text: &str,
    env: &[(String, String)],
) -> Result<Vec<(String, String)>, ChangeError> {
    let all = words(text);
    let first = all.first().map_or("", String::as_str);
    let split: Vec<(String, String)> = if first.contains('=') {
        let split = all.iter().map(|word| match word.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(ChangeError::NoEquals { word: word.clone() }),
        });
        split.collect::<Result<_, _>>()?
    } else {
        match text.split_once([' ', '\t']) {
            Some((key, value)) => vec![(key.to_owned(), value.trim_start().to_owned())],
            None => {
                return Err(ChangeError::NoEquals {
                    word: text.to_owned(),
                });
            }
        }
    };
    let expanded = split
        .into_iter()
        .map(|(key, value)| (expand(&key, env), expand(&value, env)));
    let expanded: Vec<(String, String)> = expanded.collect();
    match expanded.iter().any(|(key, _)| key.is_empty()) {
        true => Err(ChangeError::Blank { name }),
        false => Ok(expanded),
    }
}

/// `80`, `80/udp`, `8000-8002/tcp`.
/// `80`, `80/udp`, `8000-8010`: `PORT/PROTOCOL` of each.
pub fn exposed_ports(text: &str) -> Result<Vec<String>, ChangeError> {
    let wrong = || ChangeError::Port {
        port: text.to_owned(),
    };
    let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(wrong());
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => {
            let all = (first..=last).map(|port| format!("{port}/{protocol}"));
            Ok(all.collect())
        }
        _ => Err(wrong()),
    }
}

/// `NONE`, or flags and `CMD …`.
fn health(text: &str) -> Result<Value, ChangeError> {
    let wrong = |reason: &str| ChangeError::Health {
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    let mut settings = Map::new();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, behind) = flag.split_once([' ', '\t']).unwrap_or((flag, ""));
        rest = behind.trim_start();
        let (name, value) = flag
            .split_once('=')
            .ok_or_else(|| wrong("a flag without ="))?;
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => "Retries",
            _ => return Err(wrong("Unknown flag")),
        };
        let number = match name {
            "retries" => value.parse().ok(),
            _ => parse_go_duration(value).and_then(|nanoseconds| u64::try_from(nanoseconds).ok()),
        };
        let number = number.ok_or_else(|| wrong("not a duration or count"))?;
        settings.insert(key.to_owned(), number.into());
    }
    let (kind, behind) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
    let behind = behind.trim();
    let test = match (kind.to_ascii_uppercase().as_str(), behind) {
        ("NONE", "") => json!(["NONE"]),
        ("NONE", _) => return Err(wrong("HEALTHCHECK NONE takes no arguments")),
        ("CMD", "") => return Err(wrong("Missing command after HEALTHCHECK CMD")),
        ("CMD", command) => match list(command) {
            Some(words) => {
                let test: Vec<String> = [vec!["CMD".to_owned()], words].concat();
                json!(test)
            }
            None => json!(["CMD-SHELL", command]),
        },
        _ => return Err(wrong("Unknown type in HEALTHCHECK (try CMD)")),
    };
    settings.insert("Test".to_owned(), test);
    Ok(Value::Object(settings))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn applied(changes: &[&str]) -> Value {
        let base = json!({ "Env": ["PATH=/bin", "A=1"], "Cmd": ["sh"], "WorkingDir": "/srv" });
        let mut config = base.as_object().unwrap().clone();
        let changes: Vec<ConfigChange> = changes
            .iter()
            .flat_map(|text| ConfigChange::parse(text).unwrap())
            .collect();
        ConfigChange::apply_all(&changes, &mut config);
        Value::Object(config)
    }

    #[test]
    fn every_instruction_changes_its_setting() {
        let config = applied(&[
            "ENV A=2 B=\"x y\" C=$A",
            "env OLD the rest  of it",
            "CMD [\"a\", \"b\"]",
            "ENTRYPOINT run it",
            "EXPOSE 80 90-91/udp",
            "LABEL a=b \"c d\"='e $A'",
            "ONBUILD RUN x",
            "USER ${USER:-app}:staff",
            "VOLUME /a /b",
            "VOLUME [\"/c d\"]",
            "WORKDIR sub/../dir",
            "STOPSIGNAL SIGINT",
            "HEALTHCHECK --interval=5s --retries=2 CMD curl -f x",
        ]);
        assert_eq!(
            config["Env"],
            json!(["PATH=/bin", "A=2", "B=x y", "C=1", "OLD=the rest  of it"])
        );
        assert_eq!(config["Cmd"], json!(["a", "b"]));
        assert_eq!(config["Entrypoint"], json!(["/bin/sh", "-c", "run it"]));
        let ports = json!({ "80/tcp": {}, "90/udp": {}, "91/udp": {} });
        assert_eq!(config["ExposedPorts"], ports);
        assert_eq!(config["Labels"], json!({ "a": "b", "c d": "e $A" }));
        assert_eq!(config["OnBuild"], json!(["RUN x"]));
        assert_eq!(config["User"], "app:staff");
        assert_eq!(config["Volumes"], json!({ "/a": {}, "/b": {}, "/c d": {} }));
        assert_eq!(config["WorkingDir"], "/srv/dir");
        assert_eq!(config["StopSignal"], "SIGINT");
        let health = json!({ "Interval": 5_000_000_000_u64, "Retries": 2, "Test": ["CMD-SHELL", "curl -f x"] });
        assert_eq!(config["Healthcheck"], health);
        assert_eq!(applied(&["ENTRYPOINT x"])["Cmd"], Value::Null);
        assert_eq!(applied(&["WORKDIR /x"])["WorkingDir"], "/x");
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for (text, part) in [
            ("RUN x", "RUN is not a valid change command"),
            ("FROM x", "FROM is not a valid change command"),
            ("CMD", "CMD requires at least one argument"),
            ("ENV A", "can't find = in \"A\""),
            ("ENV A=1 B", "can't find = in \"B\""),
            ("ENV =1", "ENV names can not be blank"),
            ("EXPOSE x", "invalid containerPort: x"),
            ("EXPOSE 80/icmp", "invalid containerPort"),
            ("STOPSIGNAL no", "invalid signal: no"),
            ("HEALTHCHECK curl", "Unknown type"),
            ("HEALTHCHECK --interval=x CMD y", "not a duration"),
            ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD"),
            ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ] {
            let error = ConfigChange::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
