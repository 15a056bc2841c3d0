//! Which file the program is, where it begins, and what it is told: looked up inside the container's root.

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};

use super::defaults;
use super::execute::{Launch, SetupError, c_strings};
use super::rootfs::clean;
use super::user::Account;
use crate::sys::fs::{Links, open_in_root};
use crate::sys::text;

/// Enters the working directory and finds the program, as the kernel will once privileges are dropped.
pub fn find(
    launch: &Launch,
    root: BorrowedFd<'_>,
    account: &Account,
) -> Result<Program, SetupError> {
    let spec = launch.process()?;
    let cwd = spec.cwd().to_str().map(text::os);
    let cwd = clean(cwd.as_deref().map_or(spec.cwd(), Path::new));
    let failed = |error: io::Error| {
        SetupError::step(
            format!("enter the working directory {}", cwd.display()),
            &error,
        )
    };
    let directory = open_in_root(
        root,
        cwd.as_os_str().as_encoded_bytes(),
        OFlags::PATH | OFlags::DIRECTORY,
        Mode::empty(),
        Links::InRoot,
    );
    rustix::process::fchdir(directory.map_err(failed)?).map_err(|error| failed(error.into()))?;
    // CVE-2024-21626: a directory outside the root has no path in it.
    let here = rustix::process::getcwd(Vec::new()).map_err(|error| failed(error.into()))?;
    if !here.as_bytes().starts_with(b"/") {
        return Err(failed(io::Error::other(
            "it lies outside the container's root",
        )));
    }
    let name = spec
        .args()
        .iter()
        .flatten()
        .next()
        .cloned()
        .unwrap_or_default();
    let env = spec.env().iter().flatten();
    let path = env
        .filter_map(|variable| variable.strip_prefix("PATH="))
        .next_back()
        .unwrap_or(defaults::PATH);
    let file = search(&name, path, account)?;
    Ok(Program {
        file,
        home: account.home.clone(),
    })
}

/// A program that was found, by a path inside the root.
pub struct Program {
    file: String,
    home: String,
}

pub struct Arguments {
    pub args: Vec<CString>,
    pub env: Vec<CString>,
}

impl Program {
    /// The stub's arguments: mode, path, then the program's own, argv\[0\] as it was asked for.
    pub fn arguments(
        &self,
        launch: &Launch,
        account: &Account,
        error_pipe: i32,
    ) -> Result<Arguments, SetupError> {
        let spec = launch.process()?;
        let mode = if launch.init { "init" } else { "exec" };
        let mode = format!("{mode}{error_pipe}");
        let args = spec.args().iter().flatten().map(String::as_str);
        let args = c_strings([mode.as_str(), self.file.as_str()].into_iter().chain(args));
        let home = format!(
            "HOME={}",
            if account.home.is_empty() {
                "/"
            } else {
                &self.home
            }
        );
        let given = spec.env().iter().flatten().map(String::as_str);
        let has_home = spec
            .env()
            .iter()
            .flatten()
            .any(|variable| variable.starts_with("HOME="));
        let env = c_strings(given.chain((!has_home).then_some(home.as_str())));
        let failed = |error: io::Error| SetupError::step("prepare the program's arguments", &error);
        Ok(Arguments {
            args: args.map_err(failed)?,
            env: env.map_err(failed)?,
        })
    }
}

/// execvp's search, inside the root: names with a slash are taken as they are.
fn search(name: &str, path: &str, account: &Account) -> Result<String, SetupError> {
    let not_found = || SetupError::NotFound {
        program: text::shown(name).into_owned(),
    };
    if name.is_empty() {
        return Err(not_found());
    }
    if name.contains('/') {
        return match judge(name, account) {
            Verdict::Runs => Ok(name.to_owned()),
            Verdict::Missing => Err(not_found()),
            Verdict::Refused(message) => Err(SetupError::NotExecutable {
                program: text::shown(name).into_owned(),
                message,
            }),
        };
    }
    let mut refused = None;
    for directory in path.split(':') {
        let file = if directory.is_empty() {
            format!("./{name}")
        } else {
            format!("{directory}/{name}")
        };
        match judge(&file, account) {
            Verdict::Runs => return Ok(file),
            Verdict::Refused(message) => refused = Some(message),
            Verdict::Missing => {}
        }
    }
    match refused {
        Some(message) => Err(SetupError::NotExecutable {
            program: text::shown(name).into_owned(),
            message,
        }),
        None => Err(not_found()),
    }
}

enum Verdict {
    Runs,
    Missing,
    Refused(String),
}

fn judge(file: &str, account: &Account) -> Verdict {
    let file = text::bytes(file);
    let stat = match rustix::fs::stat(&*file) {
        Ok(stat) => stat,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Verdict::Missing,
        Err(error) => return Verdict::Refused(io::Error::from(error).to_string()),
    };
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Verdict::Refused("is a directory".to_owned());
    }
    let executable = stat.st_mode & 0o111 != 0;
    let for_root = account.uid != 0
        || rustix::fs::accessat(rustix::fs::CWD, &*file, Access::EXEC_OK, AtFlags::empty()).is_ok();
    if executable && for_root {
        Verdict::Runs
    } else {
        Verdict::Refused("permission denied".to_owned())
    }
}
