//! Which images are let in: by the registry or repository in their names, and signed by whom. Reads no key, judges no image.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The scope of every name that no other scope is of.
pub const DEFAULT_SCOPE: &str = "default";

/// What holds for the images of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyRule {
    Accept,
    Reject,
    /// A signature that cosign made with one of these keys (PEM).
    Cosign {
        keys: Vec<PathBuf>,
    },
    /// A simple signature by one of these OpenPGP keys, found below the lookaside (`file:` or `https:`).
    Gpg {
        keys: Vec<PathBuf>,
        lookaside: String,
    },
}

impl PolicyRule {
    pub(super) const TYPES: &'static str = "accept, reject, cosign or gpg";
    pub(super) const FIELDS: [&'static str; 3] = ["type", "keys", "lookaside"];

    pub fn word(&self) -> &'static str {
        match self {
            PolicyRule::Accept => "accept",
            PolicyRule::Reject => "reject",
            PolicyRule::Cosign { .. } => "cosign",
            PolicyRule::Gpg { .. } => "gpg",
        }
    }

    /// `Err`: what is missing, or is there and has no meaning.
    pub(super) fn parse(
        word: &str,
        keys: Option<Vec<PathBuf>>,
        lookaside: Option<String>,
    ) -> Result<PolicyRule, &'static str> {
        let some_key = |keys: Option<Vec<PathBuf>>| {
            let keys = keys.filter(|keys| !keys.is_empty());
            keys.ok_or("keys beside it, at least one")
        };
        match (word, lookaside) {
            ("accept", None) if keys.is_none() => Ok(PolicyRule::Accept),
            ("reject", None) if keys.is_none() => Ok(PolicyRule::Reject),
            ("accept" | "reject", _) => Err("cosign or gpg where there are keys or a lookaside"),
            ("cosign", None) => Ok(PolicyRule::Cosign {
                keys: some_key(keys)?,
            }),
            ("cosign", Some(_)) => Err("gpg where there is a lookaside"),
            ("gpg", Some(lookaside)) => Ok(PolicyRule::Gpg {
                keys: some_key(keys)?,
                lookaside,
            }),
            ("gpg", None) => Err("a lookaside beside it, file:///… or https://…"),
            _ => Err(PolicyRule::TYPES),
        }
    }
}

/// All rules; without any, every image is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    rules: BTreeMap<String, PolicyRule>,
}

impl Policy {
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    pub(super) fn set(&mut self, scope: &str, rule: PolicyRule) {
        self.rules.insert(scope.to_owned(), rule);
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (&String, &PolicyRule)> {
        self.rules.iter()
    }

    /// The rule of the longest scope that a full name (`docker.io/library/debian`) is in; none for no name but the default.
    pub fn of(&self, name: Option<&str>) -> (&str, &PolicyRule) {
        let mut scope = name;
        while let Some(text) = scope {
            if let Some((scope, rule)) = self.rules.get_key_value(text) {
                return (scope, rule);
            }
            scope = text.rsplit_once('/').map(|(front, _)| front);
        }
        let default = self.rules.get_key_value(DEFAULT_SCOPE);
        default.map_or((DEFAULT_SCOPE, &PolicyRule::Accept), |(scope, rule)| {
            (scope, rule)
        })
    }

    /// A scope begins as references do when they are written out: a rule that is none of any image would protect nobody.
    pub(super) fn is_scope(text: &str) -> bool {
        let host = text.split('/').next().unwrap_or_default();
        let is_host = host.contains(['.', ':']) || host == "localhost";
        let good = |c: char| c.is_ascii_alphanumeric() && !c.is_ascii_uppercase();
        let part = |part: &str| part.starts_with(good) && part.ends_with(good);
        let within = |c: char| good(c) || "._-:[]".contains(c);
        let all = text
            .split('/')
            .all(|one| part(one) && one.chars().all(within));
        let paths = text.split('/').skip(1).all(|one| !one.contains(':'));
        text == DEFAULT_SCOPE || (is_host && all && paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_scope_decides() {
        let mut policy = Policy::default();
        let rule = |policy: &Policy, name| policy.of(name).1.clone();
        assert_eq!(rule(&policy, Some("docker.io/x/y")), PolicyRule::Accept);
        policy.set(DEFAULT_SCOPE, PolicyRule::Reject);
        policy.set("docker.io/library", PolicyRule::Accept);
        let keys = vec![PathBuf::from("/k")];
        let signed = PolicyRule::Cosign { keys };
        policy.set("docker.io/library/debian", signed.clone());
        assert_eq!(rule(&policy, None), PolicyRule::Reject);
        assert_eq!(
            rule(&policy, Some("docker.io/libraryx/a")),
            PolicyRule::Reject
        );
        assert_eq!(
            rule(&policy, Some("docker.io/library/a")),
            PolicyRule::Accept
        );
        assert_eq!(rule(&policy, Some("docker.io/library/debian")), signed);
        assert_eq!(rule(&policy, Some("docker.io/library/debian/x")), signed);
    }

    #[test]
    fn a_scope_is_a_full_name() {
        for right in [
            "default",
            "docker.io",
            "docker.io/a/b",
            "localhost/x",
            "h:5000/x_y",
        ] {
            assert!(Policy::is_scope(right), "{right}");
        }
        for wrong in [
            "",
            "debian",
            "docker.io/",
            "docker.io/a:1",
            "docker.io/A",
            "*",
        ] {
            assert!(!Policy::is_scope(wrong), "{wrong}");
        }
    }
}
