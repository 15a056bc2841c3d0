//! What a name without a registry stands for where containers' rules are wanted: an alias, or the same name at the registries
//! to search. Reads nothing, asks nobody.

use super::registries_conf::Rules;
use crate::image::{Reference, ReferenceError};

/// What `text` may stand for, likeliest first; never empty. A name with a registry stands for itself.
pub fn candidates(text: &str, rules: &Rules) -> Result<Vec<Reference>, ReferenceError> {
    let own: Reference = text.parse()?;
    let has_registry = match text.split_once('/') {
        Some((first, _)) => first.contains(['.', ':']) || first == "localhost",
        None => false,
    };
    if has_registry {
        return Ok(vec![own]);
    }
    let before_digest = text.split('@').next().unwrap_or(text);
    let name = before_digest.split(':').next().unwrap_or(before_digest);
    let suffix = &text[name.len()..];
    if let Some(target) = rules.aliases.get(name) {
        return Ok(vec![format!("{target}{suffix}").parse()?]);
    }
    if rules.search.is_empty() {
        return Ok(vec![own]);
    }
    let at = |registry: &String| format!("{registry}/{text}").parse();
    rules.search.iter().map(at).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_short_names_stand_for_something_else() {
        let mut rules = Rules::default();
        let of = |text: &str, rules: &Rules| -> Vec<String> {
            let all = candidates(text, rules).unwrap();
            all.iter().map(Reference::to_string).collect()
        };
        assert_eq!(of("app", &rules), ["docker.io/library/app:latest"]);
        rules.search = vec!["a.org".to_owned(), "docker.io".to_owned()];
        assert_eq!(
            of("app:1", &rules),
            ["a.org/app:1", "docker.io/library/app:1"]
        );
        let alias = ("me/app".to_owned(), "b.org/x".to_owned());
        rules.aliases.extend([alias]);
        assert_eq!(of("me/app:2", &rules), ["b.org/x:2"]);
        assert_eq!(of("localhost/app", &rules), ["localhost/app:latest"]);
        assert_eq!(of("c.org/me/app", &rules), ["c.org/me/app:latest"]);
        let digest = format!("me/app@sha256:{}", "0".repeat(64));
        assert!(of(&digest, &rules)[0].starts_with("b.org/x@sha256:"));
        assert!(candidates("App", &rules).is_err());
    }
}
