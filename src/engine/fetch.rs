//! Files that a build takes from elsewhere: a URL, a git repository. Each is brought into a directory that its holder decides
//! about. A repository's own words run nothing: no hooks, no filters, no protocol but https and ssh.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::arriving::{Arriving, Said};
use super::authorizations::{Authorizations, web_host};
use super::download_cache::{self, Head, Kept};
use super::request::GitSource;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::image::{Digest, Merged, UnpackOptions, is_archive, unpack_archive};
use crate::registry::{self, Progress, RegistryConfig, RegistryError};
use crate::sys::{fs, program};

/// What docker makes a downloaded file.
const MODE: u32 = 0o600;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("git is not installed, and {remote} can't be cloned without it")]
    NoGit { remote: String },
    #[error("clone {remote}: {message}")]
    Git { remote: String, message: String },
    #[error("run git: {source}")]
    RunGit { source: io::Error },
    #[error("{subdirectory:?} is no directory of {remote}")]
    Subdirectory {
        remote: String,
        subdirectory: String,
    },
    #[error("digest mismatch of {url}: {found}, expected {expected}")]
    Digest {
        url: String,
        expected: Digest,
        found: Digest,
    },
    #[error("checksum mismatch of {remote}: {found}, expected {expected}")]
    Checksum {
        remote: String,
        expected: String,
        found: String,
    },
    #[error("write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
}

impl FetchError {
    /// What the user may do about it.
    pub fn hints(&self) -> Vec<String> {
        let FetchError::Git { remote, message } = self else {
            return Vec::new();
        };
        if message.contains("Host key verification failed") {
            return ssh_host(remote)
                .map(|host| {
                    vec![format!(
                        "ssh {host}   # shows the host's key, and keeps it when you say so"
                    )]
                })
                .unwrap_or_default();
        }
        if message.contains("Permission denied (publickey") {
            return vec![
                "--ssh default for the agent that runs, or --ssh default=~/.ssh/KEY".to_owned(),
            ];
        }
        let asks = ["could not read Username", "Authentication failed"];
        let asks = asks.iter().any(|words| message.contains(words));
        match web_host(remote).filter(|_| asks) {
            Some(host) => vec![format!(
                "if the repository is private, give a token: --secret id=GIT_AUTH_TOKEN.{host},env=VARIABLE"
            )],
            None => Vec::new(),
        }
    }
}

/// A file that was downloaded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FetchedFile {
    /// The last part of the URL's path.
    pub name: String,
    pub digest: Digest,
}

/// A repository that was cloned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cloned {
    /// The part of it that was asked for.
    pub directory: PathBuf,
    /// Of the commit, in seconds.
    pub time: i64,
    /// Its object name.
    pub commit: String,
}

/// What is elsewhere.
#[derive(Clone, Debug)]
pub enum Remote {
    Url {
        url: String,
        expected: Option<Digest>,
    },
    Repository {
        source: GitSource,
    },
}

/// What has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Fetched {
    File(FetchedFile),
    Repository(Cloned),
}

impl Engine {
    /// Brings each into a directory of its own, one after the other, while other work goes on.
    pub fn begin_fetch(
        &self,
        wanted: Vec<(Remote, PathBuf)>,
        authorizations: Authorizations,
    ) -> Result<Arriving<Vec<Fetched>>, EngineError> {
        let registries = self.registry_config()?;
        let kept = self.paths.build_downloads();
        let job = self.start_saying_beside("transfer", move |saying| {
            let said = Said::new(saying);
            let fetched = wanted.iter().map(|(remote, directory)| match remote {
                Remote::Url { url, expected } => {
                    let file = download(
                        url,
                        expected.as_ref(),
                        (directory, &kept),
                        &authorizations,
                        (&registries, &said),
                    );
                    file.map(Fetched::File)
                }
                Remote::Repository { source } => clone(source, directory, &authorizations)
                    .map(Fetched::Repository)
                    .map_err(|error| failure(&error)),
            });
            fetched.collect()
        });
        job.map(Arriving::new)
    }

    /// Downloads into `directory`, with the time that the server says it has.
    pub fn fetch_url(
        &self,
        url: &str,
        expected: Option<&Digest>,
        directory: &Path,
        authorizations: &Authorizations,
        progress: &dyn Progress,
    ) -> Result<FetchedFile, EngineError> {
        let registries = self.registry_config()?;
        let kept = self.paths.build_downloads();
        self.beside("transfer", || {
            let places = (directory, kept.as_path());
            download(
                url,
                expected,
                places,
                authorizations,
                (&registries, progress),
            )
        })
    }

