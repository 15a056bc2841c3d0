//! What a registry has: the tags of a repository, its catalog, and Docker Hub's search. Fetches no image.

use reqwest::header::LINK;
use serde::{Deserialize, Serialize};
use url::Url;

use super::auth::{Session, Subject};
use super::config::{DOCKER_HUB, RegistryConfig};
use super::credentials;
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{Exchange, Request, printable, read_bounded, read_reason};
use super::place;
use super::progress::{Progress, Silent};
use super::retry;
use crate::image::Reference;

/// Of one answer.
const PAGE_LIMIT: u64 = 4 << 20;
/// A registry that goes on for longer is lying, or useless to list.
const PAGES: usize = 1000;

/// A repository that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRepository {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub star_count: u64,
    #[serde(default)]
    pub is_official: bool,
    #[serde(default)]
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Tags {
    /// `null` where every tag has been deleted.
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Catalog {
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Results {
    results: Option<Vec<FoundRepository>>,
}

/// Every tag of the reference's repository that is one by the grammar.
pub fn tags(
    reference: &Reference,
    config: &RegistryConfig,
    progress: &dyn Progress,
) -> Result<Vec<String>, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::at(&exchange, &place::own_place(config, reference)?)?;
    let subject = Subject::pull(&endpoint, reference);
    let session = Session::new(exchange, &endpoint, reference, subject, progress)?;
    let url = endpoint.url(reference.repository(), "tags", "list");
    let mut found = Vec::new();
    pages(&session, url, "list the tags of", |page: Tags| {
        let tags = page.tags.unwrap_or_default();
        found.extend(
            tags.into_iter()
                .filter(|tag| reference.with_tag(tag).is_ok()),
        );
        true
    })?;
    Ok(found)
}

/// Searches one registry: Docker Hub's index as docker asks it, any other's catalog for names with the word in them.
pub fn search(
    registry: &str,
    word: &str,
    limit: usize,
    config: &RegistryConfig,
) -> Result<Vec<FoundRepository>, RegistryError> {
    let exchange = Exchange::new(config);
    let endpoint = Endpoint::find(&exchange, registry)?;
    let found = credentials::find(config, &endpoint.host(), None)?;
    let is_hub = registry == DOCKER_HUB;
    let subject = Subject {
        scopes: vec!["registry:catalog:*".to_owned()],
        name: registry.to_owned(),
        verb: "search",
        is_login: false,
    };
    let session = Session::with(exchange, &endpoint, subject, found, &Silent);
    let mut all = Vec::new();
    if is_hub {
        let mut url = endpoint.search_url();
        url.query_pairs_mut()
            .append_pair("q", word)
            .append_pair("n", &limit.to_string());
        pages(&session, url, "search", |page: Results| {
            all = page.results.unwrap_or_default();
            false
        })?;
    } else {
        pages(
            &session,
            endpoint.catalog_url(),
            "search",
            |page: Catalog| {
                let names = page.repositories.unwrap_or_default().into_iter();
                let fitting = names.filter(|name| name.contains(word));
                all.extend(fitting.map(|name| FoundRepository {
                    name: format!("{registry}/{name}"),
                    description: String::new(),
                    star_count: 0,
                    is_official: false,
                    is_automated: false,
                }));
                all.len() < limit
            },
        )?;
    }
    all.truncate(limit);
    for repository in &mut all {
        repository.name = printable(&repository.name, 300);
        repository.description = printable(&repository.description, 1000);
    }
    Ok(all)
}

/// Page after page, as `Link` leads (RFC 8288, distribution's pagination), while `take` wants more.
fn pages<T: serde::de::DeserializeOwned>(
    session: &Session<'_>,
    first: Url,
    operation: &str,
    mut take: impl FnMut(T) -> bool,
) -> Result<(), RegistryError> {
    let mut next = Some(first);
    for _ in 0..PAGES {
        let Some(url) = next.take() else { break };
        let mut response = session.send(Request::get(url))?;
        let status = response.status().as_u16();
        let fault = |message| RegistryError::Status {
            operation: format!("{operation} {}", session.name()),
            host: session.host().to_owned(),
            status,
            message,
        };
        if status != 200 {
            return Err(fault(retry::server_message(&mut response)));
        }
        let link = response
            .headers()
            .get(LINK)
            .and_then(|link| link.to_str().ok());
        let link = link.and_then(|link| link.split_once('<')?.1.split_once('>'));
        let link = link.and_then(|(target, _)| response.url().join(target).ok());
        // A next page elsewhere is not this registry's.
        next = link.filter(|link| link.origin() == response.url().origin());
        let body = read_bounded(&mut response, PAGE_LIMIT);
        let body = body.map_err(|error| RegistryError::Broken {
            host: session.host().to_owned(),
            reason: read_reason(&error),
        })?;
        let body = body.ok_or_else(|| fault(format!(": more than {PAGE_LIMIT} bytes")))?;
        let page = serde_json::from_slice(&body);
        let page =
            page.map_err(|error| fault(format!(": {}", printable(&error.to_string(), 200))))?;
        if !take(page) {
            break;
        }
    }
    Ok(())
}
