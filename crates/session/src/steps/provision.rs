//! Opens the sandbox over the base tree.

use std::sync::Arc;

use events::{Event, Failure, SandboxOpened, Step};
use sandbox::{Sandbox, Tree};

use super::Checkout;
use crate::failure;
use crate::guarded::Guarded;
use crate::run::Story;

pub(crate) async fn provision(story: &Story, checkout: &Checkout) -> Result<Arc<dyn Sandbox>, Failure> {
    const STEP: Step = Step::Provision;
    story.begin(STEP, "Opening a sandbox").await?;
    let tree = Tree::of(checkout.tree.layers.clone());
    let sandbox = open(story, &tree).await.map_err(|error| failure::of_sandbox(STEP, &error))?;
    let sandbox: Arc<dyn Sandbox> = Arc::new(Guarded::new(sandbox, story.journal.clone()));
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

/// Opens the way out that the policy names before the sandbox that has it.
async fn open(story: &Story, tree: &Tree) -> Result<Arc<dyn Sandbox>, sandbox::Error> {
    let (ports, way_out) = (&story.ports, &story.journal.way_out);
    let Some(egress) = &ports.egress else {
        return sandbox::open(&ports.sandbox, tree, &ports.policy).await;
    };
    let policy = way_out.open(egress, &ports.policy)?;
    let opened = sandbox::open(&ports.sandbox, tree, &policy).await;
    if opened.is_err() {
        // Nobody was inside who could have asked for anything.
        way_out.close().await;
    }
    opened
}
