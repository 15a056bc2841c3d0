//! `volume create`.

use std::collections::BTreeMap;

use crate::cli::Invocation;
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::engine::request::{CreateVolumeRequest, Label};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name of the volume; without one it is anonymous
    #[arg(value_name = "VOLUME")]
    name: Option<String>,
    // What docker had before the name was an argument, and still takes.
    #[arg(long = "name", hide = true, value_name = "VOLUME")]
    old_name: Option<String>,
    /// Driver of the volume: only `local` exists
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Set a label (KEY=VALUE)
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<String>,
    /// Set an option of the driver: type=tmpfs, or type=none with o=bind, device=..., o=...
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// Owner of the volume's directory
    #[arg(long)]
    uid: Option<u32>,
    /// Group of the volume's directory
    #[arg(long)]
    gid: Option<u32>,
}

impl Args {
    fn request(self) -> Result<CreateVolumeRequest, CliError> {
        if self.name.is_some() && self.old_name.is_some() {
            return Err(CliError::new(
                Kind::Failed,
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        let mut labels = BTreeMap::new();
        for text in &self.label {
            let label: Label = value("--label", text)?;
            labels.insert(label.key, label.value);
        }
        let option = |text: &String| {
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            (key.to_owned(), value.to_owned())
        };
        Ok(CreateVolumeRequest {
            name: self.name.or(self.old_name),
            driver: self.driver,
            labels,
            options: self.opt.iter().map(option).collect(),
            uid: self.uid,
            gid: self.gid,
        })
    }
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let request = args.request()?;
    let made = invocation.engine()?.create_volume(&request);
    let name = made.map_err(|error| CliError::engine(Kind::Failed, &error))?;
    invocation.ui.line(name.as_str())?;
    Ok(0)
}
