//! Pushes a commit to the session's branch and asks the forge whether it is there.

use std::time::Duration;

use events::{Branch, BranchPushed, Event, Failure, FailureCode, Oid, Step};
use forge::Forge;
use repo::{Expect, Mirror, Source};

use super::checkout::git_ran;
use crate::run::Story;
use crate::{failure, pull_request};

const STEP: Step = Step::Publish;
/// A forge may show some seconds late what it has taken.
const READ_BACK_TRIES: u32 = 5;
/// The pause before the second look; it doubles.
const READ_BACK_PAUSE: Duration = Duration::from_millis(500);

/// The way of a commit: out of a mirror, to a remote, whose forge is asked.
pub(super) struct Way<'a> {
    pub(super) mirror: &'a Mirror,
    pub(super) source: &'a Source,
    pub(super) forge: &'a dyn Forge,
}

/// Gives the branch once the forge shows `commit` at its head.
pub(super) async fn push(story: &Story, way: &Way<'_>, commit: &Oid) -> Result<Branch, Failure> {
    let branch = pull_request::branch(&story.request, story.id, &story.ports.redactor);
    let pushed = way.mirror.push(way.source, commit, &branch, &Expect::New).await;
    let ran = pushed.map_err(|error| failure::of_repo(STEP, &error))?;
    story.record(STEP, vec![git_ran(ran)]).await?;
    let (forge, remote, name) = (way.forge, &way.source.remote, &branch);
    let seen = read_back(|| async move {
        let head = forge.branch_head(remote, name).await?;
        Ok(head.filter(|head| head == commit))
    });
    if seen.await.map_err(|error| failure::of_forge(STEP, &error))?.is_none() {
        let reason =
            format!("{branch} was pushed, but the forge does not show {} at its head", commit.short());
        return Err(failure::at(STEP, FailureCode::NotConfirmed, reason));
    }
    let pushed = BranchPushed { branch: branch.clone(), commit: commit.clone() };
    story.record(STEP, vec![Event::BranchPushed(pushed)]).await?;
    Ok(branch)
}

/// Asks until there is what we look for. A forge that does not answer is asked again, too: what it took stays there.
///
/// # Errors
/// The last answer, when it was one.
pub(super) async fn read_back<T, F>(ask: impl Fn() -> F) -> Result<Option<T>, forge::Error>
where
    F: Future<Output = Result<Option<T>, forge::Error>>,
{
    let mut pause = READ_BACK_PAUSE;
    for _ in 1..READ_BACK_TRIES {
        match ask().await {
            Ok(None) | Err(forge::Error::Unavailable { .. } | forge::Error::NotFound(_)) => {}
            answer => return answer,
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn away() -> forge::Error {
        forge::Error::Unavailable { doing: "asking", message: "502".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_is_away_for_a_moment_is_asked_again() {
        let asked = &AtomicU32::new(0);
        let seen = read_back(|| async move {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Err(away()),
                1 => Ok(None),
                _ => Ok(Some("there")),
            }
        });
        assert_eq!(seen.await.unwrap(), Some("there"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_stays_away_is_asked_so_many_times() {
        let asked = &AtomicU32::new(0);
        let seen: Result<Option<()>, _> = read_back(|| async move {
            asked.fetch_add(1, Ordering::Relaxed);
            Err(away())
        })
        .await;
        assert!(matches!(seen, Err(forge::Error::Unavailable { .. })));
        assert_eq!(asked.load(Ordering::Relaxed), READ_BACK_TRIES);
    }
}
