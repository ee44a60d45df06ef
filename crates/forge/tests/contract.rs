//! What every forge promises: GitHub against the strict fake, and the local forge with a shelf in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "contract/github.rs"]
mod github;
#[path = "contract/worlds.rs"]
mod worlds;

use events::Remote;
use forge::{Error, NewPullRequest};
use worlds::{World, branch, wanted};

/// Runs one promise of the contract on every forge.
macro_rules! on_every_forge {
    ($($promise:ident),* $(,)?) => {
        mod on_github {
            $(#[tokio::test] async fn $promise() { super::$promise(super::worlds::github().await).await; })*
        }
        mod on_local {
            $(#[tokio::test] async fn $promise() { super::$promise(super::worlds::local()).await; })*
        }
    };
}

on_every_forge!(
    the_default_branch_is_asked,
    a_missing_repository_is_not_found,
    branch_heads_are_those_of_now,
    a_pull_request_is_opened_and_read_back,
    opening_twice_makes_one,
    opening_at_the_same_time_makes_one,
    opening_again_brings_it_up_to_date,
    two_branches_make_two,
    somebody_elses_is_left_alone,
    one_that_was_closed_is_not_opened_again,
    a_missing_branch_is_refused,
    a_missing_pull_request_is_not_found,
    a_credential_never_shows_in_text,
);

async fn the_default_branch_is_asked(world: World) {
    let repository = world.forge.repository(&world.remote).await.unwrap();
    assert_eq!(repository.default_branch.as_str(), "trunk");
    assert_eq!(repository.remote, world.remote);
    assert!(repository.can_push && !repository.read_only);
}

async fn a_missing_repository_is_not_found(world: World) {
    for error in [
        world.forge.repository(&world.elsewhere).await.map(drop).unwrap_err(),
        world.forge.branch_head(&world.elsewhere, &branch("trunk")).await.map(drop).unwrap_err(),
        world.forge.pull_request(&world.elsewhere, 1).await.map(drop).unwrap_err(),
        world.forge.open_pull_request(&at(&world.elsewhere)).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    }
}

async fn branch_heads_are_those_of_now(world: World) {
    let topic = branch("topic");
    let before = world.forge.branch_head(&world.remote, &topic).await.unwrap();
    let pushed = world.push("topic").await;
    let after = world.forge.branch_head(&world.remote, &topic).await.unwrap();
    assert!(before.is_some() && before != after);
    assert_eq!(after, Some(pushed));
    // A branch of which another one is the beginning.
    assert_eq!(world.forge.branch_head(&world.remote, &branch("top")).await.unwrap(), None);
}

async fn a_pull_request_is_opened_and_read_back(world: World) {
    let new = NewPullRequest { draft: true, ..wanted(&world.remote, "topic") };
    let opened = world.forge.open_pull_request(&new).await.unwrap();
    assert_eq!((opened.number, opened.open, opened.draft, opened.adopted), (1, true, true, false));
    assert!(opened.url.ends_with("/pull/1"), "{}", opened.url);
    let pushed = world.push("topic").await;
    let read = world.forge.pull_request(&world.remote, 1).await.unwrap();
    assert_eq!(read.head_commit, pushed, "the head is where the branch is now");
    assert_eq!((read.title, read.body, read.head, read.base), (new.title, new.body, new.head, new.base));
    assert!(read.open && read.warnings.is_empty());
}

async fn opening_twice_makes_one(world: World) {
    let new = wanted(&world.remote, "topic");
    let first = world.forge.open_pull_request(&new).await.unwrap();
    let second = world.forge.open_pull_request(&new).await.unwrap();
    assert_eq!((first.number, first.adopted), (second.number, false));
    assert!(second.adopted);
    assert_eq!(world.count().await, 1);
}

async fn opening_at_the_same_time_makes_one(world: World) {
    let new = wanted(&world.remote, "topic");
    let open = || world.forge.open_pull_request(&new);
    let (a, b, c) = tokio::join!(open(), open(), open());
    let numbers = [a, b, c].map(|opened| opened.unwrap().number);
    assert_eq!(numbers, [1, 1, 1]);
    assert_eq!(world.count().await, 1);
}

async fn opening_again_brings_it_up_to_date(world: World) {
    let new = wanted(&world.remote, "topic");
    world.forge.open_pull_request(&new).await.unwrap();
    let better = NewPullRequest {
        title: "Better".to_owned(),
        body: format!("More reasons\n\n{}", new.marker),
        ..new.clone()
    };
    let second = world.forge.open_pull_request(&better).await.unwrap();
    assert_eq!((second.title.as_str(), second.adopted), ("Better", true));
    let read = world.forge.pull_request(&world.remote, second.number).await.unwrap();
    assert_eq!((read.title, read.body), (better.title, better.body));
}

async fn two_branches_make_two(world: World) {
    let one = world.forge.open_pull_request(&wanted(&world.remote, "topic")).await.unwrap();
    let two = world.forge.open_pull_request(&wanted(&world.remote, "other")).await.unwrap();
    assert_eq!((one.number, two.number), (1, 2));
}

async fn somebody_elses_is_left_alone(world: World) {
    let theirs = NewPullRequest { body: "By hand".to_owned(), ..wanted(&world.remote, "topic") };
    let theirs = NewPullRequest { marker: "By hand".to_owned(), ..theirs };
    world.forge.open_pull_request(&theirs).await.unwrap();
    let error = world.forge.open_pull_request(&wanted(&world.remote, "topic")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { message, .. } if message.contains("is not ours")), "{error}");
    assert_eq!(world.forge.pull_request(&world.remote, 1).await.unwrap().body, "By hand");
}

async fn one_that_was_closed_is_not_opened_again(world: World) {
    let new = wanted(&world.remote, "topic");
    world.forge.open_pull_request(&new).await.unwrap();
    world.close(1).await;
    let again = world.forge.open_pull_request(&new).await.unwrap();
    assert_eq!((again.number, again.open, again.adopted), (1, false, true));
    assert_eq!(world.count().await, 1);
}

async fn a_missing_branch_is_refused(world: World) {
    let new = wanted(&world.remote, "nowhere");
    let error = world.forge.open_pull_request(&new).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    let new = NewPullRequest { base: branch("nowhere"), ..wanted(&world.remote, "topic") };
    let error = world.forge.open_pull_request(&new).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    assert_eq!(world.count().await, 0);
}

async fn a_missing_pull_request_is_not_found(world: World) {
    let error = world.forge.pull_request(&world.remote, 7).await.unwrap_err();
    assert!(matches!(&error, Error::NotFound(what) if what.contains('7')), "{error:?}");
}

async fn a_credential_never_shows_in_text(world: World) {
    let credential = world.forge.credential(&world.remote).await.unwrap();
    assert_eq!(credential.is_some(), world.token.is_some());
    let Some(token) = world.token else { return };
    let credential = credential.unwrap();
    assert_eq!(credential.user, "x-access-token");
    assert!(!format!("{:?}", credential.password).contains(token));
    let link = world.forge.compare_url(&world.remote, &branch("trunk"), &branch("topic"));
    assert!(link.unwrap().ends_with("/o/n/compare/trunk...topic"));
}

fn at(remote: &Remote) -> NewPullRequest {
    wanted(remote, "topic")
}
