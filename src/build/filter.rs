//! Which paths below a directory are taken: `.dockerignore` and `--exclude` while a tree is walked. Pure.

use std::cell::RefCell;
use std::collections::HashMap;

use super::dockerfile::{Above, Ignore, Verdict};
use crate::image::Choice;

/// Patterns, with what is known of the directories that were seen.
pub struct Filter {
    ignore: Ignore,
    seen: RefCell<HashMap<Vec<u8>, Above>>,
}

impl Filter {
    /// None where nothing is left out.
    pub fn new(ignore: Ignore) -> Option<Filter> {
        (!ignore.is_empty()).then(|| Filter {
            ignore,
            seen: RefCell::default(),
        })
    }

    /// Whether `path` is taken.
    pub fn choice(&self, path: &[u8], is_directory: bool) -> Choice {
        if path.is_empty() {
            return Choice::Take;
        }
        let verdict = self.judge(path);
        if is_directory {
            let mut seen = self.seen.borrow_mut();
            seen.insert(path.to_vec(), verdict.above);
        }
        match (verdict.excluded, verdict.enter && is_directory) {
            (false, _) => Choice::Take,
            (true, true) => Choice::LookInside,
            (true, false) => Choice::Leave,
        }
    }

    fn judge(&self, path: &[u8]) -> Verdict {
        match path.iter().rposition(|byte| *byte == b'/') {
            Some(end) => self
                .ignore
                .judge(&self.directory(&path[..end]), &path[end + 1..]),
            None => self.ignore.judge(&Above::default(), path),
        }
    }

    /// What is known of a directory.
    fn directory(&self, path: &[u8]) -> Above {
        if let Some(known) = self.seen.borrow().get(path) {
            return known.clone();
        }
        let above = self.judge(path).above;
        let mut seen = self.seen.borrow_mut();
        seen.insert(path.to_vec(), above.clone());
        above
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_may_hold_what_is_not() {
        let ignore = Ignore::parse(".dockerignore", b"docs\n!docs/README.md\n*.log\n").unwrap();
        let filter = Filter::new(ignore).unwrap();
        for (path, is_directory, choice) in [
            (&b"docs"[..], true, Choice::LookInside),
            (b"docs/a", false, Choice::Leave),
            (b"docs/README.md", false, Choice::Take),
            (b"a.log", false, Choice::Leave),
            (b"src/deep/a.log", false, Choice::Take),
            (b"src", true, Choice::Take),
        ] {
            let path_text = String::from_utf8_lossy(path);
            assert_eq!(filter.choice(path, is_directory), choice, "{path_text}");
        }
        assert!(Filter::new(Ignore::default()).is_none());
    }
}
