//! What a transfer looks like on standard error: a bar per layer on a terminal, else a line per event. No ticker thread:
//! bars move when bytes arrive.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ui::Ui;
use crate::image::Digest;
use crate::registry::{Progress, Silent};

/// Drawn at most so often.
const HERTZ: u8 = 15;

pub struct Bars<'a> {
    ui: &'a Ui,
    /// None where standard error is no terminal.
    drawing: Option<MultiProgress>,
    layers: Mutex<HashMap<Digest, Layer>>,
    unicode: bool,
}

struct Layer {
    size: u64,
    bar: Option<ProgressBar>,
}

impl Bars<'_> {
    pub fn new(ui: &Ui) -> Bars<'_> {
        let drawing = ui
            .stderr_is_terminal
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(HERTZ)));
        Bars {
            ui,
            drawing,
            layers: Mutex::default(),
            unicode: speaks_utf8(|name| std::env::var(name).ok()),
        }
    }

    /// Nothing at all where a command is to be quiet.
    pub fn unless(&self, quiet: bool) -> &dyn Progress {
        if quiet { &Silent } else { self }
    }

    fn style(&self, template: &str) -> ProgressStyle {
        let signs = if self.unicode { "━╸─" } else { "=>-" };
        ProgressStyle::with_template(template)
            .expect("the templates below are valid")
            .progress_chars(signs)
    }

    fn event(&self, layer: &Digest, words: &str) {
        if self.drawing.is_none() {
            self.ui.note(&format!("{}: {words}", layer.short()));
        }
    }

    fn on_bar(&self, layer: &Digest, change: impl FnOnce(&ProgressBar)) {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = layers.get(layer).and_then(|layer| layer.bar.as_ref()) {
            change(bar);
        }
    }

    /// From waiting to a bar that grows.
    fn begin(&self, layer: &Digest, words: &'static str) {
        self.on_bar(layer, |bar| {
            bar.set_style(
                self.style("{prefix}: {msg} [{bar:40}] {decimal_bytes}/{decimal_total_bytes}"),
            );
            bar.set_message(words);
        });
    }

    fn words(&self, layer: &Digest, words: &str) {
        self.on_bar(layer, |bar| {
            bar.set_style(self.style("{prefix}: {msg}"));
            bar.finish_with_message(words.to_owned());
        });
        self.event(layer, words);
    }
}

impl Progress for Bars<'_> {
    fn note(&self, line: &str) {
        match &self.drawing {
            // above the bars; without any there is nothing to draw around
            Some(drawing) => drawing.suspend(|| self.ui.note(line)),
            None => self.ui.note(line),
        }
    }

    fn layers(&self, layers: &[(Digest, u64)]) {
        let mut known = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, size) in layers {
            let bar = self.drawing.as_ref().map(|drawing| {
                let bar = drawing.add(ProgressBar::new(*size));
                bar.set_style(self.style("{prefix}: {msg}"));
                bar.set_prefix(digest.short().to_owned());
                bar.set_message("Waiting");
                bar
            });
            known.insert(digest.clone(), Layer { size: *size, bar });
        }
    }

    fn present(&self, layer: &Digest) {
        self.words(layer, "Already exists");
    }

    fn started(&self, layer: &Digest) {
        self.begin(layer, "Downloading");
        self.event(layer, "Pulling fs layer");
    }

    fn advanced(&self, layer: &Digest, bytes: u64) {
        self.on_bar(layer, |bar| bar.inc(bytes));
    }

    fn downloaded(&self, layer: &Digest) {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Layer {
            size,
            bar: Some(bar),
        }) = layers.get(layer)
        {
            bar.set_position(*size);
            bar.set_message("Extracting ");
        }
        drop(layers);
        self.event(layer, "Download complete");
    }

    fn finished(&self, layer: &Digest) {
        self.words(layer, "Pull complete");
    }

    fn uploading(&self, layer: &Digest) {
        self.begin(layer, "Pushing");
        self.event(layer, "Pushing");
    }

    fn settled(&self, layer: &Digest, words: &str) {
        self.words(layer, words);
    }
}

/// The first of the three that is set decides, as in every locale lookup.
fn speaks_utf8(environment: impl Fn(&str) -> Option<String>) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(environment)
        .find(|value| !value.is_empty());
    let locale = locale.unwrap_or_default().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_about_signs() {
        let utf8 = |pairs: &[(&str, &str)]| {
            speaks_utf8(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(utf8(&[("LANG", "de_DE.UTF-8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(!utf8(&[]));
    }
}
