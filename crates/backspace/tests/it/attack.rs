//! Attacks of our own on what we ship, one file a class. Each has a control that shows that it can succeed.
//!
//! Most are scripts that run twice: in a sandbox, where they must fail, and outside of one, where they must work. So a
//! script with a mistake is not taken for a wall that held. Which backend is attacked says `BACKSPACE_TEST_SANDBOX`.

mod disk;
mod escape;
mod hostile;
mod injection;
mod local;
mod network;
mod options;
mod prepared;
mod proxy;
mod resources;
mod secrets;
mod stage;
mod survival;
mod table;
mod tree;
mod way_out;

use std::future::Future;
use std::pin::Pin;

use stage::{Said, Stage};

/// One thing to try.
pub(crate) struct Attack {
    /// What is tried, for people.
    pub(crate) name: &'static str,
    /// How.
    pub(crate) how: How,
}

/// How an attack is made and how its control.
pub(crate) enum How {
    /// A script; the control is the same one outside.
    Script(&'static str),
    /// A script that would hurt this machine outside of a sandbox; the control is a harmless relative of it.
    Harmful { attack: &'static str, control: &'static str },
    /// Code, which makes its control as well.
    Code(for<'a> fn(&'a Stage) -> Trial<'a>),
}

/// What a piece of code finds out.
pub(crate) type Trial<'a> = Pin<Box<dyn Future<Output = Tried> + 'a>>;

/// The attack's end and its control's.
pub(crate) struct Tried {
    /// Inside, or against the service as it is.
    pub(crate) attack: Said,
    /// Outside, or against somebody who takes no care.
    pub(crate) control: Said,
}

/// A class of attacks.
pub(crate) struct Class {
    /// Its name, for people.
    pub(crate) name: &'static str,
    /// All of it.
    pub(crate) attacks: &'static [Attack],
}

/// All classes, in the order of the table.
pub(crate) const CLASSES: &[&Class] = &[
    &escape::CLASS,
    &secrets::CLASS,
    &network::CLASS,
    &proxy::CLASS,
    &resources::CLASS,
    &survival::CLASS,
    &disk::CLASS,
    &tree::CLASS,
    &way_out::CLASS,
    &hostile::CLASS,
    &local::CLASS,
    &prepared::CLASS,
    &injection::CLASS,
    &options::CLASS,
];

/// What came of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It failed, and its control shows that it could have succeeded.
    Held,
    /// It failed; what could show that it works is not to be had here.
    HeldWithoutControl(String),
    /// It succeeded.
    Breached(String),
    /// This machine has not what it needs.
    NotApplicable(String),
    /// The test itself is wrong: the control failed, or nobody said what happened.
    Unclear(String),
}

impl Verdict {
    fn of(tried: Tried) -> Self {
        match (tried.attack, tried.control) {
            (Said::Breached(what), _) => Self::Breached(what),
            (Said::Unclear(what), _) => Self::Unclear(format!("the attack: {what}")),
            (Said::Absent(why), _) | (_, Said::Absent(why)) => Self::NotApplicable(why),
            (Said::Held(_), Said::Breached(_)) => Self::Held,
            (_, Said::Unshown(why)) => Self::HeldWithoutControl(why),
            (_, Said::Held(why) | Said::Unclear(why)) => Self::Unclear(format!("the control: {why}")),
            (Said::Unshown(why), Said::Breached(_)) => Self::Unclear(format!("the attack: {why}")),
        }
    }
}

impl Attack {
    /// Makes the attack and its control.
    pub(crate) async fn verdict(&self, stage: &Stage) -> Verdict {
        let tried = match self.how {
            How::Script(script) => both(stage, script, script).await,
            How::Harmful { attack, control } => both(stage, attack, control).await,
            How::Code(code) => code(stage).await,
        };
        Verdict::of(tried)
    }
}

async fn both(stage: &Stage, attack: &str, control: &str) -> Tried {
    Tried { attack: stage.inside(attack).await, control: stage.outside(control).await }
}

/// Makes all attacks of a class and fails unless every one was held.
async fn all_held(class: &Class) {
    let Some(stage) = Stage::set().await else { return };
    let mut wrong = Vec::new();
    for attack in class.attacks {
        let verdict = attack.verdict(&stage).await;
        println!("{}: {}: {verdict:?}", class.name, attack.name);
        if matches!(verdict, Verdict::Breached(_) | Verdict::Unclear(_)) {
            wrong.push(format!("{}: {verdict:?}", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
