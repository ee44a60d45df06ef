//! A forge that answers from a recording. What was pushed it reads from the folder that stands for the remote.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use events::{Branch, Entry, Event, Oid, Outcome, Remote, Saved, Target};
use forge::{Credential, Error, Forge, NewPullRequest, PullRequest, Repository};
use repo::Planted;

/// A forge that answers from a recording.
pub(super) struct PlayedForge {
    planted: Planted,
    repository: Repository,
    opened: Option<Opened>,
    /// What the replay has opened.
    there: Mutex<Option<PullRequest>>,
    compare_url: Option<String>,
    /// What was otherwise than was asked for.
    warnings: Vec<String>,
}

/// The pull request of the recording.
struct Opened {
    url: String,
    number: u64,
    draft: bool,
    title: String,
    adopted: bool,
}

impl PlayedForge {
    /// A forge that answers as the one did that `entries` tell of.
    pub(super) fn new(planted: Planted, remote: Remote, base: Branch, entries: &[Entry]) -> Self {
        let repository = Repository { remote, default_branch: base, can_push: true, read_only: false };
        let (there, warnings) = (Mutex::default(), Vec::new());
        let mut forge = Self { planted, repository, opened: None, there, compare_url: None, warnings };
        for entry in entries {
            if let Event::PullRequestOpened(pull) = &entry.event {
                if let Target::PullRequest { url, number, draft, .. } = &pull.target {
                    forge.opened = Some(Opened {
                        url: url.clone(),
                        number: *number,
                        draft: *draft,
                        title: pull.title.clone(),
                        adopted: pull.adopted,
                    });
                }
            } else if let Event::Warned(warned) = &entry.event {
                // By this code the story passes on what the forge says when a pull request is opened.
                forge.warnings.extend((warned.code == "pull_request").then(|| warned.message.clone()));
            } else if let Event::SessionEnded(ended) = &entry.event {
                forge.compare_url = compare_url(&ended.outcome);
            }
        }
        forge
    }

    async fn head(&self, branch: &Branch) -> Result<Option<Oid>, Error> {
        let doing = "reading a branch of the recording's repository";
        let head = self.planted.head(branch).await;
        head.map_err(|error| Error::Refused { doing, message: events::error_chain(&error) })
    }

    fn opened(&self) -> Result<&Opened, Error> {
        let none = || Error::NotFound("the recording has no pull request".to_owned());
        self.opened.as_ref().ok_or_else(none)
    }
}

fn compare_url(outcome: &Outcome) -> Option<String> {
    let of_target = |target: &Target| match target {
        Target::PullRequest { compare_url, .. } | Target::Branch { compare_url, .. } => compare_url.clone(),
        Target::Patch { .. } => None,
    };
    let saved = match outcome {
        Outcome::Delivered(delivery) => return of_target(&delivery.target),
        Outcome::Budget { delivery, .. } => return of_target(&delivery.as_ref()?.target),
        Outcome::Unchanged { .. } => None,
        Outcome::Cancelled { saved } => saved.as_ref(),
        Outcome::Failed(failure) => failure.saved.as_ref(),
    };
    match saved? {
        Saved::Branch { compare_url, .. } => compare_url.clone(),
        Saved::Patch { .. } => None,
    }
}

#[async_trait]
impl Forge for PlayedForge {
    async fn repository(&self, _: &Remote) -> Result<Repository, Error> {
        Ok(self.repository.clone())
    }

    async fn credential(&self, _: &Remote) -> Result<Option<Credential>, Error> {
        Ok(None)
    }

    async fn branch_head(&self, _: &Remote, branch: &Branch) -> Result<Option<Oid>, Error> {
        self.head(branch).await
    }

    async fn open_pull_request(&self, new: &NewPullRequest) -> Result<PullRequest, Error> {
        let opened = self.opened()?;
        let head_commit = self.head(&new.head).await?;
        let head_commit = head_commit.ok_or_else(|| Error::NotFound(format!("branch {}", new.head)))?;
        let there = PullRequest {
            number: opened.number,
            url: opened.url.clone(),
            open: true,
            draft: opened.draft,
            title: opened.title.clone(),
            body: new.body.clone(),
            head: new.head.clone(),
            head_commit,
            base: new.base.clone(),
            adopted: opened.adopted,
            warnings: self.warnings.clone(),
        };
        *self.there.lock().unwrap_or_else(PoisonError::into_inner) = Some(there.clone());
        Ok(there)
    }

    async fn pull_request(&self, _: &Remote, number: u64) -> Result<PullRequest, Error> {
        let there = self.there.lock().unwrap_or_else(PoisonError::into_inner).clone();
        there
            .filter(|there| there.number == number)
            .ok_or_else(|| Error::NotFound(format!("pull request {number}")))
    }

    fn compare_url(&self, _: &Remote, _: &Branch, _: &Branch) -> Option<String> {
        self.compare_url.clone()
    }
}
