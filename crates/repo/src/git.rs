//! Runs git. The only place that does: with an empty environment, settings that no repository can widen, a deadline,
//! and bounds on what is read back.

mod running;
mod settings;
mod stream;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use events::{Redactor, Remote};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

pub(crate) use running::{Output, run, run_piped};
pub(crate) use stream::Stream;

use crate::lock::Held;
use crate::{Credential, Error};

/// Work on local objects that takes longer than this hangs.
const TIMEOUT: Duration = Duration::from_secs(600);
/// More is not kept of what a command prints, unless the caller asks for more.
const STDOUT_BYTES_MAX: usize = 64 << 20;

/// A git command that really ran, for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The command as a person would type it; never a credential.
    pub command: String,
    /// What it printed, bounded and without credentials.
    pub output: String,
    /// Its exit code; `-1` when a signal ended it.
    pub exit_code: i32,
    /// How long it took.
    pub duration_ms: u64,
}

/// The git program, and where it runs.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    program: PathBuf,
    /// A folder of ours that lies in no repository.
    work_dir: PathBuf,
    proxy: Option<Proxy>,
}

/// A proxy through which git reaches remotes by https.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its address, perhaps with a user name and a password; given to git by environment only.
    pub url: SecretString,
    /// The hosts that are reached without it, as `NO_PROXY` names them.
    pub except: String,
}

/// A git command that is being put together.
pub(crate) struct Call {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(&'static str, OsString)>,
    config: Vec<(String, String)>,
    work_dir: PathBuf,
    doing: String,
    stdin: Stdin,
    timeout: Duration,
    stdout_bytes_max: usize,
    redactor: Redactor,
    proxy: Option<Proxy>,
}

/// What a command has for its standard input.
enum Stdin {
    Bytes(Vec<u8>),
    /// An empty file. As input it is passed on to this one program; any other way, programs that are started at the
    /// same moment would have it, too.
    Lock(File),
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings hold a credential.
        write!(f, "Call({:?})", self.args)
    }
}

impl Git {
    /// `program` is a path, or a name that is looked up in the usual folders.
    pub(crate) fn new(program: PathBuf, work_dir: &Path) -> Self {
        Self { program, work_dir: work_dir.to_owned(), proxy: None }
    }

    /// The same that reaches remotes through `proxy`.
    pub(crate) fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// A command in no repository; `doing` completes "cannot …".
    pub(crate) fn call<I, A>(&self, doing: impl Into<String>, args: I) -> Call
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Call {
            program: self.program.clone(),
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            env: Vec::new(),
            config: settings::fixed(),
            work_dir: self.work_dir.clone(),
            doing: doing.into(),
            stdin: Stdin::Bytes(Vec::new()),
            timeout: TIMEOUT,
            stdout_bytes_max: STDOUT_BYTES_MAX,
            redactor: Redactor::default(),
            proxy: self.proxy.clone(),
        }
    }

    /// What runs git's other half in a repository on this machine: there our settings would not reach, and the
    /// repository's own might run programs.
    pub(crate) fn other_half(&self, name: &str) -> String {
        settings::other_half(&self.program, name)
    }
}

impl Call {
    /// Works in the bare repository `dir`.
    pub(crate) fn repository(self, dir: &Path) -> Self {
        self.env("GIT_DIR", dir)
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name, value.as_ref().to_owned()));
        self
    }

    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Given to the command on its standard input.
    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Stdin::Bytes(bytes);
        self
    }

    /// Has the command, which reads no input, hold `lock` with us: when we are killed it writes on, and until it ends
    /// nobody may take what is locked for abandoned.
    pub(crate) fn holding(mut self, lock: &Held) -> Result<Self, Error> {
        let file = lock.shared_with_program().map_err(|e| Error::system("share a lock", e))?;
        self.stdin = Stdin::Lock(file);
        Ok(self)
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn stdout_bytes_max(mut self, bytes: usize) -> Self {
        self.stdout_bytes_max = bytes;
        self
    }

    /// Lets the command reach `remote`, and nothing else, with `credential`.
    pub(crate) fn reaching(mut self, remote: &Remote, credential: Option<&Credential>) -> Self {
        let protocol = match remote {
            Remote::Local(_) => "file",
            Remote::Hosted(hosted) => &hosted.scheme,
        };
        self.config.push((format!("protocol.{protocol}.allow"), "always".to_owned()));
        if let Some(proxy) = self.proxy.take() {
            self.env.push(("https_proxy", proxy.url.expose_secret().into()));
            self.env.push(("no_proxy", proxy.except.into()));
        }
        if let Some(credential) = credential {
            self.config.push(settings::authorization(credential));
            self.redactor = settings::redactor(credential);
        }
        self
    }

    /// The process to start. Its environment holds what is set here and nothing of ours.
    fn command(&self) -> std::io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().current_dir(&self.work_dir);
        settings::environment(&mut command, &self.work_dir);
        for (name, value) in &self.env {
            command.env(name, value);
        }
        command.env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (n, (key, value)) in self.config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key).env(format!("GIT_CONFIG_VALUE_{n}"), value);
        }
        let stdin = match &self.stdin {
            Stdin::Bytes(_) => Stdio::piped(),
            Stdin::Lock(file) => Stdio::from(file.try_clone()?),
        };
        // A group of its own, so that the programs that git starts end with it.
        command.process_group(0).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }
}

/// The address that git is given for `remote`.
pub(crate) fn address(remote: &Remote) -> OsString {
    match remote {
        Remote::Hosted(hosted) => hosted.url().into(),
        Remote::Local(path) => path.clone().into_os_string(),
    }
}
