//! What a Dockerfile says, typed. Nothing is expanded yet: a [`Word`] still has its quotes and variables. Never parses.

use std::time::Duration;

use super::finding::Finding;
use super::source::{Location, Source};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    pub source: Source,
    pub directives: Directives,
    /// `ARG` before the first `FROM`: seen by every `FROM`, and by a stage that declares the same name without a default.
    pub globals: Vec<Located<ArgDeclaration>>,
    /// At least one.
    pub stages: Vec<Stage>,
    /// What the parser has seen that the instructions no longer show; `lint` adds the rest.
    pub(super) remarks: Vec<Finding>,
}

/// `# key=value` in the first lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    /// The frontend that is asked for, never executed.
    pub syntax: Option<Located<String>>,
    /// `\` or a backtick.
    pub escape: char,
    pub check: Option<Check>,
}

/// `# check=skip=A,B;error=true`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Names of rules; `all` skips every rule.
    pub skip: Vec<String>,
    /// Experimental rules that are wanted; `all` wants every one.
    pub experimental: Vec<String>,
    /// Any finding stops the build.
    pub error: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// In lower case, as `COPY --from` and `--target` compare it.
    pub name: Option<String>,
    /// The name as it is written.
    pub written_name: Option<Word>,
    /// An image, an earlier stage, a named context or `scratch`; expands with the global `ARG`s only.
    pub base: Word,
    pub platform: Option<Word>,
    pub location: Location,
    /// `FROM debian AS base`
    pub text: String,
    /// What the comment directly above says, if it begins with the stage's name: its description.
    pub description: Option<String>,
    pub instructions: Vec<Located<Instruction>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    /// From the keyword to the last line.
    pub location: Location,
    /// As written, with continuations joined and without heredocs: `RUN make all`.
    pub text: String,
}

/// A piece of text that may contain quotes, escapes and variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    Arg(Vec<ArgDeclaration>),
    Env(Vec<(Word, Word)>),
    Label(Vec<(Word, Word)>),
    Run(Run),
    Copy(Copy),
    Add(Add),
    Workdir(Word),
    User(Word),
    /// Each may expand to several, separated by spaces.
    Expose(Vec<Word>),
    Volume(Vec<Word>),
    Cmd(Command),
    Entrypoint(Command),
    Shell(Vec<String>),
    StopSignal(Word),
    Healthcheck(Healthcheck),
    /// The instruction for the child's build, with its heredocs; see `parse_trigger`.
    Onbuild(String),
    Maintainer(String),
}

/// `ARG name` or `ARG name=default`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgDeclaration {
    pub name: Word,
    pub default: Option<Word>,
    /// What the comment directly above says, if it begins with the name.
    pub description: Option<String>,
}

/// A command that the builder never expands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// One argument for the shell in force.
    Shell(String),
    Exec(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub command: Command,
    pub heredocs: Vec<Heredoc>,
    pub mounts: Vec<MountText>,
    pub network: RunNetwork,
    pub security: RunSecurity,
    pub devices: Vec<Device>,
}

/// What a `RUN` executes once its heredocs have their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunBody {
    /// One argument for the shell in force.
    Shell(String),
    Exec(Vec<String>),
    /// A heredoc that begins with `#!`: a file of this name and content, mode 0755, read-only at `/dev/pipes/NAME`.
    Script {
        name: String,
        content: String,
    },
}

/// `<<NAME`, `<<-NAME`, `<<"NAME"` and the lines to the terminator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    pub name: String,
    /// As written, line ends included.
    pub raw: String,
    /// The name is not quoted: variables in `COPY` and `ADD` are replaced.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of lines are not content.
    pub strip_tabs: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunNetwork {
    #[default]
    Default,
    None,
    Host,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunSecurity {
    #[default]
    Sandbox,
    Insecure,
}

/// `--device=NAME[,required]`: a device of the Container Device Interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub name: Word,
    pub required: bool,
}

/// A `--mount` as written: its values may have variables, so it is only a [`RunMount`] once they are expanded (`resolve`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountText {
    /// Keys in lower case; a key without `=` has no value.
    pub fields: Vec<(Word, Option<Word>)>,
    pub location: Location,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunMount {
    Bind(Bind),
    Cache(Cache),
    Tmpfs(Tmpfs),
    Secret(Secret),
    Ssh(Ssh),
}

/// From the build context, or from a stage, image or named context. Writes never reach the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    pub from: Option<String>,
    pub source: Option<String>,
    pub target: String,
    pub read_only: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// The target where none is given.
    pub id: Option<String>,
    pub target: String,
    pub sharing: Sharing,
    /// What an empty cache begins with.
    pub from: Option<String>,
    pub source: Option<String>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub read_only: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tmpfs {
    pub target: String,
    /// Bytes.
    pub size: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secret {
    pub id: String,
    /// `None`: only the variable.
    pub target: Option<String>,
    pub env: Option<String>,
    pub required: bool,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssh {
    /// `default` where none is given.
    pub id: String,
    /// `None`: `/run/buildkit/ssh_agent.N`.
    pub target: Option<String>,
    pub required: bool,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<Word>,
    /// Files whose content is here.
    pub inline: Vec<Heredoc>,
    pub destination: Word,
    /// Never expanded.
    pub from: Option<Word>,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<Word>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    pub sources: Vec<Word>,
    pub inline: Vec<Heredoc>,
    pub destination: Word,
    pub chown: Option<Word>,
    pub chmod: Option<Word>,
    pub link: bool,
    pub exclude: Vec<Word>,
    pub checksum: Option<Word>,
    pub keep_git_dir: Option<bool>,
    /// `None`: local archives are unpacked, downloaded ones are not.
    pub unpack: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    None,
    /// Durations and retries that are absent or 0 are docker's defaults.
    Check {
        command: Command,
        interval: Option<Duration>,
        timeout: Option<Duration>,
        start_period: Option<Duration>,
        start_interval: Option<Duration>,
        retries: Option<u32>,
    },
}
