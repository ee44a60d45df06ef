//! How far a recording can be played: what the world outside decided there is not decided again.

use events::{Entry, Event, FailureCode, Limit, Outcome, Shown};

use super::tape;

/// What stands in a log for a secret begins so.
const MASK: &str = "[redacted";

/// How far a replay is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// To the end of the session.
    End,
    /// To where something outside decided how it went on: a crash, a forge that refused, a time that was up, a secret that no
    /// log holds. Which.
    Outside(String),
}

/// The entries of `all` that a replay must have, too, and how far that is.
pub(super) fn reach(all: &[Entry]) -> (&[Entry], Until) {
    let outside = |why: &str| Until::Outside(why.to_owned());
    let first = all.first().map_or(1, |entry| entry.attempt);
    let attempt = &all[..all.iter().take_while(|entry| entry.attempt == first).count()];
    let ends = |at, why| Some((at, outside(why)));
    let end = attempt.iter().enumerate().find_map(|(n, entry)| match &entry.event {
        event if time_was_up(event) => ends(n, "there its time was up, and a replay takes no time"),
        // The reply itself is the same; what its calls do is not.
        event if calls_with_a_mask(event) => ends(
            n + 1,
            "there the model wrote a secret, or what has the form of one, into a call, and no recording holds that",
        ),
        _ => None,
    });
    if let Some((end, why)) = end {
        return (&attempt[..end], why);
    }
    let Some((Entry { event: Event::SessionEnded(ended), .. }, before)) = attempt.split_last() else {
        return if attempt.len() < all.len() {
            (attempt, outside("there the process that ran it died"))
        } else {
            (attempt, outside("it was recorded while it went on"))
        };
    };
    match &ended.outcome {
        Outcome::Failed(failure) if is_outside(failure.code, &failure.reason) => {
            let why = format!("there it failed for a reason outside of it: {}", failure.reason);
            let rescued = before.iter().rev().take_while(|entry| is_rescue(&entry.event)).count();
            (&before[..before.len() - rescued], Until::Outside(why))
        }
        Outcome::Failed(_)
        | Outcome::Delivered(_)
        | Outcome::Unchanged { .. }
        | Outcome::Budget { .. }
        | Outcome::Cancelled { .. } => (attempt, Until::End),
    }
}

/// Whether the clock decided this.
fn time_was_up(event: &Event) -> bool {
    if let Event::LimitReached(reached) = event {
        return reached.limit == Limit::Minutes;
    }
    let Event::ToolFinished(tool) = event else { return false };
    let is_command = matches!(tool.shown, Shown::Bash { .. });
    tool.result.starts_with("Not run: the time is up")
        || is_command && tool.result.ends_with(": the time for the task is up]")
}

/// Whether a model called a tool with something that is masked in the log.
fn calls_with_a_mask(event: &Event) -> bool {
    let Event::ModelReplied(replied) = event else { return false };
    let reply = tape::reply(replied);
    reply.is_ok_and(|reply| reply.calls.iter().any(|call| call.arguments.contains(MASK)))
}

/// Whether a failure came from outside the session: a forge, a remote, a disk, a sandbox that died.
fn is_outside(code: FailureCode, reason: &str) -> bool {
    match code {
        FailureCode::ChangeRefused => false,
        FailureCode::ModelRefused | FailureCode::ModelUnavailable | FailureCode::ModelProtocol => {
            // What a model answered can be played; that there was none cannot.
            model::Error::recalled(reason).is_none()
        }
        FailureCode::RepositoryUnavailable
        | FailureCode::ForgeRefused
        | FailureCode::ForgeUnavailable
        | FailureCode::SandboxUnavailable
        | FailureCode::SandboxLost
        | FailureCode::PushRejected
        | FailureCode::NotConfirmed
        | FailureCode::Interrupted
        | FailureCode::PriceUnknown
        | FailureCode::Internal => true,
    }
}

/// Whether this is what keeps the work of a session that failed.
fn is_rescue(event: &Event) -> bool {
    matches!(
        event,
        Event::Warned(_)
            | Event::CommitMade(_)
            | Event::GitRan(_)
            | Event::BranchPushed(_)
            | Event::EgressDecided(_)
    )
}
