//! `compose images`: what a project's containers were made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::found::{self, Which};
use super::ls::{GAP, NARROWEST, unknown_format};
use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::cli::{table, units};
use crate::compose::labels::OneOff;
use crate::engine::images::ImageDetails;
use crate::engine::{Engine, ListedContainer};
use crate::image::Reference;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Services whose images are shown (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How it is shown: table, json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: String,
    /// Show only ids
    #[arg(short, long)]
    quiet: bool,
}

/// An image as one container uses it.
struct Used {
    container: String,
    repository: String,
    tag: String,
    image: ImageDetails,
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    let name = globals.name(invocation)?;
    let engine = invocation.engine()?;
    let which = Which {
        oneoff: OneOff::Include,
        all: true,
        services: &args.services,
    };
    let mut found = found::containers(&engine, &name, which)?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let used = used(&engine, &found)?;
    let text = match (args.quiet, args.format.to_lowercase().as_str()) {
        (true, _) => ids(&used),
        (false, "table" | "pretty" | "") => as_table(&used),
        (false, "json") => {
            let all: Value = used.iter().map(document).collect();
            format!("{all}\n")
        }
        (false, _) => return Err(unknown_format(&args.format)),
    };
    invocation.ui.result(&text)?;
    Ok(0)
}

fn used(engine: &Engine, found: &[ListedContainer]) -> Result<Vec<Used>, CliError> {
    let mut images: BTreeMap<&str, ImageDetails> = BTreeMap::new();
    let mut used = Vec::new();
    for container in found {
        let id = container.config.image_id.as_str();
        if !images.contains_key(id) {
            let details = engine.inspect_image(id, None);
            let details = details.map_err(|error| CliError::engine(Kind::Failed, &error))?;
            images.insert(id, details);
        }
        let (repository, tag) = name_and_tag(&container.config.image);
        used.push(Used {
            container: container.name.clone(),
            repository,
            tag,
            image: images[id].clone(),
        });
    }
    Ok(used)
}

/// Of the name that the container was made by; an id is none.
fn name_and_tag(name: &str) -> (String, String) {
    let parsed = name.parse::<Reference>().ok();
    let Some(reference) = parsed.filter(|_| !name.starts_with("sha256:")) else {
        return (String::new(), String::new());
    };
    let tag = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => tag,
        (None, Some(_)) => "",
        (None, None) => "latest",
    };
    (reference.familiar_name(), tag.to_owned())
}

fn ids(used: &[Used]) -> String {
    let mut ids: Vec<&str> = used.iter().map(|used| hex(&used.image)).collect();
    let mut seen = std::collections::HashSet::new();
    ids.retain(|id| seen.insert(*id));
    ids.iter().map(|id| format!("{id}\n")).collect()
}

fn hex(image: &ImageDetails) -> &str {
    let id = image.id.as_str();
    id.split_once(':').map_or(id, |(_, digits)| digits)
}

fn as_table(used: &[Used]) -> String {
    let head = [
        "CONTAINER",
        "REPOSITORY",
        "TAG",
        "PLATFORM",
        "IMAGE ID",
        "SIZE",
        "CREATED",
    ];
    let now = Timestamp::now();
    let or_none = |text: &str| if text.is_empty() { "<none>" } else { text }.to_owned();
    let rows = used.iter().map(|used| {
        let created = created(&used.image);
        vec![
            used.container.clone(),
            or_none(&used.repository),
            or_none(&used.tag),
            platform(&used.image),
            used.image.id.short().to_owned(),
            units::size(used.image.size),
            created.map_or("N/A".to_owned(), |then| units::ago(then, now)),
        ]
    });
    let head = head.map(str::to_owned).to_vec();
    table::align_to(std::iter::once(head).chain(rows), NARROWEST, GAP)
}

fn created(image: &ImageDetails) -> Option<Timestamp> {
    image.config["created"].as_str()?.parse().ok()
}

/// `linux/arm64/v8`
fn platform(image: &ImageDetails) -> String {
    let parts = ["os", "architecture", "variant"];
    let parts = parts.iter().filter_map(|key| image.config[key].as_str());
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

fn document(used: &Used) -> Value {
    let mut document = json!({
        "ID": used.image.id.as_str(),
        "ContainerName": used.container,
        "Repository": used.repository,
        "Tag": used.tag,
        "Platform": platform(&used.image),
        "Size": used.image.size,
    });
    if let Some(created) = created(&used.image) {
        document["Created"] = created.to_string().into();
    }
    document
}
