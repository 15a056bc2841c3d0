//! `.dockerignore`, and the patterns of `--exclude`: which paths of a context are not in it. Never walks a directory.

use std::rc::Rc;

use super::glob::{BadPattern, Globs, Positions};

/// A line that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:1: {fault}")]
pub struct IgnoreError {
    pub file: String,
    pub line: usize,
    /// The text of that line.
    pub text: String,
    pub fault: IgnoreFault,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreFault {
    #[error("illegal exclusion pattern: \"!\"")]
    NothingExcepted,
    #[error("{0}")]
    Pattern(#[from] BadPattern),
}

/// Patterns in order: of those that match a path or a directory above it, the last one decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    globs: Globs,
    /// What each of the patterns means.
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// `!`: what it matches stays.
    excepts: bool,
    /// Excludes everything at the top.
    is_everything: bool,
}

/// What a directory has for the paths in it; the default is the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Above {
    /// The last pattern that matches it or a directory above it.
    last: Option<usize>,
    /// How far the patterns are behind its slash.
    positions: Option<Rc<Positions>>,
}

/// What is to be done with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub excluded: bool,
    /// A directory: something below it may stay, even if it is excluded itself.
    pub enter: bool,
    /// For the paths in it.
    pub above: Above,
}

impl Ignore {
    /// Reads the file; `name` is what messages call it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Ignore, IgnoreError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut ignore = Ignore::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            // Only in the first column: ` #` is a pattern.
            if line.starts_with(b"#") {
                continue;
            }
            let fail = |fault| IgnoreError {
                file: name.to_owned(),
                line: index + 1,
                text: String::from_utf8_lossy(line).trim_end().to_owned(),
                fault,
            };
            ignore.push(line).map_err(fail)?;
        }
        Ok(ignore)
    }

    /// From patterns that stand alone, as `--exclude` has them.
    pub fn from_patterns<'p>(
        patterns: impl IntoIterator<Item = &'p [u8]>,
    ) -> Result<Ignore, IgnoreFault> {
        let mut ignore = Ignore::default();
        for pattern in patterns {
            ignore.push(pattern)?;
        }
        Ok(ignore)
    }

    fn push(&mut self, line: &[u8]) -> Result<(), IgnoreFault> {
        let line = trim(line);
        let (excepts, pattern) = match line.strip_prefix(b"!") {
            Some(pattern) => (true, trim(pattern)),
            None => (false, line),
        };
        if pattern.is_empty() {
            return match excepts {
                true => Err(IgnoreFault::NothingExcepted),
                false => Ok(()),
            };
        }
        let cleaned = clean(pattern);
        let relative = match cleaned.as_slice() {
            [b'/', rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        self.globs.push_deep(relative)?;
        self.rules.push(Rule {
            excepts,
            is_everything: [&b"*"[..], b"**", b"**/*"].contains(&relative) && !excepts,
        });
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a `!` is among the patterns.
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.excepts)
    }

    /// Whether a pattern takes every entry of the context.
    pub fn excludes_everything(&self) -> bool {
        self.rules.iter().any(|rule| rule.is_everything)
    }

    /// Of a single path, relative to the context, with `/` between its parts.
    pub fn excludes(&self, path: &[u8]) -> bool {
        let mut above = Above::default();
        let mut parts = path.split(|byte| *byte == b'/').peekable();
        while let Some(part) = parts.next() {
            let verdict = self.judge(&above, part);
            if parts.peek().is_none() {
                return verdict.excluded;
            }
            above = verdict.above;
        }
        false
    }

    /// Of a name in a directory, while a tree is walked from the top.
    pub fn judge(&self, above: &Above, name: &[u8]) -> Verdict {
        let reached = match &above.positions {
            Some(positions) => self.globs.go_on(positions, name),
            None => self.globs.go_on(&self.globs.begin(), name),
        };
        let last = self.globs.last_match(&reached).max(above.last);
        let excluded = last.is_some_and(|number| !self.rules[number].excepts);
        let below = self.globs.go_on(&reached, b"/");
        let may_stay = || {
            self.globs
                .left(&below)
                .any(|number| self.rules[number].excepts)
        };
        Verdict {
            excluded,
            enter: !excluded || may_stay(),
            above: Above {
                last,
                positions: Some(Rc::new(below)),
            },
        }
    }
}

/// Without the blanks that Unicode knows, on both sides.
fn trim(bytes: &[u8]) -> &[u8] {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => bytes.trim_ascii(),
    }
}

