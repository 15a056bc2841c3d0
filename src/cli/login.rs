//! `login`.

use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;

use super::Invocation;
use super::error::{CliError, Kind};
use super::registry_flags::{Password, PlaceFlags};
use crate::engine::Engine;
use crate::registry::{Credentials, Kept, Secret, Server};
use crate::sys::prompt::{self, Typed};

/// More is no password.
const LIMIT: u64 = 60 * 1024;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Registry to log in to; Docker Hub where none is named
    #[arg(value_name = "SERVER")]
    server: Option<String>,
    /// User name
    #[arg(
        short,
        long,
        value_name = "USER",
        default_value = "",
        hide_default_value = true
    )]
    username: String,
    /// Password, which everybody on this machine can read here: better --password-stdin
    #[arg(
        short,
        long,
        value_name = "PASSWORD",
        default_value = "",
        hide_default_value = true
    )]
    password: Password,
    /// Take the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Print the user who is logged in, instead
    #[arg(long)]
    get_login: bool,
    #[command(flatten)]
    place: PlaceFlags,
}

pub fn run(args: Args, invocation: &Invocation) -> Result<u8, CliError> {
    let server = Server::named(args.server.as_deref());
    let engine = invocation.engine()?.with_access(args.place.access());
    let failed = |error| CliError::engine(Kind::Failed, &error);
    if args.get_login {
        let Some(known) = engine.logged_in(&server).map_err(failed)? else {
            let message = format!("not logged into {}", server.name());
            return Err(CliError::new(Kind::Engine, message));
        };
        invocation.ui.line(known.user())?;
        return Ok(0);
    }
    let given = given(&args, invocation)?;
    if args.username.is_empty() && given.is_none() && try_existing(&engine, &server, invocation)? {
        return Ok(0);
    }
    let credentials = asked(&engine, &server, args.username, given, invocation)?;
    let kept = engine.login(&server, &credentials).map_err(failed)?;
    if let Kept::File(path) = kept {
        invocation.ui.note(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            path.display()
        ));
    }
    invocation.ui.line("Login Succeeded")?;
    Ok(0)
}

/// The password from the command line or standard input; `None` where it has to be asked for.
fn given(args: &Args, invocation: &Invocation) -> Result<Option<Secret>, CliError> {
    let failed = |message: &str| CliError::new(Kind::Failed, message);
    let on_command_line = !args.password.0.expose().is_empty();
    if on_command_line {
        invocation
            .ui
            .note("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
        if args.password_stdin {
            return Err(failed(
                "--password and --password-stdin are mutually exclusive",
            ));
        }
    }
    if !args.password_stdin {
        return Ok(on_command_line.then(|| args.password.0.clone()));
    }
    if args.username.is_empty() {
        return Err(failed("must provide --username with --password-stdin"));
    }
    let mut text = String::new();
    std::io::stdin()
        .take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| failed(&format!("read the password from standard input: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(failed("password is required: standard input is empty"));
    }
    Ok(Some(Secret::new(text.to_owned())))
}

/// As docker does, with what is known already first; a refusal of it leads to the questions.
fn try_existing(
    engine: &Engine,
    server: &Server,
    invocation: &Invocation,
) -> Result<bool, CliError> {
    let known = engine.logged_in(server);
    let Some(known) = known.map_err(|error| CliError::engine(Kind::Failed, &error))? else {
        return Ok(false);
    };
    invocation.ui.line(&format!(
        "Authenticating with existing credentials... [Username: {}]",
        known.user()
    ))?;
    match engine.login(server, &known) {
        Ok(_) => {
            invocation.ui.line("Login Succeeded")?;
            Ok(true)
        }
        Err(error) => {
            let error = CliError::engine(Kind::Failed, &error);
            let note = format!("Login did not succeed, error: {}", error.message);
            invocation.ui.note(&note);
            Ok(false)
        }
    }
}

/// What is still missing, from the person at the terminal.
fn asked(
    engine: &Engine,
    server: &Server,
    user: String,
    password: Option<Secret>,
    invocation: &Invocation,
) -> Result<Credentials, CliError> {
    if (user.is_empty() || password.is_none()) && !std::io::stdin().is_terminal() {
        let message = "cannot perform an interactive login from a non-TTY device";
        return Err(CliError::new(Kind::Failed, message)
            .hint("bryo login -u USER --password-stdin [SERVER] < FILE"));
    }
    let user = match user.as_str() {
        "" => {
            let before = engine.logged_in(server).ok().flatten();
            let before = before
                .map(|known| known.user().to_owned())
                .unwrap_or_default();
            let question = match before.as_str() {
                "" => "Username: ".to_owned(),
                known => format!("Username ({known}): "),
            };
            match ask(&question, true, invocation)?.trim() {
                "" => before,
                typed => typed.to_owned(),
            }
        }
        _ => user,
    };
    if user.is_empty() {
        return Err(CliError::new(Kind::Failed, "username is required"));
    }
    let password = match password {
        Some(password) => password,
        None => Secret::new(ask("Password: ", false, invocation)?),
    };
    if password.expose().is_empty() {
        return Err(CliError::new(Kind::Failed, "password is required"));
    }
    Ok(Credentials::Password { user, password })
}

/// The password that a command line left out.
pub(super) fn ask_password(invocation: &Invocation) -> Result<String, CliError> {
    if !std::io::stdin().is_terminal() {
        let message = "cannot ask for a password on what is no terminal";
        return Err(CliError::new(Kind::Failed, message).hint("--creds USER:PASSWORD"));
    }
    ask("Password: ", false, invocation)
}

fn ask(question: &str, shown: bool, invocation: &Invocation) -> Result<String, CliError> {
    invocation.ui.result(question)?;
    let stdin = std::io::stdin();
    match prompt::read_line(stdin.as_fd(), shown) {
        Ok(Typed::Line(line)) => Ok(line),
        Ok(Typed::End) => Ok(String::new()),
        Ok(Typed::Signal(number)) => {
            invocation.ui.note("");
            Err(CliError::said(Kind::Interrupted(number as u8)))
        }
        Err(error) => Err(CliError::new(
            Kind::Failed,
            format!("read from the terminal: {error}"),
        )),
    }
}
