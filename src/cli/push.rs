//! `push`.

use super::Invocation;
use super::container_flags::CONTENT_TRUST_NOTICE;
use super::error::{CliError, Kind};
use super::progress::Bars;
use super::registry_flags::RegistryFlags;
use crate::engine::push::PushRequest;
use crate::image::{GZIP_LEVEL, Reference, ReferenceError, ZSTD_LEVEL};
use crate::registry::{Packing, PushOptions};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Image to push: NAME[:TAG|@DIGEST]
    #[arg(value_name = "NAME")]
    name: String,
    /// Name to push it under, if not its own
    #[arg(value_name = "DESTINATION", conflicts_with = "all_tags")]
    destination: Option<String>,
    /// Push all tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Print only the image's name
    #[arg(short, long)]
    quiet: bool,
    /// Push only if the image is for this platform (os/arch[/variant])
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// How layers are compressed that are sent: gzip, zstd, zstd:chunked or none
    #[arg(long, visible_alias = "compression", value_name = "FORMAT")]
    compression_format: Option<String>,
    /// Level of that compression
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<i32>,
    /// Push nothing if the manifest would get another digest than it has here
    #[arg(long)]
    require_digest: bool,
    /// Skip image signing (without meaning since docker removed content trust)
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, value_name = "BOOL")]
    disable_content_trust: Option<Option<String>>,
    #[command(flatten)]
    registry: RegistryFlags,
}

impl Args {
    fn packing(&self) -> Result<Option<Packing>, CliError> {
        let level = self.compression_level;
        let within = |level: i32, most: i32| match (1..=most).contains(&level) {
            true => Ok(level),
            false => Err(CliError::usage(format!(
                "invalid argument \"{level}\" for \"--compression-level\" flag: from 1 to {most}"
            ))),
        };
        let gzip = || -> Result<Option<Packing>, CliError> {
            let level = within(level.unwrap_or(GZIP_LEVEL as i32), 9)?;
            Ok(Some(Packing::Gzip(level.unsigned_abs())))
        };
        match (self.compression_format.as_deref(), level) {
            (None, None) => Ok(None),
            (None | Some("gzip"), _) => gzip(),
            (Some(format @ ("zstd" | "zstd:chunked")), level) => {
                let level = within(level.unwrap_or(ZSTD_LEVEL), 22)?;
                Ok(Some(match format {
                    "zstd" => Packing::Zstd(level),
                    _ => Packing::ZstdChunked(level),
                }))
            }
            (Some("none"), None) => Ok(Some(Packing::None)),
            (Some("none"), Some(_)) => Err(CliError::usage(
                "--compression-level: with --compression-format none there is no level",
            )),
            (Some(other), _) => Err(CliError::usage(format!(
                "invalid argument {other:?} for \"--compression-format\" flag: gzip, zstd, zstd:chunked or none"
            ))),
        }
    }

    fn options(&self) -> Result<PushOptions, CliError> {
        Ok(PushOptions {
            packing: self.packing()?,
            keeps_others: false,
            require_digest: self.require_digest,
            untagged: false,
        })
    }
}

fn parsed(text: &str) -> Result<Reference, CliError> {
    text.parse()
        .map_err(|error: ReferenceError| CliError::failed(&error))
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.disable_content_trust.is_some() {
        invocation.ui.note(CONTENT_TRUST_NOTICE);
    }
    let options = args.options()?;
    let own = match &args.destination {
        None => parsed(&args.name)?,
        Some(text) => parsed(text.strip_prefix("docker://").unwrap_or(text))?,
    };
    let access = args.registry.access(invocation)?;
    let engine = invocation.engine()?.with_access(access);
    let typed = args.destination.as_ref().unwrap_or(&args.name);
    let has_tag =
        own.digest().is_some() || typed.ends_with(&format!(":{}", own.tag().unwrap_or("")));
    if args.all_tags && has_tag {
        return Err(CliError::new(
            Kind::Failed,
            "tag can't be used with --all-tags/-a",
        ));
    }
    let failed = |error| CliError::engine(Kind::Failed, &error);
    let targets = match args.all_tags {
        true => engine.tags_of(&own).map_err(failed)?,
        false => vec![own.clone()],
    };
    if !args.quiet {
        if !args.all_tags && !has_tag {
            invocation.ui.line("Using default tag: latest")?;
        }
        let name = own.name();
        let line = format!("The push refers to repository [{name}]");
        invocation.ui.line(&line)?;
    }
    for target in targets {
        let image = match args.destination.is_some() {
            true => args.name.clone(),
            false => target.to_string(),
        };
        let request = PushRequest {
            image,
            target,
            options: options.clone(),
            platform: args.platform.clone(),
            manifest: None,
        };
        let bars = Bars::new(&invocation.ui);
        let progress = bars.unless(args.quiet);
        let outcome = engine.push(&request, progress).map_err(failed)?;
        if args.quiet {
            continue;
        }
        for diff_id in &outcome.changed {
            let short = diff_id.short();
            let note = format!("{short}: its compressed bytes differ from the manifest's here");
            invocation.ui.note(&note);
        }
        let target = &request.target;
        let name = match target.digest() {
            Some(digest) => digest.as_str(),
            None => target.tag().unwrap_or("latest"),
        };
        let line = format!("{name}: digest: {} size: {}", outcome.digest, outcome.size);
        invocation.ui.line(&line)?;
    }
    if args.quiet {
        let all = if args.all_tags {
            own.name()
        } else {
            own.to_string()
        };
        invocation.ui.line(&all)?;
    }
    Ok(0)
}
