//! What the trusted side asks of the program inside, and what it answers.
//!
//! A frame is a 32-bit little-endian length and a postcard message of that many bytes. Requests carry an id that the
//! answer repeats; answers may overtake each other. The trusted side bounds every frame and believes none of it.

mod ids;
pub mod laid;

use serde::{Deserialize, Serialize};

pub use ids::Ids;

/// The argument by which the program is told that requests come by standard input and answers go to standard output,
/// instead of both by a socket at standard input. Container engines pass pipes. [`Ids`] follow, and the program is root.
pub const BY_PIPES: &str = "pipes";
/// Where the work tree stands inside a sandbox.
pub const WORK: &str = "/work";
/// Where the home folder stands inside.
pub const HOME: &str = "/home/agent";
/// Where the host's sockets stand inside, each by the number of its port.
pub const RELAYS: &str = "/run/relays";

/// Where commands look for programs, unless they are given another path.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Longer frames are refused by both sides: room for the largest file that a tool writes, and for its old content.
pub const FRAME_BYTES_MAX: usize = 32 << 20;

/// Something asked of the program inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Repeated by the answer.
    pub id: u64,
    /// What is asked.
    pub ask: Ask,
}

/// What can be asked. [`Ask::Begin`] comes first, and once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// Take this and say [`Said::Ready`].
    Begin(Begin),
    /// Run a script.
    Run(Script),
    /// Work on files.
    File(FileTool),
    /// Lay these pieces. Only before [`Ask::Seal`], and one request at a time.
    Lay(laid::Place, Vec<laid::Piece>),
    /// All is laid; what comes now is a change.
    Seal,
    /// List what differs from what was laid of the work tree.
    Changes,
    /// Read what stands at a changed path.
    Content(laid::Wanted),
    /// End every process inside but this program, which starts none any more.
    Still,
    /// List what stands where nothing was laid.
    Added(laid::Place),
    /// Read the next pieces of what the last [`Ask::Added`] listed; none when all have been read.
    Load,
}

/// What holds in a sandbox from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begin {
    /// What every process inside is held to.
    pub limits: Limits,
    /// Variables of every command's environment. One of a name that every sandbox has takes its place.
    pub environment: Vec<(String, String)>,
    /// Path below [`HOME`] and content of files that stand there.
    pub home: Vec<(String, Vec<u8>)>,
    /// Loopback ports that are piped to the sockets of the same number in [`RELAYS`].
    pub relays: Vec<u16>,
    /// System call filters to load, as the kernel reads them, where no launcher did.
    pub filters: Vec<Vec<u8>>,
    /// After this long the program ends itself: a service that was cut off from a container cannot end it.
    pub lifetime_ms: u64,
}

/// What every process inside is held to, by the kernel's resource limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads of all commands together.
    pub processes_max: u64,
    /// Private memory of one process.
    pub memory_bytes_max: u64,
    /// Size of one file.
    pub file_bytes_max: u64,
    /// Memory of all commands together, to be looked after where no control group bounds it.
    pub watched_bytes_max: Option<u64>,
}

/// A shell script to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Its text.
    pub text: String,
    /// After this long its whole process tree is ended.
    pub timeout_ms: u64,
    /// Output beyond this many bytes keeps its head and its tail.
    pub output_bytes_max: u64,
    /// Whether its output is told while it comes as well, by [`Said::Printed`].
    pub live: bool,
}

/// An answer of the program inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Of the request.
    pub id: u64,
    /// What is answered.
    pub said: Said,
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// To [`Ask::Begin`].
    Ready(Fence),
    /// To [`Ask::Run`] of a live script, any number of times before [`Said::Ran`]: what was just printed.
    Printed(Vec<u8>),
    /// To [`Ask::Run`].
    Ran(Ran),
    /// To [`Ask::File`].
    File(FileAnswer),
    /// To [`Ask::Lay`], [`Ask::Seal`] and [`Ask::Still`].
    Done,
    /// To [`Ask::Changes`].
    Changes(laid::Changes),
    /// To [`Ask::Content`].
    Content(laid::Found),
    /// To [`Ask::Added`].
    Added(laid::Added),
    /// To [`Ask::Load`].
    Load(Vec<laid::Piece>),
    /// To what is asked of what was laid, and to [`Ask::Begin`] when the program could not take the users that it was given
    /// (it ends then): the system's error number.
    Failed(i32),
}

