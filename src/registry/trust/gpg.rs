//! Simple signing (containers-signature(5)): OpenPGP messages below a lookaside, opened by the host's `gpg` in a directory of
//! its own that knows only the keys that count. Nothing of the user's keyring is used or changed.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::super::exchange::{Exchange, Request, printable, read_bounded, read_reason};
use super::super::progress::Silent;
use super::super::retry;
use super::Evidence;
use super::payload::{self, SignatureFault};
use crate::image::{Digest, Reference};
use crate::sys::fs;

const KIND: &str = "atomic container signature";
/// More signatures of one image are not looked at, nor larger ones.
const MOST: usize = 64;
const LIMIT: u64 = 1 << 20;

/// Every signature of any of these digests; `Err` says why it cannot be known whether there are any.
pub fn fetch(
    exchange: &Exchange<'_>,
    lookaside: &str,
    reference: &Reference,
    digests: &[Digest],
) -> Result<Vec<Evidence>, String> {
    let base = Url::parse(lookaside).map_err(|error| format!("lookaside {lookaside}: {error}"))?;
    let mut found = Vec::new();
    for digest in digests {
        let front = format!("{}@sha256={}", reference.repository(), digest.hex());
        for number in 1..=MOST {
            let name = format!("{front}/signature-{number}");
            let message = match base.scheme() {
                "file" => read(&base, &name)?,
                "https" => download(exchange, &base, &name)?,
                _ => return Err(format!("lookaside {lookaside}: neither file: nor https:")),
            };
            let Some(message) = message else { break };
            found.push(Evidence::Gpg {
                message: STANDARD.encode(message),
            });
        }
    }
    Ok(found)
}

fn read(base: &Url, name: &str) -> Result<Option<Vec<u8>>, String> {
    let directory = base.to_file_path();
    let directory = directory.map_err(|()| format!("lookaside {base}: no path on this host"))?;
    let path = directory.join(name);
    match fs::read_bounded(&path, LIMIT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("read {}: {error}", path.display())),
    }
}

fn download(exchange: &Exchange<'_>, base: &Url, name: &str) -> Result<Option<Vec<u8>>, String> {
    let mut url = base.clone();
    url.set_path(&format!("{}/{name}", base.path().trim_end_matches('/')));
    let shown = printable(url.as_str(), 300);
    let mut response = retry::send(exchange, &Request::get(url), &Silent)
        .map_err(|error| format!("fetch {shown}: {error}"))?;
    match response.status().as_u16() {
        200 => {}
        404 => return Ok(None),
        status => return Err(format!("fetch {shown}: the server answered {status}")),
    }
    let bytes = read_bounded(&mut response, LIMIT);
    let bytes = bytes.map_err(|error| format!("fetch {shown}: {}", read_reason(&error)))?;
    match bytes {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(format!("fetch {shown}: it is larger than {LIMIT} bytes")),
    }
}

/// A directory for gpg that goes with this value.
pub struct Keyring {
    home: PathBuf,
}

impl Keyring {
    /// Below `scratch`, or where temporary files go.
    pub fn new(scratch: Option<&Path>) -> Result<Keyring, String> {
        let below = match scratch {
            Some(path) => path.to_owned(),
            None => std::env::temp_dir(),
        };
        let home = below.join(format!("gpg-{}", fs::random_name()));
        let made = std::fs::create_dir_all(&below)
            .and_then(|()| DirBuilder::new().mode(0o700).create(&home));
        made.map_err(|error| format!("make {}: {error}", home.display()))?;
        Ok(Keyring { home })
    }

    /// Every file has to bring a key.
    pub fn import(&self, keys: &[PathBuf]) -> Result<(), (PathBuf, String)> {
        for path in keys {
            let failed = |reason: String| (path.clone(), reason);
            // gpg would take a name that begins with a dash, or is relative, for something else.
            let bytes = fs::read_bounded(path, LIMIT);
            let bytes = bytes.map_err(|error| failed(error.to_string()))?;
            let copy = self.home.join("key");
            let written = std::fs::write(&copy, bytes);
            written.map_err(|error| failed(error.to_string()))?;
            let output = self.gpg(&["--import"], &copy).map_err(failed)?;
            let imported = statuses(&output).any(|line| line.starts_with("IMPORT_OK "));
            if !output.status.success() || !imported {
                return Err(failed("is no OpenPGP public key".to_owned()));
            }
        }
        Ok(())
    }

    pub fn verify(
        &self,
        evidence: &Evidence,
        reference: &Reference,
        digests: &[Digest],
    ) -> Result<(), SignatureFault> {
        let Evidence::Gpg { message } = evidence else {
            return Err(SignatureFault::Key);
        };
        let message = STANDARD.decode(message);
        let message = message.map_err(SignatureFault::malformed)?;
        let file = self.home.join("message");
        std::fs::write(&file, message).map_err(SignatureFault::malformed)?;
        let words = ["--max-output", "1048576", "--output", "-", "--decrypt"];
        let output = self.gpg(&words, &file).map_err(SignatureFault::malformed)?;
        check_status(&output)?;
        payload::check(&output.stdout, KIND, reference, digests)
    }

    /// Status lines are on standard error and nothing else is.
    fn gpg(&self, words: &[&str], file: &Path) -> Result<Output, String> {
        let mut command = Command::new("gpg");
        command.arg("--homedir").arg(&self.home).args([
            "--no-options",
            "--batch",
            "--no-tty",
            "--no-autostart",
            "--trust-model",
            "always",
            "--no-auto-key-retrieve",
            "--status-fd",
            "2",
            "--logger-file",
            "/dev/null",
        ]);
        command.args(words).arg("--").arg(file);
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let output = command.stdin(Stdio::null()).output();
        output.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "gpg is not installed".to_owned(),
            _ => format!("start gpg: {error}"),
        })
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_path(&self.home) {
            tracing::debug!(home = %self.home.display(), %error.source, "gpg's directory stays");
        }
    }
}

/// What gpg says for programs (its doc/DETAILS).
fn statuses(output: &Output) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(&output.stderr).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.strip_prefix("[GNUPG:] "))
}

/// Exactly one signature, which is good and of a key that is valid now, over exactly one text.
fn check_status(output: &Output) -> Result<(), SignatureFault> {
    let count = |word: &str| {
        let is = |line: &&str| line.split(' ').next() == Some(word);
        statuses(output).filter(is).count()
    };
    if ["EXPSIG", "EXPKEYSIG", "REVKEYSIG"]
        .into_iter()
        .any(|word| count(word) > 0)
    {
        return Err(SignatureFault::Expired);
    }
    if ["BADSIG", "ERRSIG", "NO_PUBKEY"]
        .into_iter()
        .any(|word| count(word) > 0)
    {
        return Err(SignatureFault::Key);
    }
    let one = ["NEWSIG", "GOODSIG", "VALIDSIG", "PLAINTEXT"];
    match output.status.success() && one.into_iter().all(|word| count(word) == 1) {
        true => Ok(()),
        false => Err(SignatureFault::malformed("it is no signed message")),
    }
}
