//! Brings a commit to a branch of the remote, never over somebody else's commits, and believes it only when the remote
//! says so.

use std::path::Path;
use std::time::Duration;

use events::{Branch, Oid};

use crate::git::{self, Output, Ran};
use crate::mirror::{Mirror, reached};
use crate::{Error, Source, on_this_machine};

/// A large change over a slow line, and a remote that runs checks before it answers.
const PUSH_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// `git config` ends so when it finds nothing.
const NO_SUCH_SETTING: i32 = 1;
/// One ref is asked for.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// What is at the branch before a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing, or already the very commit that is pushed.
    New,
    /// A commit that we pushed earlier, to be replaced.
    Former(Oid),
}

impl Mirror {
    /// Pushes `commit` to `branch`. A push that was already taken, by an earlier try or with its answer lost, is done.
    ///
    /// # Errors
    /// [`Error::BranchTaken`] when the branch holds other commits than expected; [`Error::Rejected`] with the remote's
    /// text; [`Error::Auth`], [`Error::NotFound`], [`Error::Network`]; [`Error::LeadsAway`] when a repository on this machine
    /// leads a push elsewhere.
    pub async fn push(
        &self,
        source: &Source,
        commit: &Oid,
        branch: &Branch,
        expect: &Expect,
    ) -> Result<Ran, Error> {
        let full_ref = branch.full_ref();
        if let Some(folder) = self.repos.place(&source.remote).local_path() {
            on_this_machine::refuse_links(folder, &full_ref)?;
            self.refuse_hooks(folder).await?;
        }
        let former = match expect {
            Expect::New => "",
            Expect::Former(oid) => oid.as_str(),
        };
        // With the value it must have now (empty: none), git refuses to push over anything else.
        let lease = format!("--force-with-lease={full_ref}:{former}");
        let call = self
            .repos
            .remote_call(source, "push", &format!("push `{branch}`"))
            .repository(&self.dir)
            .args([
                "--porcelain",
                "--no-verify",
                "--no-recurse-submodules",
                "--no-follow-tags",
                lease.as_str(),
                "--",
            ])
            .arg(git::address(self.repos.place(&source.remote)))
            .arg(format!("{commit}:{full_ref}"))
            .timeout(PUSH_TIMEOUT);
        let output = git::run(call).await?;
        let typed = format!("git push {} {}:{full_ref}", source.remote, commit.short());
        // Whatever the answer was, or if none came: what counts is what the remote has now.
        let head = match self.remote_head(source, branch).await {
            Ok(head) => head,
            Err(error) => return Err(if output.code == 0 { error } else { refusal(output) }),
        };
        if head.as_ref() == Some(commit) {
            let said = output.said.clone();
            return Ok(Ran { exit_code: 0, ..output.ran(typed, said) });
        }
        let expected = match expect {
            Expect::New => None,
            Expect::Former(oid) => Some(oid),
        };
        if head.as_ref() != expected {
            return Err(Error::BranchTaken { branch: branch.clone(), head });
        }
        Err(refusal(output))
    }

    /// Refuses a push that a program may be run by which stands among the settings of the repository in `folder`: git does
    /// that since 2.54, and has no one setting against it in all versions.
    async fn refuse_hooks(&self, folder: &Path) -> Result<(), Error> {
        let doing = format!("read the settings of {}", folder.display());
        let places = on_this_machine::places(folder).map_err(|error| Error::system(doing.clone(), error))?;
        for place in places {
            let list = ["config", "--includes", "--name-only", "--get-regexp", r"^hook\."];
            let listed = git::run(self.repos.git.call(doing.clone(), list).repository(&place.own)).await?;
            if listed.code != NO_SUCH_SETTING {
                let hook = listed.success()?.told().lines().next().unwrap_or_default().to_owned();
                return Err(Error::LeadsAway {
                    what: format!(
                        "a push could run the program of the setting `{hook}` of {}",
                        folder.display()
                    ),
                });
            }
        }
        Ok(())
    }

    /// The commit at the head of `branch`, as the remote says now.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Auth`], [`Error::Network`] when the remote cannot be read.
    pub async fn remote_head(&self, source: &Source, branch: &Branch) -> Result<Option<Oid>, Error> {
        let call = self.repos.remote_call(source, "ls-remote", "ask for a branch").arg("--heads").arg("--");
        let call = call
            .arg(git::address(self.repos.place(&source.remote)))
            .arg(branch.full_ref())
            .timeout(LIST_TIMEOUT);
        let output = reached(git::run(call).await?)?;
        Ok(crate::heads::Heads::parse(&output.stdout).branches.remove(branch.as_str()))
    }
}

/// Why the remote, which is in the state it was in before, did not take the push.
fn refusal(output: Output) -> Error {
    let told = output.told();
    let refused = told.lines().filter_map(|line| line.strip_prefix("!\t")).collect::<Vec<_>>().join("\n");
    if refused.is_empty() {
        return unreached(output.into_error());
    }
    // The remote's own words: the protected branch, the hook's text, the workflow scope, the file that is too large.
    let words = remote_words(&output.said);
    let message = if words.is_empty() { refused } else { format!("{words}\n{refused}") };
    Error::Rejected { message }
}

/// The lines that came from the remote, without the word before each.
fn remote_words(said: &str) -> String {
    let lines = said.lines().filter_map(|line| line.strip_prefix("remote:"));
    lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Sorts a failure to talk to a remote by what can be done about it. git tells them apart by text alone; `LC_ALL=C`
/// keeps it in one language.
pub(crate) fn unreached(error: Error) -> Error {
    let Error::Git { doing, exit_code, message } = error else { return error };
    let said = message.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| said.contains(text));
    if has(AUTH) {
        Error::Auth { doing, message }
    } else if has(NOT_FOUND) {
        Error::NotFound { doing, message }
    } else if has(NETWORK) {
        Error::Network { doing, message }
    } else {
        Error::Git { doing, exit_code, message }
    }
}

/// What git and the forges say when the credential is missing or is not enough.
const AUTH: &[&str] = &[
    "authentication failed",
    "could not read username",
    "could not read password",
    "returned error: 401",
    "returned error: 403",
    "permission to",
    "permission denied",
    "invalid username or",
    "write access to repository not granted",
];
/// What they say when there is no such repository.
const NOT_FOUND: &[&str] = &[
    "returned error: 404",
    "repository not found",
    "' not found",
    "does not appear to be a git repository",
    "does not exist",
    "no such file or directory",
];
/// What they say when the line, or the server, is not well.
const NETWORK: &[&str] = &[
    "could not resolve host",
    "failed to connect",
    "could not connect",
    "couldn't connect",
    "connection",
    "timed out",
    "operation too slow",
    "returned error: 5",
    "returned error: 429",
    "rpc failed",
    "early eof",
    "unexpected disconnect",
    "hung up unexpectedly",
    "unable to access",
    "ssl",
    "tls",
    "gnutls",
    "unable to update url base from redirection",
];
