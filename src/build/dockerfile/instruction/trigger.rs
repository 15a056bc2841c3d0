//! `ONBUILD`, and which instructions have heredocs. Never runs a trigger.

use super::super::ast::Heredoc;
use super::super::error::Fault;
use super::super::flags::Wrong;
use super::super::{heredoc, words};
use super::Statement;

impl<'l, 's> Statement<'l, 's> {
    pub(super) fn trigger(&self) -> Result<Statement<'l, 's>, Wrong> {
        Statement::cut_at(self.line, self.rest_at, self.rest, self.escape)
    }

    /// The trigger is read once now, so that its mistakes are this file's and not a child's.
    pub(super) fn onbuild(&self) -> Result<String, Wrong> {
        if self.rest.is_empty() {
            return Err(self.requires("at least one argument"));
        }
        let mut trigger = self.trigger()?;
        if let keyword @ ("ONBUILD" | "MAINTAINER" | "FROM") = trigger.keyword {
            let keyword = keyword.to_owned();
            return Err(Wrong::at(trigger.start(), Fault::Trigger { keyword }));
        }
        trigger.heredocs.clone_from(&self.heredocs);
        trigger.parse(&mut Vec::new())?;
        let bodies = self
            .heredocs
            .iter()
            .map(|heredoc| format!("\n{}{}", heredoc.raw, heredoc.name));
        Ok(self.rest.to_owned() + &bodies.collect::<String>())
    }

    pub(super) fn begun_heredocs(&self) -> Result<Vec<Heredoc>, Wrong> {
        match self.keyword {
            // One of itself is refused later; going into each of a million would exhaust the stack.
            "ONBUILD" if words::first(self.rest).0.eq_ignore_ascii_case("ONBUILD") => {
                Ok(Vec::new())
            }
            "ONBUILD" => Ok(self
                .trigger()
                .map_or_else(|_| Vec::new(), |trigger| trigger.heredocs)),
            "RUN" | "COPY" | "ADD" if self.json()?.is_none() => Ok(heredoc::begun_in(self.rest)),
            _ => Ok(Vec::new()),
        }
    }
}
