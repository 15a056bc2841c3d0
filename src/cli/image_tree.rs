//! podman's `image tree` and `image diff`.

use super::error::{CliError, Kind};
use super::{Invocation, diff, units};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct TreeArgs {
    #[arg(value_name = "IMAGE")]
    image: String,
}

pub fn tree(args: &TreeArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let tree = invocation.engine()?.image_tree(&args.image);
    let tree = tree.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let mut text = format!(
        "Image ID: {}\nTags:     {}\nSize:     {}\nImage Layers\n",
        tree.id.short(),
        listed(&tree.names),
        units::size(tree.size)
    );
    for (number, layer) in tree.layers.iter().enumerate() {
        let branch = match number + 1 == tree.layers.len() {
            true => "└──",
            false => "├──",
        };
        let size = units::size(layer.size);
        text += &format!("{branch} ID: {} Size: {size:>7}", layer.diff_id.short());
        if !layer.top_of.is_empty() {
            text += &format!(" Top Layer of: {}", listed(&layer.top_of));
        }
        text.push('\n');
    }
    invocation.ui.result(&text)?;
    Ok(0)
}

fn listed(names: &[Reference]) -> String {
    let names: Vec<String> = names.iter().map(Reference::familiar).collect();
    format!("[{}]", names.join(" "))
}

#[derive(clap::Args, Debug)]
pub struct DiffArgs {
    #[arg(value_name = "IMAGE")]
    image: String,
}

/// What the topmost layer changes.
pub fn changes(args: &DiffArgs, invocation: &Invocation) -> Result<u8, CliError> {
    let changes = invocation.engine()?.image_changes(&args.image);
    let changes = changes.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    diff::show(changes, invocation)
}
