//! What a session has changed, and the page of a local pull request.

use std::path::Path;
use std::process::Command;

use events::{BaseChosen, CommitMade, Event, Oid, Remote, Tenant};
use forge::{KeptPullRequest, Shelf as _};

use crate::world::World;

/// A repository whose branch `fix` is one commit ahead of `main`; the heads of both.
pub(crate) fn repository(path: &Path) -> (Oid, Oid) {
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.org"];
        let output = Command::new("git").arg("-C").arg(path).args(who).args(arguments).output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    std::fs::write(path.join("a.txt"), "before\n").unwrap();
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "First"]);
    let base = git(&["rev-parse", "HEAD"]);
    git(&["checkout", "--quiet", "-b", "fix"]);
    std::fs::write(path.join("a.txt"), "after\n").unwrap();
    git(&["commit", "--quiet", "-am", "Second"]);
    (base.parse().unwrap(), git(&["rev-parse", "HEAD"]).parse().unwrap())
}

#[tokio::test]
async fn the_diff_of_a_session_is_a_patch() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (base, commit) = repository(folder.path());
    let remote = Remote::Local(folder.path().to_owned());
    let source = repo::Source { remote: remote.clone(), tenant: Tenant::default(), credential: None };
    world.repos.mirror(&source).await.unwrap();
    let id = world.begin(1).await;
    let chosen = BaseChosen { remote, base: "main".parse().unwrap(), commit: base.clone() };
    let (title, summary) = ("Second".to_owned(), String::new());
    let made = CommitMade { commit, base, files: Vec::new(), title, summary };
    world.append(id, &[Event::BaseChosen(chosen), Event::CommitMade(made)]).await;

    let response = world.get(&format!("/v1/sessions/{id}/diff")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/x-diff; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let patch = response.text().await.unwrap();
    assert!(patch.starts_with("diff --git a/a.txt b/a.txt\n"), "{patch}");
    assert!(patch.contains("\n-before\n+after\n"), "{patch}");
}

#[tokio::test]
async fn a_local_pull_request_has_a_page() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (_, head_commit) = repository(folder.path());
    let kept = serde_json::json!({
        "repository": folder.path(), "number": 1, "open": true, "draft": false,
        "title": "Say <b>after</b>", "body": "Because.",
        "head": "fix", "head_commit": head_commit, "base": "main",
    });
    let kept: KeptPullRequest = serde_json::from_value(kept).unwrap();
    world.shelf.add(&kept).await.unwrap();
    let url = (world.shelf.forge_config(Some("HERE".into())).page_url)(folder.path(), 1);
    let path = url.strip_prefix("http://HERE").unwrap();

    let response = world.get(path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let page = response.text().await.unwrap();
    // A title is text, wherever the page is read.
    assert!(page.starts_with("# Say <\u{200b}b>after<\u{200b}/b>\n"), "{page}");
    assert!(page.contains("Because.") && page.contains("\n-before\n+after\n"), "{page}");
    let other = world.get(&path.replace("/pull/1", "/pull/2")).send().await.unwrap();
    assert_eq!(other.status(), 404);
}
