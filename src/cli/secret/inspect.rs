//! `secret inspect`.

use crate::cli::Invocation;
use crate::cli::error::CliError;
use crate::cli::inspect;
use crate::container::Secret;

#[derive(clap::Args, Debug)]
pub struct Args {
    #[arg(required = true, value_name = "SECRET")]
    names: Vec<String>,
    /// `json` or a Go template
    #[arg(short, long, conflicts_with = "pretty")]
    format: Option<String>,
    /// Show it for people to read
    #[arg(long)]
    pretty: bool,
    /// Show the value too, as `SecretData`
    #[arg(long = "showsecret")]
    value: bool,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    if args.pretty {
        let engine = invocation.engine()?;
        return invocation.each(&args.names, |name| {
            Ok(Some(pretty(&engine.secret(name)?.0)))
        });
    }
    let words = inspect::Args::of_kind("secret", args.names, args.format);
    inspect::run(words.with_values(args.value), invocation)
}

/// docker's words and columns.
fn pretty(secret: &Secret) -> String {
    let mut lines = vec![
        format!("ID:              {}", secret.id),
        format!("Name:              {}", secret.name),
    ];
    if !secret.labels.is_empty() {
        lines.push("Labels:".to_owned());
        lines.extend(
            secret
                .labels
                .iter()
                .map(|(key, value)| match value.as_str() {
                    "" => format!(" - {key}"),
                    _ => format!(" - {key}={value}"),
                }),
        );
    }
    lines.push("Driver:            file".to_owned());
    lines.push(format!("Created at:        {}", time(&secret.created)));
    lines.push(format!("Updated at:        {}", time(&secret.updated)));
    lines.join("\n")
}

/// `2006-01-02 15:04:05.999 +0000 utc`
fn time(text: &str) -> String {
    text.replace('T', " ").replace('Z', " +0000 utc")
}
