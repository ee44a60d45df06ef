//! A reply while it arrives: what is heard of it before it is whole.

use crate::Usage;

/// Hears of a reply while it arrives. Nothing that it is told is durable: the reply itself is what counts.
pub trait Live: Send + Sync {
    /// Takes in one more piece. Called in the middle of reading a reply: cheap, and never blocks.
    fn hear(&self, delta: Delta<'_>);
}

/// A piece of a reply, in the order in which it arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delta<'a> {
    /// More of what the model says.
    Text(&'a str),
    /// More of what it thinks.
    Thought(&'a str),
    /// More of what people are not shown, a call while it is written: so many bytes. None say that the model has begun.
    Unshown(usize),
    /// What the reply has used so far, as far as the provider has counted; takes the place of earlier counts.
    Used(Usage),
    /// What was heard of this reply so far is void: it is asked for again, of the same model or of another one.
    Again,
}

/// Hears nothing: for callers that want whole replies alone.
#[derive(Debug, Clone, Copy)]
pub struct Unheard;

impl Live for Unheard {
    fn hear(&self, _: Delta<'_>) {}
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what it hears, a line for each run of pieces of a kind.
    #[derive(Default)]
    pub(crate) struct Heard(Mutex<Vec<String>>, Mutex<Vec<usize>>);

    impl Heard {
        pub(crate) fn lines(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }

        /// The sizes of what it was not shown.
        pub(crate) fn unshown(&self) -> Vec<usize> {
            self.1.lock().unwrap().clone()
        }
    }

    impl Live for Heard {
        fn hear(&self, delta: Delta<'_>) {
            let (kind, text) = match delta {
                Delta::Text(text) => ("text: ", text),
                Delta::Thought(thought) => ("thought: ", thought),
                Delta::Unshown(bytes) => {
                    self.1.lock().unwrap().push(bytes);
                    return;
                }
                Delta::Used(used) => {
                    self.0.lock().unwrap().push(format!("used: {} in, {} out", used.input, used.output));
                    return;
                }
                Delta::Again => ("again", ""),
            };
            let mut lines = self.0.lock().unwrap();
            match lines.last_mut().filter(|line| !text.is_empty() && line.starts_with(kind)) {
                Some(line) => line.push_str(text),
                None => lines.push(format!("{kind}{text}")),
            }
        }
    }
}