/// What keeps everything inside off from what is not its own, besides the mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fence {
    /// This kernel has no Landlock.
    None,
    /// Landlock, as far as this kernel has it.
    Landlock,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// Standard output and standard error in the order they came, bounded by head and tail, invalid UTF-8 replaced.
    pub output: String,
    /// How many bytes it printed in all.
    pub output_bytes: u64,
    /// How it ended.
    pub ended: Ended,
    /// How long it took.
    pub duration_ms: u64,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// By us, at its deadline.
    TimedOut,
    /// It could not be started, for instance at the process limit.
    NotStarted(i32),
}

/// Work on files of the work tree. Paths are relative to it or begin with `/work/`; none may leave it, by `..` or
/// by a symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileTool {
    /// Read lines of a text file of the work tree, or of an output that was kept.
    Read {
        /// The file.
        path: String,
        /// The first line wanted, from 1.
        first_line: u64,
        /// At most so many lines.
        lines_max: u64,
        /// At most so many bytes.
        bytes_max: u64,
    },
    /// Search the contents of files, `.gitignore` honoured.
    SearchText {
        /// A regular expression (the `regex` crate's syntax).
        pattern: String,
        /// The folder or file to search; empty for all.
        path: String,
        /// Only files whose path matches this glob; empty for all.
        glob: String,
        /// At most so many matching lines.
        matches_max: u64,
    },
    /// Search the names of files, `.gitignore` honoured.
    SearchNames {
        /// A glob such as `**/*.rs` or `*test*`.
        glob: String,
        /// The folder to search; empty for all.
        path: String,
        /// At most so many names.
        matches_max: u64,
    },
    /// Replace passages of a file, all of them or none.
    Edit {
        /// The file.
        path: String,
        /// The passages.
        passages: Vec<Passage>,
    },
    /// Write a whole file, over what is there; missing folders are made.
    Write {
        /// The file.
        path: String,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Keep an output that is too long to be told in a file outside of the work tree, where [`FileTool::Read`] finds it.
    Keep {
        /// The output.
        bytes: Vec<u8>,
    },
}

/// A passage to replace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// What stands there; empty to create a file that does not exist.
    pub old: String,
    /// What shall stand there.
    pub new: String,
    /// Replace every occurrence instead of refusing when there are several.
    pub every: bool,
    /// The line near which it stands, to choose among several.
    pub near_line: Option<u64>,
}

/// What came of a [`FileTool`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileAnswer {
    /// Lines of a file.
    Read {
        /// The text of the lines, without numbers; line endings as in the file, invalid UTF-8 replaced.
        text: String,
        /// The first line given, from 1.
        first_line: u64,
        /// How many lines are given.
        lines: u64,
        /// How many lines the file has.
        lines_total: u64,
        /// The size of the file.
        bytes_total: u64,
    },
    /// Entries of a folder, when a folder was to be read: names, folders with a trailing `/`.
    Folder {
        /// The names, sorted.
        names: Vec<String>,
        /// How many there are in all.
        total: u64,
    },
    /// What was found.
    Found {
        /// `path:line:text`, or paths.
        matches: Vec<String>,
        /// Whether there are more than the bound.
        more: bool,
    },
    /// The passages were replaced.
    Edited {
        /// What was applied, in the order of the passages (several for `every`).
        applied: Vec<Applied>,
    },
    /// The file was written.
    Written {
        /// Whether it did not exist before.
        created: bool,
        /// The content before, when it was text of at most 64 KiB.
        before: Option<String>,
    },
    /// The output was kept.
    Kept {
        /// The file that holds it.
        path: String,
        /// How much of it the file holds, from the beginning.
        bytes: u64,
    },
    /// Nothing was done; the text tells the model why and what to do instead.
    Refused(String),
}

/// A passage that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// What stood there, exactly.
    pub old: String,
    /// What stands there now, exactly.
    pub new: String,
    /// The first line of it, from 1.
    pub line: u64,
    /// How it was found.
    pub tier: Tier,
}

/// How a passage was found: the strictest rule by which it is unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tier {
    /// Byte for byte.
    Exact,
    /// But for line endings.
    LineEndings,
    /// But for white space at line ends.
    TrailingSpace,
    /// But for one shift of the indentation, applied to the new text as well.
    Indent,
    /// But for typographic punctuation and spaces.
    Punctuation,
    /// The file did not exist.
    Created,
}

impl Tier {
    /// The name in the events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::LineEndings => "line_endings",
            Self::TrailingSpace => "trailing_space",
            Self::Indent => "indent",
            Self::Punctuation => "punctuation",
            Self::Created => "created",
        }
    }

    /// The rule whose name in the events this is.
    pub fn parse(name: &str) -> Option<Self> {
        let all = [
            Self::Exact,
            Self::LineEndings,
            Self::TrailingSpace,
            Self::Indent,
            Self::Punctuation,
            Self::Created,
        ];
        all.into_iter().find(|tier| tier.as_str() == name)
    }
}
