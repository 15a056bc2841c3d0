//! What is fuzzed of this module: the texts that a build reads. Each function takes any bytes and fails only where a promise is
//! broken. The same inputs are replayed by the tests; only they and `fuzz/` are built with it.

use std::collections::BTreeMap;

use super::dockerfile::{
    self, Above, Dockerfile, Ignore, Instruction, LintContext, MAX_HEREDOC, MAX_WORD, RunBody,
};

/// A Dockerfile is refused at a place that it has, or its findings have such places and no word of it grows without end.
pub fn dockerfile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = dockerfile::parse_trigger(&text);
    let lookup = |name: &str| (name.len() < 3).then(|| format!("{name}:{name}"));
    for escape in ['\\', '`'] {
        if let Ok(word) = dockerfile::expand(&text, escape, &lookup) {
            assert!(word.len() <= MAX_WORD.max(text.len()));
        }
        let _ = dockerfile::expand_words(&text, escape, &lookup);
    }
    if let Ok(content) = dockerfile::expand_heredoc(&text, &lookup) {
        assert!(content.len() <= MAX_HEREDOC.max(text.len()));
    }
    match dockerfile::parse("Dockerfile", bytes) {
        Ok(file) => judge(&file),
        Err(error) => {
            assert!(error.line >= 1 && error.column >= 1, "{error:?}");
            assert_eq!(error.excerpt().lines().count(), 2, "{error:?}");
        }
    }
}

fn judge(file: &Dockerfile) {
    let none = BTreeMap::new();
    let context = LintContext {
        build_arguments: &none,
        platform_arguments: &none,
        image_variables: &|image| (image.len() % 2 == 0).then(|| vec!["PATH".to_owned()]),
        ignore: None,
        check: None,
    };
    for finding in dockerfile::lint(file, &context) {
        let place = finding.location;
        assert!(
            (1..=place.last_line).contains(&place.line) && place.last_line <= file.source.lines(),
            "{finding:?}"
        );
    }
    let escape = file.directives.escape;
    let lookup = |name: &str| (name.len() > 1).then(|| name.to_owned());
    for stage in &file.stages {
        for instruction in &stage.instructions {
            assert!(instruction.location.last_line <= file.source.lines());
            if let Instruction::Run(run) = &instruction.value {
                for mount in &run.mounts {
                    let _ = file.source.mount(mount, escape, &lookup);
                }
                if let RunBody::Script { content, .. } = run.body() {
                    assert!(file.source.text().len() >= content.len());
                }
            }
        }
    }
}

/// A `.dockerignore`, a NUL, and a path: all patterns together say of it, from directory to directory, what the last one that
/// matches says alone.
pub fn ignore(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|byte| *byte == 0) else {
        return;
    };
    let path = dockerfile::clean(&bytes[at + 1..]);
    let is_inside = !path.starts_with(b"/") && !path.starts_with(b"..") && path != b".";
    let Ok(ignore) = Ignore::parse(".dockerignore", &bytes[..at]) else {
        return;
    };
    if !is_inside {
        return;
    }
    let expected = last_line(&bytes[..at], &path);
    assert_eq!(ignore.excludes(&path), expected);
    let mut above = Above::default();
    for part in path.split(|byte| *byte == b'/') {
        let verdict = ignore.judge(&above, part);
        if !verdict.enter {
            assert!(expected, "it is in a directory that is not entered");
            return;
        }
        above = verdict.above;
    }
}

/// Whether the last line that matches the path leaves it out. Each is asked alone, an exception behind a pattern of everything.
fn last_line(text: &[u8], path: &[u8]) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let says = |line: &&[u8]| {
        let alone = Ignore::parse("", &[b"\n", *line].concat()).ok()?;
        let behind = Ignore::parse("", &[b"**\n", *line].concat()).ok()?;
        match alone.has_exceptions() {
            true => (!behind.excludes(path)).then_some(false),
            false => alone.excludes(path).then_some(true),
        }
    };
    lines.iter().rev().find_map(says).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::corpus::replay;

    #[test]
    fn the_corpora_hold_no_finding() {
        replay("dockerfile", dockerfile);
        replay("ignore", ignore);
    }
}
