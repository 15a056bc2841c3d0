//! `compose config`: the project as its files, merged and resolved, describe it; or a part of that.

mod parts;
mod pinned;

use std::path::{Path, PathBuf};

use super::{Globals, Invocation};
use crate::cli::error::{CliError, Kind};
use crate::compose::{self, Loaded, Options};

#[derive(clap::Args, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are docker's flags")]
pub struct Args {
    /// Services to show, with what they need (default: all)
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// How the project is shown: yaml, json
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// File to write to, in place of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only say what is wrong
    #[arg(short, long)]
    quiet: bool,
    /// Show the names of services
    #[arg(long = "services")]
    service_names: bool,
    /// Show the names of volumes
    #[arg(long)]
    volumes: bool,
    /// Show the names of networks
    #[arg(long)]
    networks: bool,
    /// Show the models
    #[arg(long)]
    models: bool,
    /// Show the names of images
    #[arg(long)]
    images: bool,
    /// Show the names of profiles
    #[arg(long)]
    profiles: bool,
    /// Show what a service's containers are compared with: names separated by commas, or `*`
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
    /// Show the variables that files see
    #[arg(long = "environment")]
    variables_known: bool,
    /// Show the variables that files ask for
    #[arg(long)]
    variables: bool,
    /// Leave variables as they are
    #[arg(long)]
    no_interpolate: bool,
    /// Leave out what follows from what the files say
    #[arg(long)]
    no_normalize: bool,
    /// Leave relative paths as they are
    #[arg(long)]
    no_path_resolution: bool,
    /// Take a project whose parts do not fit together
    #[arg(long)]
    no_consistency: bool,
    /// Read no `env_file`s of services
    #[arg(long)]
    no_env_resolution: bool,
    /// Ask registries for the digests of images
    #[arg(long)]
    resolve_image_digests: bool,
    /// The same, and show images alone, as a file to be laid over the others
    #[arg(long)]
    lock_image_digests: bool,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            no_interpolate: self.no_interpolate || self.variables,
            no_normalize: self.no_normalize,
            no_path_resolution: self.no_path_resolution,
            no_consistency: self.no_consistency,
            // docker compares what the file says, not what its files of variables say now.
            no_env_resolution: self.no_env_resolution || self.hash.is_some(),
        }
    }
}

pub fn run(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<u8, CliError> {
    if let Some(format) = args.format.as_deref()
        && !["yaml", "json"].contains(&format)
    {
        let message = format!("unsupported format {format:?}");
        return Err(CliError::new(Kind::Failed, message));
    }
    let loaded = load(args, globals, invocation)?;
    let text = match parts::asked(args, globals, &loaded)? {
        Some(text) => text,
        None => whole(args, loaded, invocation)?,
    };
    match &args.output {
        _ if args.quiet => Ok(0),
        Some(path) if globals.dry_run => {
            let note = format!("DRY-RUN MODE -  {} would be written", path.display());
            invocation.ui.note(&note);
            Ok(0)
        }
        Some(path) => written(path, &text),
        None => invocation.ui.result(&text).map(|()| 0),
    }
}

fn load(args: &Args, globals: &Globals, invocation: &Invocation) -> Result<Loaded, CliError> {
    let options = args.options();
    let mut loaded = globals.read(&args.services, options, invocation)?;
    let is_typed = !options.no_interpolate;
    if is_typed && !args.services.is_empty() {
        let selected = loaded.project.select(&args.services, true);
        selected.map_err(|error| CliError::failed(&error))?;
    }
    if is_typed && !globals.all_resources {
        loaded.project.forget_unused();
    }
    Ok(loaded)
}

/// Everything, in one of the two forms.
fn whole(args: &Args, mut loaded: Loaded, invocation: &Invocation) -> Result<String, CliError> {
    let is_json = args.format.as_deref() == Some("json");
    if args.no_interpolate {
        return Ok(compose::tree_text(&loaded.named(), is_json));
    }
    if args.resolve_image_digests || args.lock_image_digests {
        pinned::pin(&mut loaded.project, invocation)?;
    }
    let project = match args.lock_image_digests {
        true => pinned::images_only(&loaded.project),
        false => loaded.project,
    };
    let text = match is_json {
        true => compose::project_json(&project),
        false => compose::project_yaml(&project),
    };
    // A file that is read again has its dollar signs doubled.
    Ok(text.replace('$', "$$"))
}

fn written(path: &Path, text: &str) -> Result<u8, CliError> {
    let written = std::fs::write(path, text);
    let message = |error| format!("failed to write {}: {error}", path.display());
    written.map_err(|error| CliError::new(Kind::Failed, message(error)))?;
    Ok(0)
}
