//! What a mirror packs can be worked on elsewhere, where a folder stands for the remote.

use std::collections::BTreeSet;
use std::fs;

use events::{ChangedKind, Content, Hosted, Oid, Redactor, Remote, Tenant};
use repo::{Error, Expect, History, Packed, Repos, Source};
use tempfile::TempDir;

use crate::world::{Session, Work, World, git, main_branch};

const BYTES_MAX: usize = 8 << 20;

/// A remote that no test can reach.
fn elsewhere() -> Remote {
    Remote::Hosted(Hosted {
        scheme: "https".into(),
        host: "forge.example.org".into(),
        owner: "o".into(),
        name: "n".into(),
    })
}

/// A repository of `commits` commits, and a session with one saved step.
async fn world(commits: usize) -> (World, Session, Oid) {
    let world = World::new(|dir| fs::write(dir.join("a"), "a\n").unwrap()).await;
    for n in 1..commits {
        fs::write(world.origin().join("a"), format!("{n}\n")).unwrap();
        world.commit_all(&format!("number {n}"));
    }
    let mut session = world.session().await;
    change(&session.work);
    let step = session.save().await.commit.unwrap();
    (world, session, step)
}

fn change(work: &Work) {
    work.write("a", b"changed\n");
    work.write("new/file", b"new\n");
    std::os::unix::fs::symlink("a", work.path("link")).unwrap();
}

async fn packed(session: &Session, step: &Oid, history: History) -> Packed {
    let steps = BTreeSet::from([step.clone()]);
    session.mirror.pack(&session.base.commit, &steps, history, BYTES_MAX).await.unwrap().unwrap()
}

/// A home of its own, and a repository in it that stands for [`elsewhere`].
async fn planted(packed: Option<&Packed>) -> Result<(TempDir, Repos, repo::Planted), Error> {
    let home = tempfile::tempdir().unwrap();
    let repos = Repos::open(home.path().join("repos")).await.unwrap();
    let planted = repos.plant(home.path().join("remote.git"), &main_branch(), packed).await?;
    let repos = repos.placing(elsewhere(), &planted);
    Ok((home, repos, planted))
}

#[tokio::test]
async fn a_packed_base_is_worked_on_as_if_its_remote_were_there() {
    let (_world, session, step) = world(60).await;
    let packed = packed(&session, &step, History::AsInside).await;
    let (_home, repos, planted) = planted(Some(&packed)).await.unwrap();
    let source = Source { remote: elsewhere(), tenant: Tenant::default(), credential: None };

    let (mirror, ran) = repos.mirror(&source).await.unwrap();
    assert_eq!(ran[0].command, "git ls-remote --heads https://forge.example.org/o/n");
    assert_eq!(ran[0].output, "1 branch");
    let base = mirror.branch(&main_branch()).await.unwrap().unwrap();
    assert_eq!(base, session.base.commit);
    let tree = mirror.base_tree(&base, &main_branch()).await.unwrap();
    // Inside, the history is as it was: as deep, and no deeper.
    let log =
        |layers: &[std::path::PathBuf]| git(&layers[0], &["-c", "safe.directory=*", "log", "--format=%H %s"]);
    assert_eq!(log(&tree.layers), log(&session.base.layers));
    assert_eq!(log(&tree.layers).lines().count(), 50);

    // The same work gives the same commits, and they go to the folder.
    let mut recorder = mirror.recorder(session.id, &tree, None).await.unwrap();
    let work = Work::of(&tree);
    change(&work);
    assert_eq!(recorder.save(&work.changes(), &work).await.unwrap().commit, Some(step.clone()));
    let branch = "backspace/change".parse().unwrap();
    let pushed = mirror.push(&source, &step, &branch, &Expect::New).await.unwrap();
    let typed = format!("git push https://forge.example.org/o/n {}:refs/heads/{branch}", step.short());
    assert_eq!(pushed.command, typed);
    assert_eq!(planted.head(&branch).await.unwrap(), Some(step));
}

