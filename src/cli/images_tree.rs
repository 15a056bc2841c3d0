//! `images --tree`.

use super::error::{CliError, Kind};
use super::table::align;
use super::{Invocation, units};
use crate::engine::images::{TreeImage, TreePlatform};
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

/// Each name, the last one with the numbers of all, and what is below them.
fn lines(tree: &TreeImage) -> Vec<Vec<String>> {
    let numbers = |first: String, id: &str, of: &[TreePlatform]| {
        let is_used = of.iter().any(|one| one.is_used);
        let used = if is_used { "U" } else { "" };
        let disk = units::size(of.iter().map(|one| one.disk).sum());
        let content = units::size(of.iter().map(|one| one.content).sum());
        vec![first, id.to_owned(), disk, content, used.to_owned()]
    };
    let mut names = tree.names.clone();
    let last = names.pop().unwrap_or_else(|| "<untagged>".to_owned());
    let mut lines: Vec<Vec<String>> = names.into_iter().map(|name| vec![name]).collect();
    lines.push(numbers(last, tree.id.short(), &tree.platforms));
    for (number, one) in tree.platforms.iter().enumerate() {
        let branch = match number + 1 == tree.platforms.len() {
            true => "└─",
            false => "├─",
        };
        let below = format!("{branch} {}", one.platform);
        lines.push(numbers(
            below,
            one.manifest.short(),
            std::slice::from_ref(one),
        ));
    }
    lines
}
