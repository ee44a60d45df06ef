//! Keeps the pull requests of repositories on this machine, for the local forge, which runs no git and has no disk.

use std::path::Path;

use events::{Branch, Oid, Remote, Tenant};
use repo::{Repos, Source};
use store::Records;
