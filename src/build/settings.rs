//! The instructions that change an image's settings and none of its files. Pure: each gives its row of the history.

use serde_json::{Map, Value, json};

use super::dockerfile::{
    ArgDeclaration, Command, DockerfileError, Healthcheck, Instruction, Source, Word,
};
use super::draft::Draft;
use super::error::StepError;
use super::history;
use super::scope::{Arguments, Given};
use crate::engine::request::{Signal, exposed_ports};

/// What an instruction is applied to, and what it sees.
pub struct Settings<'a> {
    pub draft: &'a mut Draft,
    pub arguments: &'a mut Arguments,
    pub given: &'a Given,
    pub source: &'a Source,
    pub escape: char,
}

/// A fault of the text has its place already.
pub enum Wrong {
    Text(DockerfileError),
    Meaning(StepError),
}

impl From<DockerfileError> for Wrong {
    fn from(error: DockerfileError) -> Wrong {
        Wrong::Text(error)
    }
}

impl From<StepError> for Wrong {
    fn from(error: StepError) -> Wrong {
        Wrong::Meaning(error)
    }
}

impl Settings<'_> {
    /// `$name`: an argument unless an `ENV` came after it.
    pub fn lookup(&self, name: &str) -> Option<String> {
        let argument = self.arguments.get(name);
        argument.or_else(|| self.draft.variable(name))
    }

    pub fn expand(&self, word: &Word) -> Result<String, Wrong> {
        let lookup = |name: &str| self.lookup(name);
        Ok(self.source.expand(word, self.escape, &lookup)?)
    }

    fn expand_words(&self, word: &Word) -> Result<Vec<String>, Wrong> {
        let lookup = |name: &str| self.lookup(name);
        Ok(self.source.expand_words(word, self.escape, &lookup)?)
    }

    /// The row of the history; None: it is no such instruction.
    pub fn apply(&mut self, instruction: &Instruction) -> Result<Option<String>, Wrong> {
        let row = match instruction {
            Instruction::Arg(declarations) => self.declare(declarations)?,
            Instruction::Env(pairs) => self.variables(pairs)?,
            Instruction::Label(pairs) => self.labels(pairs)?,
            Instruction::User(user) => {
                let user = self.expand(user)?;
                self.draft.set("User", json!(user));
                format!("USER {user}")
            }
            Instruction::Expose(words) => self.expose(words)?,
            Instruction::Volume(words) => self.volume(words)?,
            Instruction::Cmd(command) => {
                self.draft.has_own_command = true;
                self.program("CMD", "Cmd", command)
            }
            Instruction::Entrypoint(command) => {
                if !self.draft.has_own_command {
                    self.draft.config.remove("Cmd");
                }
                self.program("ENTRYPOINT", "Entrypoint", command)
            }
            Instruction::Shell(words) => {
                self.draft.set("Shell", json!(words));
                format!("SHELL [{}]", words.join(" "))
            }
            Instruction::StopSignal(word) => self.stop_signal(word)?,
            Instruction::Healthcheck(check) => {
                let test = healthcheck_test(check);
                let value = healthcheck(check, &test);
                let row = history::healthcheck(check, &test);
                self.draft.set("Healthcheck", value);
                row
            }
            Instruction::Onbuild(trigger) => {
                self.draft.list("OnBuild").push(trigger.as_str().into());
                format!("ONBUILD {trigger}")
            }
            Instruction::Maintainer(name) => {
                self.draft.set_author(name);
                format!("MAINTAINER {name}")
            }
            _ => return Ok(None),
        };
        Ok(Some(row))
    }

    fn declare(&mut self, declarations: &[ArgDeclaration]) -> Result<String, Wrong> {
        let mut shown = Vec::new();
        for declaration in declarations {
            let name = self.expand(&declaration.name)?;
            let default = declaration.default.as_ref();
            let default = default.map(|word| self.expand(word)).transpose()?;
            let value = self.given.in_stage(&name, default);
            shown.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            self.arguments.declare(&name, value);
        }
        Ok(format!("ARG {}", shown.join(" ")))
    }

    /// All values are expanded before any is set.
    fn variables(&mut self, pairs: &[(Word, Word)]) -> Result<String, Wrong> {
        let pairs = self.pairs(pairs)?;
        for (name, value) in &pairs {
            self.draft.set_variable(name, value);
            self.arguments.hide(name);
        }
        Ok(format!("ENV {}", shown(&pairs)))
    }

    fn labels(&mut self, pairs: &[(Word, Word)]) -> Result<String, Wrong> {
        let pairs = self.pairs(pairs)?;
        let labels = self.draft.object("Labels");
        for (name, value) in &pairs {
            labels.insert(name.clone(), value.as_str().into());
        }
        Ok(format!("LABEL {}", shown(&pairs)))
    }

    fn program(&mut self, instruction: &str, key: &str, command: &Command) -> String {
        let words = self.command(command);
        let row = format!("{instruction} {}", history::list(&words));
        self.draft.set(key, json!(words));
        row
    }

    fn stop_signal(&mut self, word: &Word) -> Result<String, Wrong> {
        let signal = self.expand(word)?;
        if signal.parse::<Signal>().is_err() {
            return Err(StepError::Signal { signal }.into());
        }
        self.draft.set("StopSignal", json!(signal));
        Ok(format!("STOPSIGNAL {signal}"))
    }

    fn pairs(&self, pairs: &[(Word, Word)]) -> Result<Vec<(String, String)>, Wrong> {
        let expanded = pairs
            .iter()
            .map(|(name, value)| Ok((self.expand(name)?, self.expand(value)?)));
        expanded.collect()
    }

    fn expose(&mut self, words: &[Word]) -> Result<String, Wrong> {
        let mut all = Vec::new();
        for word in words {
            for text in self.expand_words(word)? {
                // Where it would be published on the host means nothing; a warning says so.
                let inside = text.rsplit(':').next().unwrap_or_default();
                let ports = exposed_ports(inside);
                all.extend(ports.map_err(|_| StepError::Port { port: text.clone() })?);
            }
        }
        let ports = self.draft.object("ExposedPorts");
        for port in &all {
            ports.insert(port.clone(), json!({}));
        }
        Ok(format!("EXPOSE [{}]", all.join(" ")))
    }

    fn volume(&mut self, words: &[Word]) -> Result<String, Wrong> {
        let mut all = Vec::new();
        for word in words {
            let path = self.expand(word)?.trim().to_owned();
            if path.is_empty() {
                return Err(StepError::Blank { name: "VOLUME" }.into());
            }
            all.push(path);
        }
        let volumes = self.draft.object("Volumes");
        for path in &all {
            volumes.insert(path.clone(), json!({}));
        }
        Ok(format!("VOLUME [{}]", all.join(" ")))
    }

    fn command(&self, command: &Command) -> Vec<String> {
        match command {
            Command::Exec(words) => words.clone(),
            Command::Shell(text) => [self.draft.shell(), vec![text.clone()]].concat(),
        }
    }
}

