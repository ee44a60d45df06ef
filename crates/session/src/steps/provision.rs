//! Opens the sandbox over the base tree.

use std::sync::Arc;

use events::{Event, Failure, SandboxOpened, Step};
use sandbox::{Sandbox, Tree};

use super::Checkout;
use crate::failure;
use crate::run::Story;

pub(crate) async fn provision(story: &Story, checkout: &Checkout) -> Result<Arc<dyn Sandbox>, Failure> {
    const STEP: Step = Step::Provision;
    story.begin(STEP, "Opening a sandbox").await?;
    let tree = Tree::of(checkout.tree.layers.clone());
    let sandbox = sandbox::open(&story.ports.sandbox, &tree, &story.ports.policy)
        .await
        .map_err(|error| failure::of_sandbox(STEP, &error))?;
    let terms = sandbox.terms();
    let opened = SandboxOpened {
        backend: terms.backend.to_owned(),
        enforced: terms.enforced.clone(),
        soft: terms.soft.clone(),
    };
    if let Err(failure) = story.record(STEP, vec![Event::SandboxOpened(opened)]).await {
        super::teardown(story, &*sandbox).await;
        return Err(failure);
    }
    Ok(sandbox)
}
