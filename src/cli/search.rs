//! `search`.

use super::Invocation;
use super::error::{CliError, Kind};
use super::registry_flags::RegistryFlags;
use super::table::{Columns, Row};
use crate::engine::search::SearchRequest;
use crate::registry::FoundRepository;

/// docker's, the registry's bound.
const LIMITS: std::ops::RangeInclusive<usize> = 1..=100;

/// Characters of a description in a table, docker's.
const SHORT: usize = 45;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Word to search for on Docker Hub, or REGISTRY/WORD
    #[arg(value_name = "TERM")]
    term: String,
    /// Show only what fits: is-official=true, stars=3
    #[arg(short, long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Format: a Go template, table TEMPLATE, or json
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// How many are shown at most
    #[arg(long, value_name = "N", default_value_t = 25)]
    limit: usize,
    /// Do not shorten descriptions
    #[arg(long)]
    no_trunc: bool,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Args {
    fn request(&self) -> Result<SearchRequest, CliError> {
        if !LIMITS.contains(&self.limit) {
            return Err(CliError::new(
                Kind::Failed,
                format!("limit {} is outside the range of [1, 100]", self.limit),
            ));
        }
        // A registry is told from a user of Docker Hub as in references.
        let is_host = |text: &str| text.contains(['.', ':']) || text == "localhost";
        let (registry, word) = match self.term.split_once('/') {
            Some((host, word)) if is_host(host) => (host, word),
            None if is_host(&self.term) && self.term.contains(':') => (self.term.as_str(), ""),
            _ => ("docker.io", self.term.as_str()),
        };
        let mut request = SearchRequest {
            registry: match registry {
                "index.docker.io" => "docker.io".to_owned(),
                registry => registry.to_owned(),
            },
            word: word.to_owned(),
            limit: self.limit,
            is_official: None,
            is_automated: None,
            stars: 0,
        };
        for filter in &self.filter {
            add(&mut request, filter)?;
        }
        Ok(request)
    }
}

fn add(request: &mut SearchRequest, filter: &str) -> Result<(), CliError> {
    let refused = |message: String| Err(CliError::new(Kind::Failed, message));
    let Some((key, value)) = filter.split_once('=') else {
        return refused(format!(
            "invalid filter {filter:?}: it has the form name=value"
        ));
    };
    let wrong = || format!("invalid filter '{key}={value}'");
    let boolean = match value {
        "1" | "true" => Some(true),
        "0" | "false" => Some(false),
        _ => None,
    };
    match (key, boolean) {
        ("is-official", Some(yes)) => request.is_official = Some(yes),
        ("is-automated", Some(yes)) => request.is_automated = Some(yes),
        ("is-official" | "is-automated", None) => return refused(wrong()),
        ("stars", _) => match value.parse() {
            Ok(stars) => request.stars = stars,
            Err(_) => return refused(wrong()),
        },
        _ => return refused(format!("invalid filter '{key}'")),
    }
    Ok(())
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let access = args.registry.access(invocation)?;
    let found = invocation.engine()?.with_access(access).search(&request);
    let found = found.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    let rows: Vec<Row> = found.iter().map(|one| row(one, args.no_trunc)).collect();
    let columns = Columns {
        headings: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("StarCount", "STARS"),
            ("IsOfficial", "OFFICIAL"),
            ("IsAutomated", "AUTOMATED"),
        ],
        shown: vec!["Name", "Description", "StarCount", "IsOfficial"],
        quiet: "Name",
    };
    invocation.listed(&columns, args.format.as_deref(), false, &rows)
}

fn row(found: &FoundRepository, whole: bool) -> Row {
    let mut row = Row::default();
    let description = found.description.replace(['\n', '\r'], " ");
    let long = description.chars().count() > SHORT;
    let description = match long && !whole {
        true => description.chars().take(SHORT - 1).chain(['…']).collect(),
        false => description,
    };
    let mark = |yes: bool| if yes { "[OK]" } else { "" };
    row.set("Name", found.name.as_str());
    row.set("Description", description);
    row.set("StarCount", found.star_count.to_string());
    row.set("IsOfficial", mark(found.is_official));
    row.set("IsAutomated", mark(found.is_automated));
    row
}
