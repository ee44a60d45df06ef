//! The sample repository and its recorded conversation, from `examples/`, inside the binary.

/// What is asked for.
pub(super) const PROMPT: &str = include_str!("../../../../../examples/simple-api/prompt.txt");
/// The model's replies.
pub(super) const REPLIES: &str = include_str!("../../../../../examples/simple-api/replies.jsonl");
/// The check that is run on the finished work.
pub(super) const CHECK: &str = "python3 -m unittest";

/// One file of the sample.
macro_rules! file {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../../../examples/simple-api/repository/", $path)))
    };
}

/// The sample repository: path and text of every file.
pub(super) const FILES: &[(&str, &str)] = &[
    file!(".gitignore"),
    file!("AGENTS.md"),
    file!("README.md"),
    file!("simple_api/__init__.py"),
    file!("simple_api/__main__.py"),
    file!("simple_api/app.py"),
    file!("simple_api/store.py"),
    file!("tests/__init__.py"),
    file!("tests/client.py"),
    file!("tests/test_api.py"),
];
