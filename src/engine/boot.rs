//! What starts containers when the host has booted, since there is no daemon to do it: a unit of the user's systemd, or a line of
//! the user's crontab. Writes those and nothing else; which containers are started is `start`'s filter.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::request::PsFilters;
use super::{Engine, EngineError};
use crate::runtime::doctor::{Check, Finding, explain};
use crate::runtime::systemd::UserSystemd;
use crate::sys::program;

/// What is run.
const WORDS: [&str; 4] = ["start", "--all", "--filter", "should-start-on-boot=true"];

const UNIT: &str = "bryo-boot.service";
const WANTED_BY: &str = "default.target.wants";

/// How our line of a crontab is known again.
const MARK: &str = "# bryo boot";

/// Where containers and images are is the session's environment, which neither systemd nor cron has.
const VARIABLES: [&str; 3] = ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"];

#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("{operation} {path}: {source}")]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the path of this program is no UTF-8, and no {what} can name it")]
    Unnameable { what: &'static str },
    #[error("find this program: {source}")]
    OwnPath { source: io::Error },
    #[error("neither systemd nor cron is there to start containers when the host boots")]
    NoStarter,
    #[error("run crontab: {source}")]
    RunCrontab { source: io::Error },
    #[error("crontab refused the new table: {message}")]
    Crontab { message: String },
}

/// Who starts the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// The user's own, at boot if the user lingers, else at login.
    Systemd,
    Cron,
}

impl Starter {
    pub fn name(self) -> &'static str {
        match self {
            Starter::Systemd => "systemd",
            Starter::Cron => "cron",
        }
    }
}

/// What happens at the next boot.
#[derive(Debug)]
pub struct BootFacts {
    /// Those that are set up, and where; normally at most one.
    pub starters: Vec<(Starter, String)>,
    /// Why systemd does not start them before the user logs in.
    pub lingering: Option<Finding>,
    /// The containers that would be started.
    pub containers: Vec<String>,
}

impl Engine {
    /// Sets the starter up; without a choice systemd, where it runs. Gives where it is.
    pub fn enable_boot(&self, chosen: Option<Starter>) -> Result<(Starter, String), BootError> {
        let starter = chosen.or_else(usual_starter).ok_or(BootError::NoStarter)?;
        match starter {
            Starter::Systemd => self.write_unit()?,
            Starter::Cron => {
                let table = read_crontab()?;
                write_crontab(&with_line(&table, &cron_line()?))?;
            }
        }
        Ok((starter, self.starter_place(starter)))
    }

    /// Takes away whatever was set up; gives what that was.
    pub fn disable_boot(&self) -> Result<Vec<Starter>, BootError> {
        let mut removed = Vec::new();
        let unit = self.unit();
        for path in [self.wish(), unit] {
            match fs::remove_file(&path) {
                Ok(()) if !removed.contains(&Starter::Systemd) => removed.push(Starter::Systemd),
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(BootError::File {
                        operation: "remove",
                        path,
                        source,
                    });
                }
                _ => {}
            }
        }
        if !removed.is_empty() {
            reload();
        }
        let table = read_crontab()?;
        if has_line(&table) {
            write_crontab(&without_line(&table))?;
            removed.push(Starter::Cron);
        }
        Ok(removed)
    }

    pub fn boot(&self) -> Result<BootFacts, EngineError> {
        let systemd = self.wish().exists().then_some(Starter::Systemd);
        let cron = has_line(&read_crontab()?).then_some(Starter::Cron);
        let starters = [systemd, cron].into_iter().flatten();
        let filters = PsFilters {
            should_start_on_boot: Some(true),
            ..PsFilters::default()
        };
        Ok(BootFacts {
            starters: starters.map(|one| (one, self.starter_place(one))).collect(),
            lingering: self.lingering(),
            containers: self.names(filters)?,
        })
    }

    /// What is missing for the user's systemd to run without a login.
    pub fn lingering(&self) -> Option<Finding> {
        explain(Check::Linger, &self.paths)
    }

    fn starter_place(&self, starter: Starter) -> String {
        match starter {
            Starter::Systemd => self.unit().display().to_string(),
            Starter::Cron => "crontab".to_owned(),
        }
    }

    fn units(&self) -> PathBuf {
        let config = self.paths.config.parent().unwrap_or(&self.paths.config);
        config.join("systemd/user")
    }

    fn unit(&self) -> PathBuf {
        self.units().join(UNIT)
    }

    /// The link that makes systemd want the unit: what `systemctl --user enable` would make.
    fn wish(&self) -> PathBuf {
        self.units().join(WANTED_BY).join(UNIT)
    }

    fn write_unit(&self) -> Result<(), BootError> {
        let text = unit_text(&own_path("unit")?, &environment());
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| BootError::File {
                operation,
                path,
                source,
            }
        };
        let wants = self.units().join(WANTED_BY);
        fs::create_dir_all(&wants).map_err(failed("make directory", &wants))?;
        let unit = self.unit();
        crate::sys::fs::replace_file(&unit, text.as_bytes()).map_err(failed("write", &unit))?;
        let wish = self.wish();
        match symlink(&unit, &wish) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make the link", &wish)(error));
            }
            _ => {}
        }
        reload();
        Ok(())
    }
}

