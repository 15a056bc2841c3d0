//! A target of a bake file as the flags of `build`. Builds nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::shared::Shared;
use super::{Args, OfTarget};
use crate::build::bake::{Entry, Target};
use crate::cli::bake::definitions::Foreign;

fn words(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(Entry::words).collect()
}

fn pairs(values: &BTreeMap<String, Option<String>>) -> Vec<String> {
    let values = values.iter();
    let given = values.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    given.collect()
}

/// `id=default`, with the places of its keys.
fn agent(entry: &Entry) -> String {
    let field = |key: &str| entry.0.get(key).map_or("", String::as_str);
    match field("paths") {
        "" => field("id").to_owned(),
        paths => format!("{}={paths}", field("id")),
    }
}

/// `cwd://` is the directory of the command.
fn own(place: &str) -> &str {
    match place.strip_prefix("cwd://") {
        Some("") => ".",
        Some(place) => place,
        None => place,
    }
}

/// Where the Dockerfile is: beside the files of a directory.
fn dockerfile(context: &str, file: &str) -> PathBuf {
    match file.strip_prefix("cwd://") {
        Some(file) => file.into(),
        None if Path::new(context).is_dir() => Path::new(context).join(file),
        None => file.into(),
    }
}

impl Args {
    /// `of_targets`: the images of other targets that it has as contexts; `foreign`: the context came with the file.
    pub fn of_target(
        target: &Target,
        (of_targets, foreign): (BTreeMap<String, OfTarget>, Option<Foreign>),
        (source_date_epoch, of_every): (Option<i64>, Shared),
    ) -> Args {
        let context = target.context.as_deref().unwrap_or(".");
        let context = own(context);
        let file = target.dockerfile.as_deref();
        let others = target.contexts.iter();
        let others = others.filter(|(name, _)| !of_targets.contains_key(*name));
        Args {
            context: context.into(),
            file: file.map(|file| match foreign {
                Some(_) => file.into(),
                None => dockerfile(context, file),
            }),
            tag: target.tags.clone(),
            build_arg: pairs(&target.args),
            build_context: others
                .map(|(name, place)| format!("{name}={}", own(place)))
                .collect(),
            target: target.target.clone(),
            label: pairs(&target.labels),
            rm: true,
            squash: false,
            no_cache_filter: target.no_cache_filter.clone(),
            platform: target.platforms.clone(),
            network: target
                .network
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
            add_host: pairs(&target.extra_hosts)
                .iter()
                .map(|host| host.replacen('=', ":", 1))
                .collect(),
            shm_size: target.shm_size.clone(),
            ulimit: target.ulimits.clone(),
            cgroup_parent: None,
            secret: words(&target.secret),
            ssh: target.ssh.iter().map(agent).collect(),
            source_date_epoch,
            iidfile: None,
            quiet: false,
            cache_from: words(&target.cache_from),
            cache_to: words(&target.cache_to),
            output: words(&target.output),
            annotation: target.annotations.clone(),
            attest: words(&target.attest),
            shared: Shared {
                no_cache: of_every.no_cache || target.no_cache == Some(true),
                pull: of_every.pull || target.pull == Some(true),
                call: of_every.call.clone().or_else(|| target.call.clone()),
                ..of_every
            },
            inline: target.dockerfile_inline.clone(),
            of_targets,
            foreign,
        }
    }
}
