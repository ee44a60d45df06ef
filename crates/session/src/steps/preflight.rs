//! Asks the forge whether the session can succeed, before it costs anything.

use std::sync::Arc;

use events::{Failure, FailureCode, Publish, Step};
use forge::{Forge, Repository};

use crate::failure;
use crate::run::Story;

/// Where the pull request will live.
pub(crate) struct Place {
    pub(crate) forge: Arc<dyn Forge>,
    pub(crate) repository: Repository,
}

pub(crate) async fn preflight(story: &Story) -> Result<Place, Failure> {
    const STEP: Step = Step::Preflight;
    let remote = &story.request.remote;
    story.begin(STEP, format!("Asking about {remote}")).await?;
    let Some(forge) = story.ports.forges.of(remote) else {
        let hint = "Set GITHUB_API_URL for a GitHub Enterprise host.".to_owned();
        let refused =
            failure::at(STEP, FailureCode::ForgeRefused, format!("no forge is configured for {remote}"));
        return Err(Failure { hint: Some(hint), ..refused });
    };
    let repository = forge.repository(remote).await.map_err(|error| failure::of_forge(STEP, &error))?;
    if repository.remote != *remote {
        story.warn(STEP, "repository_renamed", format!("{remote} is now {}", repository.remote)).await?;
    }
    if story.request.publish != Publish::Patch {
        can_be_pushed_to(&repository)?;
    }
    Ok(Place { forge, repository })
}

/// Refuses what would only fail after the work is done.
fn can_be_pushed_to(repository: &Repository) -> Result<(), Failure> {
    let refused = |reason: String, hint: &str| Failure {
        hint: Some(hint.to_owned()),
        ..failure::at(Step::Preflight, FailureCode::ForgeRefused, reason)
    };
    let remote = &repository.remote;
    if repository.read_only {
        return Err(refused(format!("{remote} is archived or disabled"), "Nothing can be pushed there."));
    }
    if !repository.can_push {
        let hint = "Set GITHUB_TOKEN to a token with write access to contents and pull requests, or ask for a patch \
                    (--publish patch).";
        return Err(refused(format!("the token may not push to {remote}"), hint));
    }
    Ok(())
}
