//! The flags that `build` and `bake` have.

use std::path::PathBuf;

#[derive(clap::Args, Clone, Debug)]
pub struct Shared {
    /// Do every step anew
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for newer base images
    #[arg(long)]
    pub pull: bool,
    /// What may be done beyond the usual: network.host, security.insecure, device[=NAME]
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
    /// Write what was built to a file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// How progress looks: auto, plain, tty, quiet, rawjson
    #[arg(long, value_name = "KIND", default_value = "auto")]
    pub progress: String,
    /// Put the image into the store, also where it goes elsewhere
    #[arg(long)]
    pub load: bool,
    /// Push the image to the registries of its names
    #[arg(long)]
    pub push: bool,
    /// Say what is installed in the image: true, false
    #[arg(long, value_name = "BOOL")]
    pub sbom: Option<String>,
    /// Say where the image came from: true, false, mode=min, mode=max
    #[arg(long, value_name = "BOOL|FIELDS")]
    pub provenance: Option<String>,
    /// Builder to use: there is one, whatever it is called
    #[arg(long, value_name = "NAME")]
    pub builder: Option<String>,
    /// Only look for what is wrong with the Dockerfile: --call=check
    #[arg(long, overrides_with = "call")]
    pub check: bool,
    /// What to do: build, check, outline or targets, with format=json as its JSON (default: build)
    #[arg(long, value_name = "METHOD", overrides_with = "check")]
    pub call: Option<String>,
    /// Say everything of every warning, and write a line per step of the engine
    #[arg(short = 'D', long)]
    pub debug: bool,
}
