//! What is told of an image that comes from a registry, in BuildKit's words.

use crate::cli::units::size;
use crate::engine::PullNews;

/// What the words are about, and the words: a later line about the same takes the place of an earlier one.
pub fn line(news: &PullNews) -> (String, String) {
    match news {
        PullNews::Note(text) => (String::new(), text.clone()),
        PullNews::Layer {
            digest,
            bytes,
            size: all,
        } => {
            let end = if bytes == all { " done" } else { "" };
            let (bytes, all) = (size(*bytes), size(*all));
            (digest.to_string(), format!("{digest} {bytes} / {all}{end}"))
        }
        PullNews::Extracting(digest) => (digest.to_string(), format!("extracting {digest}")),
        PullNews::Done(digest) => (digest.to_string(), format!("extracting {digest} done")),
    }
}

/// Whether it is worth a line that stays: of what is on its way only the beginning and the end are.
pub fn stays(news: &PullNews) -> bool {
    match news {
        PullNews::Layer { bytes, size, .. } => *bytes == 0 || bytes == size,
        PullNews::Note(_) | PullNews::Extracting(_) | PullNews::Done(_) => true,
    }
}
