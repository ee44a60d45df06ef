//! Folders in each other without end: a moment's work inside, and too much for whoever walks them level by level.

use std::fs;
use std::time::Duration;

use sandbox::{Command, Ended, Error};

use crate::world::{Kind, World, kind};

/// For [`NEST`]: some disks take a millisecond for each folder.
pub(crate) const NEST_MAX: Duration = Duration::from_secs(300);
/// How many folders [`NEST`] makes.
const NESTED: u64 = 20_000;
/// Makes 20,000 folders in each other: chains of a hundred, each moved to the end of the next one.
pub(crate) const NEST: &str = r#"
chain=next$(printf '/d%.0s' {1..99}); mkdir whole
for _ in {1..200}; do mkdir -p $chain; mv whole $chain/d; mv next whole; done; echo nested"#;

#[tokio::test]
async fn what_lies_without_end_goes_with_the_sandbox() {
    let mut world = World::on_disk();
    // Where changes are in memory after all, all of them have to find room.
    world.policy.work_inodes_max = 2 * NESTED;
    let Some(sandbox) = world.open().await else { return };
    let command =
        Command { script: NEST.to_owned(), timeout: NEST_MAX, output_bytes_max: 1 << 16, live: None };
    match sandbox.0.run(&command).await {
        Ok(ran) => assert_eq!((ran.ended, &*ran.output), (Ended::Exited(0), "nested\n")),
        // Nothing may lie so deep that it cannot be looked at.
        Err(Error::Lost { .. }) if kind() == Kind::Container => {}
        Err(error) => panic!("{error}"),
    }
    sandbox.close().await;
    assert_eq!(fs::read_dir(world.place()).into_iter().flatten().count(), 0);
}
