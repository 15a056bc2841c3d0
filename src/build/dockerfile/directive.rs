//! Parser directives: `# syntax=`, `# escape=` and `# check=` in the first lines. Never executes a frontend.

use super::ast::{Check, Directives, Located};
use super::error::Fault;
use super::flags::{Wrong, closest};
use super::source::{Location, Source};

/// Frontends whose language is the built-in one.
const OWN_FRONTENDS: [&str; 4] = [
    "docker/dockerfile",
    "docker/dockerfile-upstream",
    "moby/dockerfile",
    "moby/dockerfile-upstream",
];

impl Directives {
    /// Another frontend is asked for than Docker's: its language may differ from the one that is read.
    pub fn unknown_frontend(&self) -> Option<&Located<String>> {
        let syntax = self.syntax.as_ref()?;
        let image = syntax.value.split_whitespace().next().unwrap_or_default();
        let name = image.split_once('@').map_or(image, |(name, _)| name);
        let name = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => name,
            _ => name,
        };
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        (!OWN_FRONTENDS.contains(&name)).then_some(syntax)
    }
}

/// Reads the lines before the first one that is no directive; what follows is comment, whatever it looks like.
pub fn read(source: &Source) -> Result<Directives, Wrong> {
    let mut directives = Directives {
        syntax: None,
        escape: '\\',
        check: None,
    };
    let mut seen: Vec<&str> = Vec::new();
    let has_shebang = source.line(1).starts_with("#!");
    for number in 1 + usize::from(has_shebang)..=source.lines() {
        let line = source.line(number);
        let Some((name, value, at)) = key_and_value(line, number) else {
            break;
        };
        let location = Location::at(number, line[..at].chars().count() + 1);
        let Some(known) = ["syntax", "escape", "check"]
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known))
        else {
            break;
        };
        if seen.contains(&known) {
            let name = known.to_owned();
            return Err(Wrong::at(location, Fault::DirectiveTwice { name }));
        }
        seen.push(known);
        match known {
            "syntax" => {
                directives.syntax = Some(Located {
                    value: value.to_owned(),
                    location,
                    text: line.to_owned(),
                });
            }
            "escape" => {
                directives.escape = match value {
                    "\\" => '\\',
                    "`" => '`',
                    other => {
                        let value = other.to_owned();
                        return Err(Wrong::at(location, Fault::Escape { value }));
                    }
                };
            }
            _ => directives.check = Some(check(value).map_err(|fault| Wrong::at(location, fault))?),
        }
    }
    Ok(directives)
}

/// `# key = value`: the key, the value and where the value begins.
fn key_and_value(line: &str, number: usize) -> Option<(&str, &str, usize)> {
    let content = match number {
        1 => line.trim_start_matches('\u{feff}'),
        _ => line,
    };
    let comment = content.trim_start().strip_prefix('#')?;
    let (name, value) = comment.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric());
    let at = value.as_ptr() as usize - line.as_ptr() as usize;
    (is_name && !value.is_empty()).then_some((name, value, at))
}

/// `skip=A,B;error=true;experimental=all`
pub fn check(text: &str) -> Result<Check, Fault> {
    let mut check = Check::default();
    let names = |value: &str| {
        value
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect()
    };
    for option in text.split(';') {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        match key.trim() {
            "skip" => check.skip = names(value),
            "experimental" => check.experimental = names(value),
            "error" => {
                check.error = match value.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "t" => true,
                    "false" | "0" | "f" => false,
                    _ => {
                        let value = value.to_owned();
                        return Err(Fault::CheckError { value });
                    }
                };
            }
            other => {
                return Err(Fault::CheckOption {
                    option: other.to_owned(),
                    nearest: closest(other, ["skip", "error", "experimental"]),
                });
            }
        }
    }
    Ok(check)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn directives(text: &str) -> Directives {
        read(&Source::new("-", text)).unwrap()
    }

    fn fault(text: &str) -> Fault {
        read(&Source::new("-", text)).unwrap_err().fault
    }

    #[test]
    fn directives_stand_at_the_very_beginning() {
        let all = directives(
            "# syntax = docker/dockerfile:1\n#escape=`\n  # Check=skip=A,B;error=true\nFROM x",
        );
        assert_eq!(all.syntax.as_ref().unwrap().value, "docker/dockerfile:1");
        assert_eq!(all.syntax.as_ref().unwrap().location, Location::at(1, 12));
        assert_eq!(all.escape, '`');
        let check = all.check.unwrap();
        assert_eq!(
            (check.skip, check.error),
            (vec!["A".into(), "B".into()], true)
        );
        for late in [
            "\n# escape=`",
            "# x\n# escape=`",
            "# a=b\n# escape=`",
            "FROM x\n# escape=`",
        ] {
            assert_eq!(directives(late).escape, '\\', "{late:?}");
        }
        assert_eq!(directives("#!/usr/bin/env x\n# escape=`").escape, '`');
        assert_eq!(directives("\u{feff}# escape=`").escape, '`');
    }

    #[test]
    fn mistakes_in_directives() {
        assert!(matches!(
            fault("# escape=\\\n# escape=\\"),
            Fault::DirectiveTwice { .. }
        ));
        assert!(matches!(fault("# escape=x"), Fault::Escape { .. }));
        assert!(
            matches!(fault("# check=skipp=all"), Fault::CheckOption { nearest, .. } if nearest == "skip")
        );
        assert!(matches!(
            fault("# check=error=maybe"),
            Fault::CheckError { .. }
        ));
    }

    #[test]
    fn other_frontends_are_told() {
        let unknown = |image: &str| {
            directives(&format!("# syntax={image}"))
                .unknown_frontend()
                .is_some()
        };
        for own in [
            "docker/dockerfile",
            "docker/dockerfile:1.7-labs",
            "docker.io/docker/dockerfile:1@sha256:aa",
            "docker/dockerfile-upstream:master",
        ] {
            assert!(!unknown(own), "{own}");
        }
        for other in [
            "example.com/docker/dockerfile:1",
            "tonistiigi/copy",
            "localhost:5000/dockerfile",
        ] {
            assert!(unknown(other), "{other}");
        }
    }
}