    /// Clones into `directory`.
    pub fn fetch_git(
        &self,
        source: &GitSource,
        directory: &Path,
        authorizations: &Authorizations,
    ) -> Result<Cloned, FetchError> {
        clone(source, directory, authorizations)
    }

    /// Unpacks an archive, plain or compressed, into `directory`: everything in it is the user's. `false`: it is no archive,
    /// and nothing was unpacked.
    pub fn unpack_context(&self, archive: &Path, directory: &Path) -> Result<bool, EngineError> {
        self.in_home("worker", || {
            let failed =
                |error: &(dyn std::error::Error + 'static)| RoleFailure::of(error, Vec::new());
            let archive = OwnedFd::from(File::open(archive).map_err(|error| failed(&error))?);
            if !is_archive(&archive).map_err(|error| failed(&error))? {
                return Ok(false);
            }
            let root = fs::open_directory(directory).map_err(|error| failed(&error))?;
            let options = UnpackOptions {
                single_id: true,
                plain: true,
                ..UnpackOptions::default()
            };
            unpack_archive(archive, &root, &options).map_err(|error| failed(&error))?;
            Ok(true)
        })
    }
}

fn failure(error: &FetchError) -> RoleFailure {
    RoleFailure::of(error, error.hints())
}

fn download_failure(url: &str, error: &RegistryError, has_secret: bool) -> RoleFailure {
    let mut hints = error.hints();
    if let RegistryError::Download {
        status: 401 | 403, ..
    } = error
    {
        let host = Url::parse(url).ok();
        let host = host.as_ref().and_then(Url::host_str).unwrap_or("HOST");
        hints.push(match has_secret {
            true => {
                format!("the secret for {host} was refused, or not sent: it goes by https alone")
            }
            false => {
                format!("if it asks for a token: --secret id=HTTP_AUTH_TOKEN_{host},env=VARIABLE")
            }
        });
    }
    RoleFailure::of(error, hints)
}

/// Into a directory, with what earlier downloads have left in another.
fn download(
    url: &str,
    expected: Option<&Digest>,
    (directory, kept_place): (&Path, &Path),
    authorizations: &Authorizations,
    (registries, progress): (&RegistryConfig, &dyn Progress),
) -> Result<FetchedFile, RoleFailure> {
    let failed = |error: FetchError| failure(&error);
    let authorization = authorizations.of_url(url);
    let ask = |known| {
        let said = (known, authorization.clone());
        registry::download_unless(url, said, registries, progress)
            .map_err(|error| download_failure(url, &error, authorization.is_some()))
    };
    // What is not what is wanted is of no use, whatever the server says of it.
    let is_wanted = |kept: &Kept| expected.is_none_or(|digest| *digest == kept.head.digest);
    let mut kept = Kept::find(kept_place, url).filter(is_wanted);
    let validator = kept.as_ref().map(|kept| kept.head.validator.clone());
    let mut download = ask(validator)?;
    if let (None, Some(mut known)) = (&download, kept.take()) {
        if let Some(file) = known_file(&mut known, directory).map_err(failed)? {
            return Ok(file);
        }
        // Its bytes are others by now.
        known.forget();
        download = ask(None)?;
    }
    let download = download.ok_or_else(|| RoleFailure {
        message: format!("{}: the server says nothing of it", file_name(url)),
        hints: Vec::new(),
    })?;
    new_file(download, url, kept_place, directory, expected).map_err(failed)
}

fn clone(
    source: &GitSource,
    directory: &Path,
    authorizations: &Authorizations,
) -> Result<Cloned, FetchError> {
    let git = Git::new(source, directory, authorizations)?;
    git.run(&["init", "--quiet"])?;
    fetch_commit(&git, source)?;
    if source.submodules && directory.join(".gitmodules").is_file() {
        let update = [
            "submodule",
            "--quiet",
            "update",
            "--init",
            "--recursive",
            "--depth=1",
        ];
        git.run(&update)?;
    }
    let said = git.run(&["log", "-1", "--format=%ct %H"])?;
    let (time, commit) = said.trim().split_once(' ').unwrap_or((&said, ""));
    let (time, commit) = (time.parse().unwrap_or(0), commit.to_owned());
    if !source.keep_git_directory.unwrap_or(false) {
        let removed = fs::remove_path(&directory.join(".git"));
        removed.map_err(|failed| FetchError::Write {
            path: directory.join(".git"),
            source: failed.source,
        })?;
    }
    Ok(Cloned {
        directory: subdirectory(source, directory)?,
        time,
        commit,
    })
}

/// Checks out what is asked for, if it is what it is said to be.
fn fetch_commit(git: &Git<'_>, source: &GitSource) -> Result<(), FetchError> {
    let reference = source.reference.as_deref().unwrap_or("HEAD");
    // What looks like a flag is none behind the dashes.
    let fetch = |words: &[&str]| {
        let fetch = ["fetch", "--quiet", "--no-tags"];
        git.run(&[&fetch[..], words].concat())
    };
    let mut wanted = "FETCH_HEAD";
    match fetch(&["--depth=1", "--", &source.remote, reference]) {
        Ok(_) => {}
        // A server knows no shortened names: then all that it has is needed.
        Err(_) if is_short_name(reference) => {
            fetch(&["--", &source.remote, "+refs/heads/*:refs/all/*"])?;
            wanted = reference;
        }
        Err(error) => return Err(error),
    }
    git.run(&["checkout", "--quiet", "--detach", wanted])?;
    let Some(expected) = &source.checksum else {
        return Ok(());
    };
    // A tag that has words of its own has a name of its own.
    let names = git.run(&["rev-parse", "HEAD", wanted])?;
    match names
        .lines()
        .any(|name| name.starts_with(expected.as_str()))
    {
        true => Ok(()),
        false => Err(FetchError::Checksum {
            remote: shown(&source.remote),
            expected: expected.clone(),
            found: names.lines().next().unwrap_or_default().to_owned(),
        }),
    }
}

/// The beginning of a commit's name.
fn is_short_name(reference: &str) -> bool {
    (4..40).contains(&reference.len()) && reference.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn file_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let name = match path.split_once('/') {
        Some((_, path)) => path.rsplit('/').next().unwrap_or_default(),
        None => "",
    };
    let usable = !name.is_empty() && name != "." && name != "..";
    if usable { name } else { "download" }.to_owned()
}

/// What was kept, if it is still what it was.
fn known_file(kept: &mut Kept, directory: &Path) -> Result<Option<FetchedFile>, FetchError> {
    let Head {
        name,
        time,
        digest,
        shown,
        ..
    } = kept.head.clone();
    // A name is one part of a path, whoever wrote it down.
    let path = directory.join(file_name(&format!("http://-/{name}")));
    let found = write(kept, (&shown, time), &path, None)?;
    if found != digest {
        std::fs::remove_file(&path).map_err(|source| FetchError::Write { path, source })?;
        return Ok(None);
    }
    kept.touch();
    let digest = found;
    Ok(Some(FetchedFile { name, digest }))
}

/// What was downloaded, which is kept for the next time.
fn new_file(
    mut download: registry::Download,
    url: &str,
    place: &Path,
    directory: &Path,
    expected: Option<&Digest>,
) -> Result<FetchedFile, FetchError> {
    let name = file_name(&download.url);
    let path = directory.join(&name);
    let shown = download.url.clone();
    let time = download.modified.unwrap_or(0);
    let validator = download.validator.clone();
    let digest = write(&mut download, (&shown, time), &path, expected)?;
    if let Some(validator) = validator {
        let head = Head {
            shown,
            name: name.clone(),
            time,
            digest: digest.clone(),
            validator,
        };
        download_cache::keep(place, url, &head, &path);
    }
    Ok(FetchedFile { name, digest })
}

fn compare(url: &str, expected: Option<&Digest>, found: &Digest) -> Result<(), FetchError> {
    match expected.filter(|expected| *expected != found) {
        Some(expected) => Err(FetchError::Digest {
            url: url.to_owned(),
            expected: expected.clone(),
            found: found.clone(),
        }),
        None => Ok(()),
    }
}

/// From where, with the URL and the time that the file gets.
fn write(
    from: &mut dyn Read,
    (url, time): (&str, u64),
    path: &Path,
    expected: Option<&Digest>,
) -> Result<Digest, FetchError> {
    let failed = || {
        let path = path.to_owned();
        |source| FetchError::Write { path, source }
    };
    let mut file = File::create_new(path).map_err(failed())?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match from.read(&mut buffer).map_err(failed())? {
            0 => break,
            length => {
                hasher.update(&buffer[..length]);
                file.write_all(&buffer[..length]).map_err(failed())?;
            }
        }
    }
    let found = Digest::from_hash(hasher.finalize().as_slice());
    compare(url, expected, &found)?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
    file.set_permissions(Permissions::from_mode(MODE))
        .and_then(|()| file.set_modified(time))
        .map_err(failed())?;
    Ok(found)
}

