//! `version`, and the one line of `--version`.

use serde_json::{Value, json};

use super::Invocation;
use super::error::CliError;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// `json` or a Go template
    #[arg(short, long)]
    format: Option<String>,
}

/// `--version`.
pub fn line() -> String {
    format!("bryo version {}", env!("CARGO_PKG_VERSION"))
}

/// docker's shape; there is no server, so that part says what the one program is.
fn facts() -> Value {
    let system = nix::sys::utsname::uname().ok();
    let kernel = system.map(|system| system.release().to_string_lossy().into_owned());
    let version = env!("CARGO_PKG_VERSION");
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "Client": {
            "Version": version,
            "ApiVersion": "",
            "Os": std::env::consts::OS,
            "Arch": arch,
            "KernelVersion": kernel,
            "Context": "default",
        },
        "Server": {
            "Version": version,
            "Os": std::env::consts::OS,
            "Arch": arch,
            "KernelVersion": kernel,
        },
    })
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let facts = facts();
    if let Some(format) = &args.format {
        invocation.formatted(format, &facts)?;
        return Ok(0);
    }
    let client = &facts["Client"];
    let shown = |key: &str| client[key].as_str().unwrap_or_default().to_owned();
    invocation.ui.result(&format!(
        "bryo:\n Version:        {}\n OS/Arch:        {}/{}\n Kernel:         {}\n Server:         none (no daemon)\n",
        shown("Version"),
        shown("Os"),
        shown("Arch"),
        shown("KernelVersion"),
    ))?;
    Ok(0)
}
