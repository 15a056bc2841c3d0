//! Container names: docker's grammar, and invented ones.

use std::fmt;
use std::str::FromStr;

use super::id::ContainerId;

/// `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, checked when parsed, so it is safe as a path component. At most 253 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerName(String);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("Invalid container name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct ContainerNameError {
    text: String,
}

const ADJECTIVES: [&str; 32] = [
    "amber", "brave", "calm", "clever", "cosy", "damp", "deep", "eager", "early", "fair", "fresh",
    "gentle", "green", "happy", "humble", "keen", "kind", "lively", "lucid", "merry", "mild",
    "misty", "nimble", "patient", "quiet", "shady", "silent", "soft", "spry", "sunny", "tender",
    "wild",
];

/// Genera of mosses and liverworts, and parts of them.
const NOUNS: [&str; 32] = [
    "andreaea",
    "anomodon",
    "atrichum",
    "barbula",
    "bartramia",
    "bryum",
    "calypogeia",
    "capsule",
    "climacium",
    "dicranum",
    "encalypta",
    "fissidens",
    "fontinalis",
    "frullania",
    "funaria",
    "grimmia",
    "hookeria",
    "hylocomium",
    "hypnum",
    "lophozia",
    "marchantia",
    "mnium",
    "neckera",
    "pellia",
    "pogonatum",
    "polytrichum",
    "protonema",
    "radula",
    "rhizoid",
    "riccia",
    "sphagnum",
    "tortula",
];

impl ContainerName {
    /// A readable name made from the id, `green_bryum`; `attempt` above 0 adds digits, for when it is taken.
    pub fn invent(id: &ContainerId, attempt: u32) -> ContainerName {
        let digits = u32::from_str_radix(&id.as_str()[..8], 16).expect("an id is hex");
        let adjective = ADJECTIVES[(digits % 32) as usize];
        let noun = NOUNS[(digits / 32 % 32) as usize];
        match attempt {
            0 => ContainerName(format!("{adjective}_{noun}")),
            _ => ContainerName(format!(
                "{adjective}_{noun}{}",
                (digits >> 10).wrapping_add(attempt) % 1000
            )),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = ContainerNameError;

    fn from_str(text: &str) -> Result<ContainerName, ContainerNameError> {
        // Docker accepts, and drops, a leading slash: its API shows names with one.
        let name = text.strip_prefix('/').unwrap_or(text);
        let word = |byte: u8| byte.is_ascii_alphanumeric();
        let rest = |byte: u8| word(byte) || matches!(byte, b'_' | b'.' | b'-');
        let good = (2..=253).contains(&name.len())
            && name.bytes().next().is_some_and(word)
            && name.bytes().all(rest);
        if good {
            Ok(ContainerName(name.to_owned()))
        } else {
            Err(ContainerNameError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_grammar() {
        for good in ["web", "a1", "A_b.c-d", "/web"] {
            assert!(good.parse::<ContainerName>().is_ok(), "{good} was refused");
        }
        let long = "a".repeat(10240);
        for bad in [
            "",
            "a",
            ".",
            "..",
            "../x",
            "a/b",
            "-a",
            "_a",
            "a b",
            "a\0b",
            "ä1",
            "a/../../b",
            &long,
        ] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad} was accepted");
        }
    }
}
