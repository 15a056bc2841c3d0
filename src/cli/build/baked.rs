//! A target of a bake file as the flags of `build`. Builds nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Args;
use crate::build::bake::{Entry, Target};
use crate::image::Digest;

/// What the command line says of all targets.
#[derive(Clone, Debug)]
pub struct ForEvery {
    pub source_date_epoch: Option<i64>,
    pub no_cache: bool,
    pub pull: bool,
    pub load: bool,
    pub push: bool,
    pub progress: String,
    /// Entitlements that are given.
    pub allow: Vec<String>,
    pub builder: Option<String>,
    pub sbom: Option<String>,
    pub provenance: Option<String>,
    /// None: what the target says.
    pub call: Option<String>,
    pub debug: bool,
}

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

/// Where the Dockerfile is: beside the files of a directory.
fn dockerfile(context: &str, file: &str) -> PathBuf {
    match file.strip_prefix("cwd://") {
        Some(file) => file.into(),
        None if Path::new(context).is_dir() => Path::new(context).join(file),
        None => file.into(),
    }
}

impl Args {
    /// `of_targets`: the images of other targets that it has as contexts.
    pub fn of_target(
        target: &Target,
        of_targets: BTreeMap<String, Digest>,
        common: &ForEvery,
    ) -> Args {
        let context = target.context.as_deref().unwrap_or(".");
        let context = context.strip_prefix("cwd://").unwrap_or(context);
        let file = target.dockerfile.as_deref();
        let others = target.contexts.iter();
        let others = others.filter(|(name, _)| !of_targets.contains_key(*name));
        Args {
            context: context.into(),
            file: file.map(|file| dockerfile(context, file)),
            tag: target.tags.clone(),
            build_arg: pairs(&target.args),
            build_context: others
                .map(|(name, place)| format!("{name}={place}"))
                .collect(),
            target: target.target.clone(),
            label: pairs(&target.labels),
            no_cache: common.no_cache || target.no_cache == Some(true),
            no_cache_filter: target.no_cache_filter.clone(),
            pull: common.pull || target.pull == Some(true),
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
            allow: common.allow.clone(),
            source_date_epoch: common.source_date_epoch,
            iidfile: None,
            metadata_file: None,
            quiet: false,
            progress: common.progress.clone(),
            load: common.load,
            cache_from: words(&target.cache_from),
            cache_to: words(&target.cache_to),
            output: words(&target.output),
            push: common.push,
            annotation: target.annotations.clone(),
            attest: words(&target.attest),
            sbom: common.sbom.clone(),
            provenance: common.provenance.clone(),
            builder: common.builder.clone(),
            check: false,
            call: common
                .call
                .clone()
                .or_else(|| target.call.clone())
                .unwrap_or_else(|| "build".to_owned()),
            debug: common.debug,
            inline: target.dockerfile_inline.clone(),
            of_targets,
        }
    }
}
