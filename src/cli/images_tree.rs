//! `images --tree`.

use super::error::{CliError, Kind};
use super::table::align;
use super::{Invocation, units};
use crate::engine::images::TreeImage;
use crate::engine::request::ListImagesRequest;

pub fn run(request: &ListImagesRequest, invocation: &Invocation) -> Result<u8, CliError> {
    let trees = invocation.engine()?.list_image_trees(request);
    let trees = trees.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let headings = ["IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA"].map(str::to_owned);
    let lines = trees.iter().flat_map(lines);
    let text = align(std::iter::once(headings.to_vec()).chain(lines));
    invocation.ui.result(&text)?;
    Ok(0)
}

/// Each name, the last one with the numbers, and what is below them.
fn lines(tree: &TreeImage) -> Vec<Vec<String>> {
    let numbers = |first: String, id: &str| {
        let used = if tree.is_used { "U" } else { "" };
        let sizes = [units::size(tree.disk), units::size(tree.content)];
        let [disk, content] = sizes;
        vec![first, id.to_owned(), disk, content, used.to_owned()]
    };
    let mut names = tree.names.clone();
    let last = names.pop().unwrap_or_else(|| "<untagged>".to_owned());
    let mut lines: Vec<Vec<String>> = names.into_iter().map(|name| vec![name]).collect();
    lines.push(numbers(last, tree.id.short()));
    let below = format!("└─ {}", tree.platform);
    lines.push(numbers(below, tree.manifest.short()));
    lines
}
