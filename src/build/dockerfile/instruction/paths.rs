//! `COPY` and `ADD`. Never looks at a file.

use std::collections::HashMap;

use super::super::ast::{Add, Copy, Heredoc, Word};
use super::super::error::Fault;
use super::super::flags::{Flags, Wrong};
use super::Statement;

impl Statement<'_, '_> {
    /// Sources, inline files and the destination.
    pub(super) fn paths(&self) -> Result<(Vec<Word>, Vec<Heredoc>, Word), Wrong> {
        let mut paths = self.list()?;
        let keyword = || self.keyword.to_owned();
        let destination = match paths.pop() {
            Some(destination) if !paths.is_empty() => destination,
            _ => return Err(self.requires("at least two arguments: a source and the destination")),
        };
        if self.heredocs.is_empty() {
            return Ok((paths, Vec::new(), destination));
        }
        if Heredoc::begun_by(&destination.text).is_some() {
            let fault = Fault::HeredocDestination { keyword: keyword() };
            return Err(Wrong::at(destination.location, fault));
        }
        // Of two with one name the last one's content counts, as in BuildKit.
        let bodies: HashMap<&str, &Heredoc> = self
            .heredocs
            .iter()
            .map(|heredoc| (heredoc.name.as_str(), heredoc))
            .collect();
        let body = |named: Heredoc| {
            bodies
                .get(named.name.as_str())
                .map(|heredoc| (*heredoc).clone())
        };
        let mut inline = Vec::new();
        paths.retain(|path| match Heredoc::begun_by(&path.text).and_then(body) {
            Some(heredoc) => {
                inline.push(heredoc);
                false
            }
            None => true,
        });
        Ok((paths, inline, destination))
    }

    pub(super) fn copy(&self, flags: &mut Flags) -> Result<Copy, Wrong> {
        let (sources, inline, destination) = self.paths()?;
        let from = flags.text("from");
        if let Some(from) = from.as_ref().filter(|from| from.text.contains('$')) {
            let flag = "--from".to_owned();
            return Err(Wrong::at(from.location, Fault::NoVariables { flag }));
        }
        Ok(Copy {
            sources,
            inline,
            destination,
            from: from.filter(|from| !from.text.is_empty()),
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.bool("link")?.unwrap_or(false),
            parents: flags.bool("parents")?.unwrap_or(false),
            exclude: flags.list("exclude"),
        })
    }

    pub(super) fn add(&self, flags: &mut Flags) -> Result<Add, Wrong> {
        let (sources, inline, destination) = self.paths()?;
        Ok(Add {
            sources,
            inline,
            destination,
            chown: flags.text("chown"),
            chmod: flags.text("chmod"),
            link: flags.bool("link")?.unwrap_or(false),
            exclude: flags.list("exclude"),
            checksum: flags.text("checksum"),
            keep_git_dir: flags.bool("keep-git-dir")?,
            unpack: flags.bool("unpack")?,
        })
    }
}
