//! What to do with replies that call no tool, or none that could be run.

use model::{Part, Reply, Stop};

use crate::Finish;

/// So many replies in a row that get no tool to run, and the last one is taken for the end, or for one too many.
const REPLIES_MAX: u32 = 3;

/// How many replies in a row got no tool to run.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    replies: u32,
}

/// What there is to be done after a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Its calls are to be run.
    Calls,
    /// Its calls are not to be run: the reply was cut.
    CutCalls,
    /// It calls nothing, and is to be told this.
    Nothing(String),
    /// It has said its last word, though not by `finish`.
    LastWord(Finish),
    /// Replies like this one come again and again: the work ends. Why, for people.
    Stuck(String),
}

impl Silence {
    /// What to do after `reply`.
    pub(crate) fn after(&mut self, reply: &Reply) -> Heard {
        let cut = reply.stop == Stop::OutputLimit;
        if !reply.calls.is_empty() && !cut {
            self.replies = 0;
            return Heard::Calls;
        }
        self.replies += 1;
        if self.replies < REPLIES_MAX {
            return if reply.calls.is_empty() { Heard::Nothing(told(reply)) } else { Heard::CutCalls };
        }
        let summary = said(reply);
        if reply.calls.is_empty() && reply.stop == Stop::Finished && !summary.is_empty() {
            return Heard::LastWord(Finish { title: String::new(), summary });
        }
        let (replies, stop) = (self.replies, reply.stop.as_str());
        Heard::Stuck(format!("{replies} replies in a row called no tool that could be run ({stop})"))
    }
}

fn told(reply: &Reply) -> String {
    let told = match &reply.stop {
        Stop::OutputLimit => "Your reply was cut off at the output limit. Go on in smaller steps.",
        Stop::Refused => "Your reply was held back by the provider. Go on with the task in another way.",
        Stop::Finished | Stop::Tools | Stop::Other(_) => {
            "Your reply called no tool. Go on with the task; when it is done, call `finish`."
        }
    };
    told.to_owned()
}

/// The reply's text.
fn said(reply: &Reply) -> String {
    let texts = reply.parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Thought(_) => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}
