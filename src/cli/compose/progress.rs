//! What is told while a project is worked on, as lines; and the output of its containers, each line with whose it is.

use std::cell::RefCell;
use std::io::Write;

use serde_json::json;

use super::Globals;
use super::prefixes::Prefixes;
use crate::cli::error::CliError;
use crate::cli::ui::Ui;
use crate::compose::report::{News, Phase, Report};
use crate::monitor::Stream;

/// How it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// A line for each word.
    Plain,
    /// What is done, with a mark.
    Terminal,
    Json,
    Quiet,
}

pub struct Progress<'a> {
    ui: &'a Ui,
    looks: Looks,
    dry_run: bool,
    /// Of the containers whose output is shown.
    pub prefixes: RefCell<Prefixes>,
    pub prefix: bool,
    pub timestamps: bool,
}

impl Globals {
    /// Who is told, as the flags say.
    pub fn told<'a>(&self, ui: &'a Ui) -> Result<Progress<'a>, CliError> {
        let looks = match self.progress.as_deref().unwrap_or("auto") {
            "auto" | "" if ui.stderr_is_terminal && self.ansi != "never" => Looks::Terminal,
            "auto" | "" | "plain" => Looks::Plain,
            "tty" => Looks::Terminal,
            "json" => Looks::Json,
            "quiet" => Looks::Quiet,
            other => {
                return Err(CliError::usage(format!(
                    "unsupported --progress value {other:?}"
                )));
            }
        };
        Ok(Progress {
            ui,
            looks,
            dry_run: self.dry_run,
            prefixes: RefCell::new(Prefixes::new(self.colours(ui))),
            prefix: true,
            timestamps: false,
        })
    }
}

impl Progress<'_> {
    pub fn is_quiet(&self) -> bool {
        self.looks == Looks::Quiet
    }

    /// Who says of one thing how far it has come.
    pub fn about<'a>(&'a self, subject: &'a str, detail: &'a str) -> impl Fn(Phase, &str) + 'a {
        move |phase, words| {
            self.news(News {
                subject,
                detail,
                phase,
                words,
            });
        }
    }

    fn line(&self, news: News<'_>) {
        let News {
            subject,
            detail,
            phase,
            words,
        } = news;
        let dry = if self.dry_run { " DRY-RUN MODE - " } else { "" };
        match self.looks {
            Looks::Quiet => {}
            Looks::Plain => self.ui.note(&format!("{dry} {subject} {detail} {words}")),
            Looks::Terminal => {
                let mark = match phase {
                    Phase::Working => " ",
                    Phase::Done => "✔",
                    Phase::Warning => "!",
                    Phase::Failed => "✘",
                };
                self.ui
                    .note(&format!("{dry} {mark} {subject} {detail} {words}"));
            }
            Looks::Json => {
                let status = match phase {
                    Phase::Working => "Working",
                    Phase::Done => "Done",
                    Phase::Warning => "Warning",
                    Phase::Failed => "Error",
                };
                let mut object = json!({"id": subject, "status": status, "text": words});
                if !detail.is_empty() {
                    object["details"] = detail.into();
                }
                if self.dry_run {
                    object["dry-run"] = true.into();
                }
                self.ui.note(&object.to_string());
            }
        }
    }
}

impl Report for Progress<'_> {
    fn news(&self, news: News<'_>) {
        self.line(news);
    }

    fn warn(&self, text: &str) {
        self.ui.warning(text);
    }

    fn note(&self, text: &str) {
        self.ui.note(text);
    }

    fn attached(&self, names: &[String]) {
        for name in names {
            self.prefixes.borrow_mut().make_room(name);
        }
        if !names.is_empty() {
            // A reader that has gone is noticed by the next line that matters.
            let _ = self.ui.line(&format!("Attaching to {}", names.join(", ")));
        }
    }

    fn output(&self, container: &str, stream: Stream, line: &[u8]) {
        let mut bytes = Vec::with_capacity(line.len() + 32);
        if self.prefix {
            let mut prefixes = self.prefixes.borrow_mut();
            let place = prefixes.place_of(container);
            bytes.extend_from_slice(prefixes.before_line(place).as_bytes());
        }
        if self.timestamps {
            let now = jiff::Timestamp::now();
            bytes.extend_from_slice(format!("{now:.9} ").as_bytes());
        }
        bytes.extend_from_slice(line.strip_suffix(b"\r").unwrap_or(line));
        bytes.push(b'\n');
        let _ = match stream {
            Stream::Stdout => self.ui.bytes(&bytes),
            Stream::Stderr => self.ui.error_bytes(&bytes),
        };
        let _ = std::io::stdout().flush();
    }

    fn status(&self, container: &str, words: &str) {
        let _ = self.ui.line(&format!("{container} {words}"));
    }
}