/// Git with nothing of the host's settings, in one directory.
struct Git<'a> {
    program: PathBuf,
    source: &'a GitSource,
    directory: &'a Path,
    /// They hold secrets, which arguments would show to everybody.
    authorized: Vec<(String, String)>,
    agent: Option<PathBuf>,
}

impl Git<'_> {
    fn new<'a>(
        source: &'a GitSource,
        directory: &'a Path,
        authorizations: &Authorizations,
    ) -> Result<Git<'a>, FetchError> {
        let program = program::find("git").ok_or_else(|| FetchError::NoGit {
            remote: shown(&source.remote),
        })?;
        Ok(Git {
            program,
            source,
            directory,
            authorized: authorizations.git_variables(&source.remote),
            agent: authorizations.agent().map(Path::to_owned),
        })
    }

    /// What it prints.
    fn run(&self, arguments: &[&str]) -> Result<String, FetchError> {
        let mut command = Command::new(&self.program);
        for setting in [
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "core.attributesFile=/dev/null",
            "core.symlinks=true",
            "protocol.allow=never",
            "protocol.https.allow=always",
            "protocol.ssh.allow=always",
            "advice.detachedHead=false",
            "init.defaultBranch=main",
        ] {
            command.args(["-c", setting]);
        }
        command.args(arguments).current_dir(self.directory);
        command.env_clear().envs(kept_variables());
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", "https:ssh"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("LC_ALL", "C"),
        ] {
            command.env(name, value);
        }
        command.envs(self.agent.iter().map(|agent| ("SSH_AUTH_SOCK", agent)));
        command.envs(self.authorized.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        program::end_with_caller(&mut command);
        let output = command
            .output()
            .map_err(|source| FetchError::RunGit { source })?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(FetchError::Git {
                remote: shown(&self.source.remote),
                message: joined(&String::from_utf8_lossy(&output.stderr)),
            }),
        }
    }
}

