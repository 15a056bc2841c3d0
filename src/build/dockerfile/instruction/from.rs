//! `FROM`, and the comments that describe stages and arguments. Never looks for the base.

use super::super::ast::{Stage, Word};
use super::super::error::Fault;
use super::super::finding::{Finding, Rule};
use super::super::flags::{Flags, Wrong};
use super::super::lines::Logical;
use super::super::words;
use super::Statement;

impl Statement<'_, '_> {
    pub(super) fn from(
        &self,
        flags: &mut Flags,
        remarks: &mut Vec<Finding>,
    ) -> Result<Stage, Wrong> {
        let words: Vec<Word> = words::at_blanks(self.rest)
            .into_iter()
            .map(|(at, word)| self.word_at(at, word))
            .collect();
        let platform = flags.text("platform");
        let (base, written_name) = match words.as_slice() {
            [base] => (base.clone(), None),
            [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
                if !same_case(self.word, &keyword.text) {
                    remarks.push(Finding::new(
                        Rule::FromAsCasing,
                        self.start(),
                        format!(
                            "'{}' and '{}' keywords' casing do not match",
                            keyword.text, self.word
                        ),
                    ));
                }
                (base.clone(), Some(name.clone()))
            }
            [_, keyword, _] => {
                let word = keyword.text.clone();
                return Err(Wrong::at(keyword.location, Fault::FromWord { word }));
            }
            _ => return Err(Wrong::at(self.start(), Fault::From)),
        };
        let name = written_name.as_ref().map(|name| name.text.to_lowercase());
        if let (Some(lower), Some(written)) = (&name, &written_name) {
            if !is_stage_name(lower) {
                let name = written.text.clone();
                return Err(Wrong::at(written.location, Fault::StageName { name }));
            }
            if *lower != written.text {
                let message = format!("Stage name '{}' should be lowercase", written.text);
                remarks.push(Finding::new(Rule::StageNameCasing, self.start(), message));
            }
        }
        let described: Vec<&str> = name.as_deref().into_iter().collect();
        self.check_description("FROM", &described, remarks);
        Ok(Stage {
            description: name
                .as_deref()
                .and_then(|name| description(self.line, name)),
            name,
            written_name,
            base,
            platform,
            location: self.start(),
            text: self.line.text.trim().to_owned(),
            instructions: Vec::new(),
        })
    }

    /// A comment directly above that does not begin with the name of what it stands above.
    pub(super) fn check_description(
        &self,
        keyword: &str,
        names: &[&str],
        remarks: &mut Vec<Finding>,
    ) {
        let Some(comment) = self.line.comments.last() else {
            return;
        };
        let first = comment.split(' ').next().unwrap_or_default();
        if names.is_empty() || names.contains(&first) {
            return;
        }
        let example = match names {
            [name] => name,
            _ => "<arg_key>",
        };
        let message =
            format!("Comment for {keyword} should follow the format: `# {example} <description>`");
        remarks.push(Finding::new(
            Rule::InvalidDefinitionDescription,
            self.start(),
            message,
        ));
    }
}

/// What follows the name in the comment directly above.
pub(super) fn description(line: &Logical, name: &str) -> Option<String> {
    let (first, rest) = line.comments.last()?.split_once(' ')?;
    (first == name && !rest.trim().is_empty()).then(|| rest.trim().to_owned())
}

/// Where the keyword has no case of its own (`From`), that is another rule's.
fn same_case(from: &str, keyword: &str) -> bool {
    if from == from.to_lowercase() {
        keyword == keyword.to_lowercase()
    } else if from == from.to_uppercase() {
        keyword == keyword.to_uppercase()
    } else {
        true
    }
}

fn is_stage_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}
