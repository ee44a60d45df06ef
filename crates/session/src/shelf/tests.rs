use std::process::Command;

use forge::NewPullRequest;

use super::*;

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
    let done = command.current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn commit(folder: &Path, file: &str) {
    std::fs::write(folder.join(file), format!("{file}\n")).unwrap();
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", file]);
}

#[tokio::test]
async fn the_page_shows_what_the_pull_request_changes_whatever_becomes_of_its_base() {
    let home = tempfile::tempdir().unwrap();
    let origin = home.path().join("origin");
    std::fs::create_dir(&origin).unwrap();
    git(&origin, &["init", "--quiet", "--initial-branch=main"]);
    commit(&origin, "first");
    git(&origin, &["switch", "--quiet", "--create", "ours"]);
    commit(&origin, "our-work");
    git(&origin, &["switch", "--quiet", "main"]);
    commit(&origin, "before-it-was-opened");
    let repos = Repos::open(home.path().join("repos")).await.unwrap();
    let records = store::open(&store::Config::Memory).await.unwrap().records;
    let shelf = LocalShelf::new(repos, records, home.path().join("pages"));
    let local = forge::open(&forge::Config::Local(shelf.forge_config(None))).unwrap();
    let new = NewPullRequest {
        remote: Remote::Local(origin.clone()),
        head: "ours".parse().unwrap(),
        base: "main".parse().unwrap(),
        title: "Ours".to_owned(),
        body: "marker".to_owned(),
        draft: false,
        marker: "marker".to_owned(),
    };
    let number = local.open_pull_request(&new).await.unwrap().number;
    commit(&origin, "after-it-was-opened");
    let as_opened = shelf.page(&key(&origin), number).await.unwrap().unwrap();
    git(&origin, &["merge", "--quiet", "--no-edit", "ours"]);
    let merged = shelf.page(&key(&origin), number).await.unwrap().unwrap();
    for page in [as_opened, merged] {
        assert!(page.contains("+our-work") && !page.contains("it-was-opened"), "{page}");
    }
}
