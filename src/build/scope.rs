//! Which variables an instruction sees: global arguments, a stage's own, and its environment. Pure.

use std::collections::BTreeMap;

use crate::image::Platform;

/// Of the host's proxies; every `RUN` has them, no history and no key does unless an `ARG` says so.
pub const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What the command line says, and what is said by what it is built on and for.
#[derive(Clone, Debug)]
pub struct Given {
    args: BTreeMap<String, String>,
    platform: Vec<(&'static str, String)>,
    /// `ARG` before the first `FROM`, in order.
    globals: Vec<(String, Option<String>)>,
}

impl Given {
    pub fn new(args: BTreeMap<String, String>, target: &Platform, stage: &str) -> Given {
        let host = Platform::host();
        let variant = |platform: &Platform| platform.variant.clone().unwrap_or_default();
        let platform = vec![
            ("BUILDPLATFORM", host.to_string()),
            ("BUILDOS", host.os.clone()),
            ("BUILDARCH", host.architecture.clone()),
            ("BUILDVARIANT", variant(&host)),
            ("TARGETPLATFORM", target.to_string()),
            ("TARGETOS", target.os.clone()),
            ("TARGETARCH", target.architecture.clone()),
            ("TARGETVARIANT", variant(target)),
            ("TARGETSTAGE", stage.to_owned()),
        ];
        Given {
            args,
            platform,
            globals: Vec::new(),
        }
    }

    /// `ARG name=default` before the first `FROM`.
    pub fn declare(&mut self, name: &str, default: Option<String>) {
        let value = self.args.get(name).cloned();
        let value = value.or(default).or_else(|| self.of_platform(name));
        self.globals.push((name.to_owned(), value));
    }

    fn of_platform(&self, name: &str) -> Option<String> {
        let known = self.platform.iter().find(|(known, _)| *known == name);
        known.map(|(_, value)| value.clone())
    }

    /// What `FROM` and a global `ARG` see.
    pub fn global(&self, name: &str) -> Option<String> {
        let declared = self.globals.iter().rev().find(|(known, _)| known == name);
        match declared {
            Some((_, value)) => value.clone(),
            None => self.of_platform(name),
        }
    }

    /// Those that every `FROM` knows.
    pub fn platform_arguments(&self) -> BTreeMap<String, String> {
        let all = self.platform.iter();
        all.map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect()
    }

    /// What `ARG name=default` in a stage makes of the name.
    pub fn in_stage(&self, name: &str, default: Option<String>) -> Option<String> {
        let given = self.args.get(name).cloned();
        given.or(default).or_else(|| self.global(name))
    }

    /// One of those that say how to build, and are no variables of the Dockerfile.
    pub fn build_argument(&self, name: &str) -> Option<&str> {
        let given = self.args.get(name).map(String::as_str);
        given.filter(|value| !value.is_empty())
    }

    /// Variables of every `RUN` that nobody declared, in capitals and in small letters whichever was given: programs read one or the other.
    pub fn proxies(&self) -> Vec<(String, String)> {
        let value = |name: &str| {
            let is_alike = |(other, _): &(&String, &String)| other.eq_ignore_ascii_case(name);
            let alike = self.args.iter().find(is_alike).map(|(_, value)| value);
            self.args.get(name).or(alike).cloned()
        };
        let given = PROXIES.iter();
        given
            .filter_map(|name| Some(((*name).to_owned(), value(name)?)))
            .collect()
    }

    /// Arguments on the command line that no `ARG` is for.
    pub fn unused<'a>(&'a self, declared: &'a [String]) -> Vec<&'a str> {
        let given = self.args.keys().map(String::as_str);
        given
            .filter(|name| !declared.iter().any(|known| known == name))
            .filter(|name| !PROXIES.contains(name) && !name.starts_with("BUILDKIT_"))
            .filter(|name| *name != "SOURCE_DATE_EPOCH" && self.of_platform(name).is_none())
            .collect()
    }
}

/// The arguments of a stage so far, those of the stage that it is built on among them.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    declared: Vec<String>,
    /// Of an `ARG` and an `ENV` of one name the later one counts: those of which no `ENV` came later.
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// `ARG`; without a value it changes none.
    pub fn declare(&mut self, name: &str, value: Option<String>) {
        if !self.declared.iter().any(|known| known == name) {
            self.declared.push(name.to_owned());
        }
        if let Some(value) = value {
            self.values.insert(name.to_owned(), value);
        }
    }

    /// `ENV`
    pub fn hide(&mut self, name: &str) {
        self.values.remove(name);
    }

    /// What the name means, whatever the environment says.
    pub fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// What a `RUN` sees.
    pub fn over(&self, environment: Vec<(String, String)>) -> Vec<(String, String)> {
        let is_known = |name: &String| environment.iter().any(|(known, _)| known == name);
        let values = self.values.iter();
        let more: Vec<(String, String)> = values
            .filter(|(name, _)| !is_known(name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let environment = environment.into_iter().map(|(name, value)| {
            let value = self.get(&name).unwrap_or(value);
            (name, value)
        });
        environment.chain(more).collect()
    }

    /// `NAME=value` of all that were declared, as the history of a `RUN` has them.
    pub fn shown(&self, seen: &[(String, String)]) -> Vec<String> {
        let value = |name: &String| {
            let found = seen.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let declared = self.declared.iter();
        declared
            .map(|name| format!("{name}={}", value(name)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_says_counts_where_it_is_declared() {
        let args = BTreeMap::from([("A".to_owned(), "cli".to_owned())]);
        let mut given = Given::new(args, &Platform::host(), "app");
        assert_eq!(given.global("A"), None, "nobody declared it");
        given.declare("A", Some("default".to_owned()));
        given.declare("B", Some("global".to_owned()));
        assert_eq!(given.global("A").as_deref(), Some("cli"));
        assert_eq!(given.in_stage("B", None).as_deref(), Some("global"));
        assert_eq!(
            given.in_stage("B", Some("own".to_owned())).as_deref(),
            Some("own")
        );
        assert_eq!(given.global("TARGETOS").as_deref(), Some("linux"));
        assert_eq!(given.in_stage("C", None), None);
        let declared = ["B".to_owned()];
        assert_eq!(given.unused(&declared), ["A"]);
    }

    #[test]
    fn of_an_argument_and_a_variable_the_later_one_counts() {
        let mut arguments = Arguments::default();
        arguments.declare("A", Some("1".to_owned()));
        arguments.declare("B", Some("2".to_owned()));
        arguments.declare("C", None);
        arguments.hide("A");
        let environment = ["A", "B", "P"].map(|name| (name.to_owned(), "env".to_owned()));
        let seen = arguments.over(environment.to_vec());
        let seen_of = |name| seen.iter().find(|(known, _)| known == name);
        assert_eq!(seen_of("A").map(|(_, value)| value.as_str()), Some("env"));
        assert_eq!(seen_of("B").map(|(_, value)| value.as_str()), Some("2"));
        assert_eq!(arguments.shown(&seen), ["A=env", "B=2", "C="]);
        arguments.declare("A", Some("3".to_owned()));
        arguments.declare("B", None);
        let seen = arguments.over(Vec::new());
        assert_eq!(arguments.shown(&seen), ["A=3", "B=2", "C="]);
    }
}