fn healthcheck_test(check: &Healthcheck) -> Vec<String> {
    match check {
        Healthcheck::None => vec!["NONE".to_owned()],
        Healthcheck::Check { command, .. } => match command {
            Command::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
            Command::Exec(words) => [vec!["CMD".to_owned()], words.clone()].concat(),
        },
    }
}

fn healthcheck(check: &Healthcheck, test: &[String]) -> Value {
    let mut settings = Map::new();
    settings.insert("Test".to_owned(), json!(test));
    let Healthcheck::Check {
        interval,
        timeout,
        start_period,
        start_interval,
        retries,
        ..
    } = check
    else {
        return Value::Object(settings);
    };
    for (key, time) in [
        ("Interval", interval),
        ("Timeout", timeout),
        ("StartPeriod", start_period),
        ("StartInterval", start_interval),
    ] {
        if let Some(time) = time {
            let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            settings.insert(key.to_owned(), nanoseconds.into());
        }
    }
    if let Some(retries) = retries {
        settings.insert("Retries".to_owned(), (*retries).into());
    }
    Value::Object(settings)
}

fn shown(pairs: &[(String, String)]) -> String {
    let words: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    words.join(" ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::dockerfile::parse;
    use super::*;
    use crate::image::Platform;
    use std::collections::BTreeMap;

    fn config(text: &str) -> Value {
        let file = parse("Dockerfile", format!("FROM scratch\n{text}").as_bytes()).unwrap();
        let args = BTreeMap::from([("A".to_owned(), "given".to_owned())]);
        let given = Given::new(args, &Platform::host(), "");
        let mut draft = Draft::empty(&Platform::host());
        draft.set("Cmd", json!(["base"]));
        let mut arguments = Arguments::default();
        for instruction in &file.stages[0].instructions {
            let mut settings = Settings {
                draft: &mut draft,
                arguments: &mut arguments,
                given: &given,
                source: &file.source,
                escape: file.directives.escape,
            };
            match settings.apply(&instruction.value) {
                Ok(Some(row)) => draft.record(row, None),
                _ => panic!("{}", instruction.text),
            }
        }
        let mut json: Value = serde_json::from_slice(&draft.to_json(&[])).unwrap();
        let rows: Vec<Value> = json["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["created_by"].clone())
            .collect();
        json["rows"] = rows.into();
        json
    }

    #[test]
    fn settings_are_those_of_the_instructions() {
        let json = config(
            "ARG A=1\nARG B=2\nENV X=$A Y=${B}-${Z:-z} A=hides\nENV W=$A\nLABEL a.b=\"c d\"\nUSER app:$B\n\
             EXPOSE 80 53/udp 8000-8001\nVOLUME [\"/data\", \"/more\"]\nSHELL [\"/bin/bash\", \"-c\"]\nENTRYPOINT exec top\n\
             STOPSIGNAL SIGINT\nHEALTHCHECK --interval=5s --retries=2 CMD curl x\nONBUILD RUN make\nMAINTAINER me\n",
        );
        let config = &json["config"];
        let env = config["Env"].as_array().unwrap();
        assert_eq!(env[1..], ["X=given", "Y=2-z", "A=hides", "W=hides"]);
        assert_eq!(config["Labels"]["a.b"], "c d");
        assert_eq!(config["User"], "app:2");
        let ports: Vec<&String> = config["ExposedPorts"].as_object().unwrap().keys().collect();
        assert_eq!(ports, ["53/udp", "80/tcp", "8000/tcp", "8001/tcp"]);
        assert_eq!(config["Volumes"], json!({ "/data": {}, "/more": {} }));
        assert_eq!(config["Entrypoint"], json!(["/bin/bash", "-c", "exec top"]));
        assert!(
            config.get("Cmd").is_none(),
            "the base's command is for another entrypoint"
        );
        assert_eq!(config["Healthcheck"]["Interval"], 5_000_000_000u64);
        assert_eq!(
            config["Healthcheck"]["Test"],
            json!(["CMD-SHELL", "curl x"])
        );
        assert_eq!(config["OnBuild"], json!(["RUN make"]));
        assert_eq!(json["author"], "me");
        assert_eq!(json["rows"][0], "ARG A=given");
        assert_eq!(json["rows"][4], "LABEL a.b=c d");
        assert_eq!(
            json["rows"][11],
            r#"HEALTHCHECK &{["CMD-SHELL" "curl x"] "5s" "0s" "0s" "0s" '\x02'}"#
        );
    }
}
