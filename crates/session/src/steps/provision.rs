//! Opens the sandbox over the base tree.

use std::sync::Arc;

use events::{Event, Failure, SandboxOpened, Step};
use sandbox::egress::Config;
use sandbox::{Policy, Sandbox, Tree};

use super::{Checkout, Ground};
use crate::failure;
use crate::guarded::Guarded;
use crate::run::Story;

pub(crate) async fn provision(
    story: &Story,
    checkout: &Checkout,
    ground: &Ground,
) -> Result<Arc<dyn Sandbox>, Failure> {
    const STEP: Step = Step::Provision;
    story.begin(STEP, "Opening a sandbox").await?;
    let mut policy = policy(story, checkout);
    ground.show_programs(&mut policy.environment);
    let sandbox = open(story, checkout, STEP, &ground.tree(checkout), &policy).await?;
    let terms = sandbox.terms();
    let opened = SandboxOpened {
        backend: terms.backend.to_owned(),
        enforced: terms.enforced.clone(),
        soft: terms.soft.clone(),
        passed_over: terms.passed_over.clone(),
    };
    if let Err(failure) = story.record(STEP, vec![Event::SandboxOpened(opened)]).await {
        super::teardown(story, &*sandbox).await;
        return Err(failure);
    }
    Ok(sandbox)
}

/// What a sandbox of the session may use: as the operator says, with the variables that the repository asks for.
pub(super) fn policy(story: &Story, checkout: &Checkout) -> Policy {
    let mut policy = story.ports.policy.clone();
    let is_operators = |name: &String| story.ports.policy.environment.iter().any(|(other, _)| other == name);
    let asked = checkout.config.env.iter().filter(|(name, _)| !is_operators(name));
    policy.environment.extend(asked.cloned());
    policy
}

/// Opens a sandbox in `step`, with the way out that operator and repository allow.
pub(super) async fn open(
    story: &Story,
    checkout: &Checkout,
    step: Step,
    tree: &Tree,
    policy: &Policy,
) -> Result<Arc<dyn Sandbox>, Failure> {
    let sandbox = open_with_way_out(story, checkout.egress.as_ref(), tree, policy).await;
    let sandbox = sandbox.map_err(|error| failure::of_sandbox(step, &error))?;
    Ok(Arc::new(Guarded::new(sandbox, story.journal.clone())))
}

/// Opens the way out before the sandbox that has it.
async fn open_with_way_out(
    story: &Story,
    egress: Option<&Config>,
    tree: &Tree,
    policy: &Policy,
) -> Result<Arc<dyn Sandbox>, sandbox::Error> {
    let (ports, way_out) = (&story.ports, &story.journal.way_out);
    let Some(egress) = egress else { return sandbox::open(&ports.sandbox, tree, policy).await };
    let policy = way_out.open(egress, policy)?;
    let opened = sandbox::open(&ports.sandbox, tree, &policy).await;
    if opened.is_err() {
        // Nobody was inside who could have asked for anything.
        way_out.close().await;
    }
    opened
}
