//! `plan`: the steps that the agent means to take, for people to see.

use events::{PlanStep, Shown};
use serde::Deserialize;

use super::{Done, Tool, Trouble, arguments};

/// Longer plans are no plans.
const STEPS_MAX: usize = 30;

pub(super) const TOOL: Tool = Tool {
    name: "plan",
    description: "Set your plan: all steps, each with whether it is done. Call again as you go on.",
    parameters: r#"{"type":"object","properties":{"steps":{"type":"array","items":{"type":"object","properties":{"text":{"type":"string"},"done":{"type":"boolean"}},"required":["text","done"],"additionalProperties":false}}},"required":["steps"],"additionalProperties":false}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    text: String,
    done: bool,
}

pub(super) fn run(text: &str) -> Result<Done, Trouble> {
    let Arguments { steps } = arguments(&TOOL, text)?;
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return Err(Trouble::Refused(format!("A plan has 1 to {STEPS_MAX} steps.")));
    }
    let steps = steps.into_iter().map(|step| PlanStep { text: step.text, done: step.done }).collect();
    Ok(Done::of("Noted.".to_owned(), Shown::Plan { steps }))
}