/// Go's `filepath.Clean`: the shortest path that means the same by its text.
pub fn clean(path: &[u8]) -> Vec<u8> {
    let is_absolute = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if is_absolute => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join(&b'/');
    match (is_absolute, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::glob::STEPS;
    use super::*;

    fn ignore(text: &str) -> Ignore {
        Ignore::parse(".dockerignore", text.as_bytes()).unwrap()
    }

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, cleaned) in [
            ("", "."),
            ("a//b", "a/b"),
            ("a/./b/..", "a"),
            ("../a", "../a"),
            ("a/../..", ".."),
            ("/..", "/"),
            ("/a/", "/a"),
            ("./a", "a"),
        ] {
            assert_eq!(clean(path.as_bytes()), cleaned.as_bytes(), "{path}");
        }
    }

    #[test]
    fn the_last_match_decides_and_directories_take_what_is_in_them() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "# a comment\n\n*.log\n",
                &["x.log"],
                &["a/x.log", "x.log2", "# a comment"],
            ),
            (
                "/foo\nbar/\n",
                &["foo", "foo/x", "bar", "bar/a/b"],
                &["a/foo", "a/bar"],
            ),
            ("  spaced  \t\r\n", &["spaced"], &["  spaced"]),
            (
                "*\n!src\n!README.md",
                &["a", "a/b"],
                &["src", "src/a/b", "README.md"],
            ),
            (
                "**/node_modules\n",
                &["node_modules/a", "a/node_modules/b"],
                &["xnode_modules"],
            ),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                &["a.md", "README-secret.md"],
                &["README.md", "README-x.md"],
            ),
            (
                "*.md\nREADME-secret.md\n!README*.md",
                &["a.md"],
                &["README.md", "README-secret.md"],
            ),
            (
                "docs\n!docs/keep",
                &["docs", "docs/a"],
                &["docs/keep", "docs/keep/x"],
            ),
            ("! a \n", &[], &["a"]),
            ("a\n!/a/b\n", &["a/c"], &["a/b"]),
            ("./a/../b/./c", &["b/c", "b/c/d"], &["a", "b"]),
            ("../x\n", &[], &["x"]),
            (" # no comment", &["# no comment"], &["no comment"]),
            (".\n", &["."], &["a"]),
            ("*/temp*", &["a/temp", "a/tempx/y"], &["temp", "a/b/temp"]),
            ("temp?", &["tempa"], &["temp", "a/tempa"]),
            ("**", &["a", "a/b"], &[]),
            (
                "**/*.go\n!**/*_test.go",
                &["a/b.go"],
                &["a/b_test.go", "b_test.go"],
            ),
            ("\u{feff}a", &["a"], &[]),
            ("a\\*b", &["a*b"], &["axb"]),
        ];
        for (text, excluded, kept) in table {
            let ignore = ignore(text);
            for path in *excluded {
                assert!(ignore.excludes(path.as_bytes()), "{text:?} keeps {path}");
            }
            for path in *kept {
                assert!(
                    !ignore.excludes(path.as_bytes()),
                    "{text:?} excludes {path}"
                );
            }
        }
    }

    #[test]
    fn a_walk_enters_only_where_something_may_stay() {
        let rules = ignore("*\n!src/**/*.rs\n!docs/a");
        let judge = |above: &Above, name: &str| rules.judge(above, name.as_bytes());
        let top = Above::default();
        assert_eq!(
            (judge(&top, "node").excluded, judge(&top, "node").enter),
            (true, false)
        );
        let src = judge(&top, "src");
        assert_eq!((src.excluded, src.enter), (true, true));
        assert!(!judge(&src.above, "a.rs").excluded);
        assert!(judge(&src.above, "a.c").excluded);
        let docs = judge(&top, "docs");
        assert!(docs.enter && !judge(&docs.above, "b").enter);
        let kept = judge(&docs.above, "a");
        assert!(!kept.excluded && !judge(&kept.above, "x").excluded);
        assert!(ignore("a").judge(&top, b"b").enter);
    }

    /// The fuzzer's slowest: patterns that stay possible, and a path of as many directories as it has room for.
    #[test]
    fn a_path_is_read_once_however_many_directories_it_goes_through() {
        let (rules, path) = ("**/*a*\n!**/*?/**/b\n".repeat(100), "xy/".repeat(700) + "z");
        let ignore = ignore(&rules);
        STEPS.set(0);
        assert!(!ignore.excludes(path.as_bytes()));
        let most = rules.len() * path.len();
        assert!(STEPS.get() <= most, "{} steps, {most} at most", STEPS.get());
        // Patterns that cannot match any more cost nothing.
        let plain = Ignore::parse("-", "build/x.o\n".repeat(1000).as_bytes()).unwrap();
        STEPS.set(0);
        assert!(!plain.excludes(path.as_bytes()));
        assert!(STEPS.get() <= 1000, "{} steps", STEPS.get());
    }

    #[test]
    fn what_is_no_pattern_is_told_with_its_line() {
        let error = Ignore::parse(".dockerignore", b"a\n!\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            ".dockerignore:2:1: illegal exclusion pattern: \"!\""
        );
        let error = Ignore::parse("x", b"a[\n").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("x:1:1: invalid pattern \"a[\""),
            "{error}"
        );
        assert!(ignore("*").excludes_everything() && !ignore("a\n!**").excludes_everything());
    }
}