#[tokio::test]
async fn a_step_is_told_as_a_sandbox_would_tell_it() {
    let (_world, session, step) = world(1).await;
    let packed = packed(&session, &step, History::BaseAlone).await;
    let (_home, _repos, planted) = planted(Some(&packed)).await.unwrap();
    let change = planted.change(&session.base.commit, &step).await.unwrap();
    let told: Vec<_> =
        change.iter().map(|(p, c)| (String::from_utf8_lossy(&p.path), p.kind, c.clone())).collect();
    let file = |text: &str| {
        (
            ChangedKind::File { executable: false, bytes: text.len() as u64 },
            Content::File { executable: false, bytes: text.as_bytes().to_vec() },
        )
    };
    let (changed, new) = (file("changed\n"), file("new\n"));
    assert_eq!(
        told,
        [
            ("a".into(), changed.0, changed.1),
            ("link".into(), ChangedKind::Symlink, Content::Symlink(b"a".to_vec())),
            ("new/file".into(), new.0, new.1),
        ]
    );
    let back = planted.change(&step, &session.base.commit).await.unwrap();
    assert_eq!(back.iter().filter(|(_, content)| *content == Content::Deleted).count(), 2);
}

#[tokio::test]
async fn the_base_alone_has_no_history_and_the_bound_is_kept() {
    let (_world, session, step) = world(5).await;
    let alone = packed(&session, &step, History::BaseAlone).await;
    assert_eq!(alone.ends, std::slice::from_ref(&session.base.commit));
    let (_home, repos, _planted) = planted(Some(&alone)).await.unwrap();
    let source = Source { remote: elsewhere(), tenant: Tenant::default(), credential: None };
    let mirror = repos.mirror(&source).await.unwrap().0;
    let tree = mirror.base_tree(&alone.base, &main_branch()).await.unwrap();
    assert_eq!(git(&tree.layers[0], &["-c", "safe.directory=*", "log", "--format=%s"]), "number 4");

    let steps = BTreeSet::new();
    let pack = async |max| session.mirror.pack(&alone.base, &steps, History::BaseAlone, max).await.unwrap();
    let bytes = pack(BYTES_MAX).await.unwrap().bytes;
    assert_eq!(
        pack(bytes.len()).await.map(|packed| packed.bytes),
        Some(bytes.clone()),
        "the same bytes again"
    );
    assert_eq!(pack(bytes.len() - 1).await, None);
}

#[tokio::test]
async fn a_secret_in_a_file_or_a_message_is_found() {
    let world = World::new(|dir| fs::write(dir.join("a"), "key = ghp_in_a_file_0123\n").unwrap()).await;
    world.commit_all("do not say ghp_in_a_message_45");
    let session = world.session().await;
    let pack = async |history| {
        session
            .mirror
            .pack(&session.base.commit, &BTreeSet::new(), history, BYTES_MAX)
            .await
            .unwrap()
            .unwrap()
    };
    let packed = pack(History::BaseAlone).await;
    for (secret, found) in
        [("ghp_in_a_file_0123", true), ("ghp_in_a_message_45", true), ("ghp_nowhere_0", false)]
    {
        let may_hold = session.mirror.may_hold_secret(&packed, &Redactor::new([secret])).await.unwrap();
        assert_eq!(may_hold, found, "{secret}");
    }
}

#[tokio::test]
async fn a_pack_that_is_not_sound_is_refused() {
    let (_world, session, step) = world(2).await;
    let sound = packed(&session, &step, History::AsInside).await;
    let cut = Packed { bytes: sound.bytes[..sound.bytes.len() / 2].to_vec(), ..sound.clone() };
    let other = Packed { base: "0123456789012345678901234567890123456789".parse().unwrap(), ..sound.clone() };
    let text = Packed { bytes: b"no pack at all".to_vec(), ..sound };
    for odd in [cut, other, text] {
        let refused = planted(Some(&odd)).await.err().unwrap();
        assert!(matches!(refused, Error::Unsound { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_pack_that_unpacks_without_measure_is_refused() {
    let world = World::new(|dir| fs::write(dir.join("zeros"), vec![0; 65 << 20]).unwrap()).await;
    let session = world.session().await;
    let base = &session.base.commit;
    let packed =
        session.mirror.pack(base, &BTreeSet::new(), History::BaseAlone, BYTES_MAX).await.unwrap().unwrap();
    assert!(packed.bytes.len() < 1 << 20, "it is small as it comes");
    let refused = planted(Some(&packed)).await.err().unwrap();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    assert!(
        session.mirror.may_hold_secret(&packed, &Redactor::default()).await.unwrap(),
        "not looked through"
    );
}

#[tokio::test]
async fn an_empty_repository_can_stand_for_a_remote_too() {
    let (_home, repos, planted) = planted(None).await.unwrap();
    let source = Source { remote: elsewhere(), tenant: Tenant::default(), credential: None };
    let mirror = repos.mirror(&source).await.unwrap().0;
    assert_eq!(mirror.branch(&main_branch()).await.unwrap(), None);
    assert_eq!(planted.head(&main_branch()).await.unwrap(), None);
}