/// systemd reads units when it starts; one that runs is told. If it can't be, the unit works from the next boot all the same.
fn reload() {
    if let Some(manager) = UserSystemd::find()
        && let Err(error) = manager.connect().and_then(|mut systemd| systemd.reload())
    {
        tracing::warn!(%error, "the user's systemd was not told");
    }
}

fn usual_starter() -> Option<Starter> {
    if Path::new("/run/systemd/system").is_dir() {
        return Some(Starter::Systemd);
    }
    program::find("crontab").map(|_| Starter::Cron)
}

fn own_path(what: &'static str) -> Result<String, BootError> {
    let own = std::env::current_exe().map_err(|source| BootError::OwnPath { source })?;
    let text = own.into_os_string().into_string();
    let named = text.ok().filter(|text| !text.contains(['\n', '\r']));
    named.ok_or(BootError::Unnameable { what })
}

fn environment() -> Vec<(String, String)> {
    let set = VARIABLES.iter().filter_map(|name| {
        let value = std::env::var(name).ok()?;
        Some(((*name).to_owned(), value))
    });
    set.collect()
}

/// The containers move into a scope of their own, so that the unit's end ends none of them; where they can't, `KillMode` spares them.
fn unit_text(program: &str, environment: &[(String, String)]) -> String {
    let mut text = "[Unit]\n\
        Description=Start the containers of bryo that are to run\n\
        \n\
        [Service]\n\
        Type=oneshot\n\
        RemainAfterExit=yes\n\
        KillMode=process\n"
        .to_owned();
    for (name, value) in environment {
        text += &format!("Environment={}\n", unit_word(&format!("{name}={value}")));
    }
    let command = unit_word(program).replace('$', "$$");
    text += &format!("ExecStart={command} {}\n", WORDS.join(" "));
    text += "\n[Install]\nWantedBy=default.target\n";
    text
}

/// systemd.syntax(7), and its specifiers.
fn unit_word(text: &str) -> String {
    let mut word = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => word.extend(['\\', letter]),
            '%' => word += "%%",
            '\n' => word += "\\n",
            _ => word.push(letter),
        }
    }
    word + "\""
}

/// crontab(5): `%` is a line feed unless escaped. Where a network is needed, containers of other policies wait for it better.
fn cron_line() -> Result<String, BootError> {
    let program = own_path("crontab")?;
    let mut words: Vec<String> = environment()
        .iter()
        .map(|(name, value)| format!("{name}={}", shell_word(value)))
        .collect();
    words.push(shell_word(&program));
    words.extend(WORDS.map(str::to_owned));
    let command = words.join(" ").replace('%', "\\%").replace('\n', " ");
    Ok(format!("@reboot {command} {MARK}"))
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn has_line(table: &str) -> bool {
    table.lines().any(|line| line.ends_with(MARK))
}

fn without_line(table: &str) -> String {
    let kept = table.lines().filter(|line| !line.ends_with(MARK));
    kept.map(|line| format!("{line}\n")).collect()
}

fn with_line(table: &str, line: &str) -> String {
    format!("{}{line}\n", without_line(table))
}

/// Empty where the user has none, or cron is not there.
fn read_crontab() -> Result<String, BootError> {
    let Some(crontab) = program::find("crontab") else {
        return Ok(String::new());
    };
    let mut command = Command::new(crontab);
    command.arg("-l").stdin(Stdio::null());
    let output = command.output();
    let output = output.map_err(|source| BootError::RunCrontab { source })?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        // That is how it says that there is none.
        false => Ok(String::new()),
    }
}

fn write_crontab(table: &str) -> Result<(), BootError> {
    let crontab = program::find("crontab").ok_or(BootError::NoStarter)?;
    let failed = |source| BootError::RunCrontab { source };
    let mut command = Command::new(crontab);
    command.arg("-").stdin(Stdio::piped());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = command.spawn().map_err(failed)?;
    if let Some(mut input) = running.stdin.take() {
        input.write_all(table.as_bytes()).map_err(failed)?;
    }
    let output = running.wait_with_output().map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(BootError::Crontab {
            message: String::from_utf8_lossy(&output.stderr)
                .trim()
                .replace('\n', "; "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_a_program_of_any_name() {
        let environment = [("XDG_DATA_HOME".to_owned(), "/a \"b\" 5%".to_owned())];
        let text = unit_text("/opt/my $bin/bryo", &environment);
        let line =
            "ExecStart=\"/opt/my $$bin/bryo\" start --all --filter should-start-on-boot=true\n";
        assert!(text.contains(line), "{text}");
        assert!(
            text.contains("Environment=\"XDG_DATA_HOME=/a \\\"b\\\" 5%%\"\n"),
            "{text}"
        );
    }

    #[test]
    fn a_crontab_keeps_its_other_lines() {
        let table = "# mine\n5 4 * * * true\n";
        let once = with_line(table, "@reboot bryo # bryo boot");
        assert_eq!(once, format!("{table}@reboot bryo # bryo boot\n"));
        let twice = with_line(&once, "@reboot other # bryo boot");
        assert_eq!(twice, format!("{table}@reboot other # bryo boot\n"));
        assert!(has_line(&twice) && !has_line(table));
        assert_eq!(without_line(&twice), table);
    }
}