fn joined(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// A repository's name without the password that it may hold, as BuildKit shows it.
fn shown(remote: &str) -> String {
    let hidden = remote.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find('/').unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:xxxxx@{host}{}", &rest[end..]))
    });
    hidden.unwrap_or_else(|| remote.to_owned())
}

/// What ssh is told for the same host: `user@host`, `-p 2222 user@host`.
fn ssh_host(remote: &str) -> Option<String> {
    let Some((_, rest)) = remote.split_once("://") else {
        return remote.split_once(':').map(|(host, _)| host.to_owned());
    };
    let host = rest.split('/').next().unwrap_or_default();
    Some(match host.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => format!("-p {port} {host}"),
        _ => host.to_owned(),
    })
}

/// What ssh and certificates need of the user's session.
fn kept_variables() -> Vec<(&'static str, OsString)> {
    let names = [
        "PATH",
        "HOME",
        "SSH_AUTH_SOCK",
        "GIT_SSH_COMMAND",
        "GIT_SSL_CAINFO",
        "SSL_CERT_FILE",
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
    ];
    let set = names
        .into_iter()
        .map(|name| Some((name, std::env::var_os(name)?)));
    set.flatten().collect()
}

/// A link in the repository leads nowhere else.
fn subdirectory(source: &GitSource, directory: &Path) -> Result<PathBuf, FetchError> {
    let Some(wanted) = &source.subdirectory else {
        return Ok(directory.to_owned());
    };
    let missing = || FetchError::Subdirectory {
        remote: shown(&source.remote),
        subdirectory: wanted.clone(),
    };
    let tree = Merged::plain(directory).map_err(|_| missing())?;
    let resolved = tree
        .resolve(wanted.as_bytes(), true)
        .map_err(|_| missing())?;
    let path = resolved.below(directory);
    path.is_dir().then_some(path).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::{shown, ssh_host};

    #[test]
    fn a_host_is_named_as_ssh_takes_it() {
        let host = |remote: &str| ssh_host(remote).unwrap_or_default();
        assert_eq!(host("git@host:path/to"), "git@host");
        assert_eq!(host("ssh://git@host/path"), "git@host");
        assert_eq!(host("ssh://git@host:2222/path"), "-p 2222 git@host");
        assert_eq!(host("ssh://[::1]/path"), "[::1]");
    }

    #[test]
    fn a_password_is_not_shown() {
        for (remote, expected) in [
            ("https://me:pw@host/x.git", "https://me:xxxxx@host/x.git"),
            ("https://me:p@w@host", "https://me:xxxxx@host"),
            ("https://token@host/x.git", "https://token@host/x.git"),
            ("https://host/a:b@c.git", "https://host/a:b@c.git"),
            ("git@host:x.git", "git@host:x.git"),
        ] {
            assert_eq!(shown(remote), expected);
        }
    }
}
