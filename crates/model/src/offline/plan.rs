//! How each job is done: which tool is called next, after what came of the calls before.

use serde_json::{Value, json};

use super::task::Job;

/// The exit code of a script that found the job done already.
const THERE: &str = "[exit code 10]";
/// The exit code of a script that found no such file.
const NO_FILE: &str = "[exit code 3]";

/// What came of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Saw<'a> {
    pub(super) failed: bool,
    pub(super) text: &'a str,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    /// Call a tool.
    Call { says: String, tool: &'static str, arguments: Value },
    /// The job is done, in this way.
    Finish { title: String, done: String },
    /// It cannot be done.
    Stop(String),
}

/// The way through a job.
pub(super) struct Plan<'a> {
    pub(super) job: &'a Job,
    /// A model was at work before, and may have done it.
    pub(super) takes_over: bool,
}

impl Plan<'_> {
    /// The next step after those that `saw` tells of.
    pub(super) fn next(&self, saw: &[Saw<'_>]) -> Next {
        match self.job {
            Job::Create { path, text } => self.create((path, text), saw),
            Job::Append { path, text } => {
                let check = format!("{}[ \"$(end)\" = \"$(text; echo x)\" ] && exit 10\n", END_OF_FILE);
                let check = if self.takes_over { check } else { String::new() };
                self.append((path, text), &check, saw, format!("Extend {path}"))
            }
            Job::Section { path, title, text } => {
                let heading = format!("## {title}");
                let check = format!("grep -qxF -e {} -- \"$f\" && exit 10\n", quoted(&heading));
                let text = format!("\n{heading}\n\n{text}");
                self.append((path, &text), &check, saw, format!("Add the section {title} to {path}"))
            }
            Job::Replace { path, old, new } => match saw.first() {
                None => {
                    let arguments =
                        json!({"path": path, "old_str": old, "new_str": new, "replace_all": true});
                    self.first("edit", arguments)
                }
                Some(saw) if saw.failed => Next::Stop(reason(saw)),
                Some(_) => {
                    finish(format!("Replace a text in {path}"), format!("Replaced the given text in {path}."))
                }
            },
            Job::Licence(licence) => self.licence(licence.id(), licence.text(), saw),
        }
    }

    /// Creates the file; when that fails, looks whether it is there with that very text.
    fn create(&self, (path, text): (&str, &str), saw: &[Saw<'_>]) -> Next {
        match saw {
            [] => self.first("edit", json!({"path": path, "old_str": "", "new_str": text})),
            [created] if !created.failed => {
                finish(format!("Add {path}"), format!("Created {path} with the given text."))
            }
            [_] => call(
                format!("{path} could not be created; is it there with this very text?"),
                "bash",
                json!({"command": format!("{}[ \"$(cat -- \"$f\"; echo x)\" = \"$(text; echo x)\" ]\n", head(path, text))}),
            ),
            [_, same, ..] if !same.failed => finish(
                format!("Add {path}"),
                format!("{path} was there already, with exactly the given text."),
            ),
            [created, ..] => Next::Stop(reason(created)),
        }
    }

    /// Adds the text to a file that is there, unless `check` finds it done.
    fn append(&self, (path, text): (&str, &str), check: &str, saw: &[Saw<'_>], title: String) -> Next {
        let Some(saw) = saw.first() else {
            let script = format!(
                "{}[ -f \"$f\" ] && [ ! -L \"$f\" ] || exit 3\n{check}\
                 [ -z \"$(tail -c 1 -- \"$f\")\" ] || echo >> \"$f\"\ntext >> \"$f\"\n",
                head(path, text)
            );
            return self.first("bash", json!({ "command": script }));
        };
        let ended = saw.text.trim_end();
        match saw.failed {
            false => finish(title, format!("Added the given text to {path}.")),
            true if ended.ends_with(THERE) && self.takes_over => {
                finish(title, format!("The given text was in {path} already."))
            }
            true if ended.ends_with(THERE) => Next::Stop(format!("{path} has such a section already")),
            true if ended.ends_with(NO_FILE) => Next::Stop(format!("the repository has no file {path}")),
            true => Next::Stop(reason(saw)),
        }
    }

    /// Adds the licence, unless there is one.
    fn licence(&self, id: &str, text: &str, saw: &[Saw<'_>]) -> Next {
        match saw {
            [] => {
                let same =
                    "[ -f \"$f\" ] && [ \"$(cat -- \"$f\"; echo x)\" = \"$(text; echo x)\" ] && exit 10\n";
                let script = format!(
                    "{}{same}ls -d -- LICENSE* LICENCE* COPYING* license* licence* 2>/dev/null && exit 4\nexit 0\n",
                    head("LICENSE", text)
                );
                self.first("bash", json!({ "command": script }))
            }
            [looked] if looked.text.trim_end().ends_with(THERE) => finish(
                format!("Add the licence {id}"),
                "LICENSE was there already, with exactly this text.".to_owned(),
            ),
            [looked] if looked.failed => {
                let names: Vec<&str> = looked.text.lines().filter(|line| !line.starts_with('[')).collect();
                Next::Stop(format!("the repository has a licence already: {}", names.join(", ")))
            }
            [_] => call(
                "There is no licence yet.".to_owned(),
                "edit",
                json!({"path": "LICENSE", "old_str": "", "new_str": text}),
            ),
            [_, created, ..] if !created.failed => {
                finish(format!("Add the licence {id}"), format!("Added the licence {id} as LICENSE."))
            }
            [_, created, ..] => Next::Stop(reason(created)),
        }
    }

    /// The first call, with which it says what it is and what it has understood.
    fn first(&self, tool: &'static str, arguments: Value) -> Next {
        let goes_on =
            if self.takes_over { " It goes on where the model before it stopped answering." } else { "" };
        let says = format!(
            "No language model is at work here, but an agent with fixed rules. It understood: {}.{goes_on}",
            self.job
        );
        call(says, tool, arguments)
    }
}

fn call(says: String, tool: &'static str, arguments: Value) -> Next {
    Next::Call { says, tool, arguments }
}

fn finish(title: String, done: String) -> Next {
    Next::Finish { title, done }
}

/// What the tool said, in one line.
fn reason(saw: &Saw<'_>) -> String {
    saw.text.lines().find(|line| !line.trim().is_empty()).unwrap_or("the tool failed").to_owned()
}

/// Prints as much of the end of the file as the text is long, and a mark, which keeps the shell from cutting line ends.
const END_OF_FILE: &str = "end() { tail -c \"$(text | wc -c)\" -- \"$f\"; echo x; }\n";

/// Names the file and the text to a script: `$f`, and `text`, which prints it.
fn head(path: &str, text: &str) -> String {
    let mut end = "END".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    let path = quoted(path);
    format!("f={path}\ntext() {{\ncat <<'{end}'\n{text}{end}\n}}\n")
}

/// `text` as one word of a shell script.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
