//! What can go wrong between us and GitHub, and what becomes of it.

use std::time::{Duration, SystemTime};

use events::{Oid, Remote};
use fakes::forge::{Access, ApiVersion, Bend, Fault, Meets, NewRepository, Seed, Visibility};
use forge::github::{Config, Pace};
use forge::{Error, Forge, NewPullRequest};

use super::worlds::{GitHub, MARKER, TOKEN, branch, wanted};

fn fault(meets: Meets, status: u16, message: &str) -> Fault {
    Fault { meets, status, headers: Vec::new(), message: message.to_owned() }
}

/// How often the fake was asked for `call`.
fn count(site: &GitHub, call: &str) -> usize {
    site.fake.exchanges().iter().filter(|exchange| exchange.call == call).count()
}

/// Opens the pull request of the tests and expects there to be exactly one afterwards.
async fn opens_one(site: &GitHub) -> forge::PullRequest {
    let forge = site.forge(Some(TOKEN));
    let opened = forge.open_pull_request(&wanted(&site.remote("o", "n"), "topic")).await.unwrap();
    assert_eq!(site.fake.pull_requests("o/n").await.unwrap().len(), 1);
    opened
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_one() {
    let site = GitHub::start().await;
    site.fake.lose_answers(1);
    let opened = opens_one(&site).await;
    assert_eq!((opened.number, opened.adopted), (1, false), "our own call made it");
    assert_eq!(count(&site, "POST /repos/{owner}/{repo}/pulls"), 1);
}

#[tokio::test]
async fn a_server_error_makes_one_whether_it_was_carried_out_or_not() {
    for (meets, posts) in [(Meets::WrittenAnswers, 1), (Meets::Writes, 1)] {
        let site = GitHub::start().await;
        site.fake.fail_next(1, &fault(meets, 502, "Bad Gateway"));
        assert!(!opens_one(&site).await.adopted);
        assert_eq!(count(&site, "POST /repos/{owner}/{repo}/pulls"), posts, "{meets:?}");
    }
}

#[tokio::test]
async fn a_server_that_stays_broken_is_unavailable() {
    let site = GitHub::start().await;
    let forge = site.forge(Some(TOKEN));
    let remote = site.remote("o", "n");
    site.fake.fail_next(2, &fault(Meets::Calls, 502, "Bad Gateway"));
    assert!(forge.repository(&remote).await.is_ok(), "the third try");
    site.fake.fail_next(3, &fault(Meets::Calls, 503, "No server is currently available"));
    let error = forge.repository(&remote).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { .. }), "{error:?}");
    site.fake.fail_next(9, &fault(Meets::Writes, 502, "Bad Gateway"));
    let error = forge.open_pull_request(&wanted(&remote, "topic")).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_rename_is_followed_and_told() {
    let site = GitHub::start().await;
    let forge = site.forge(Some(TOKEN));
    let (old, new) = (site.remote("o", "n"), site.remote("p", "m"));
    let renamed = Bend::Renamed { owner: "p".to_owned(), name: "m".to_owned() };
    site.fake.bend("o/n", &renamed).unwrap();
    assert_eq!(forge.repository(&old).await.unwrap().remote, new);
    assert!(forge.branch_head(&old, &branch("topic")).await.unwrap().is_some());
    // Also a caller that still has the old name makes one, although the list by head knows no `o:topic`.
    let first = forge.open_pull_request(&wanted(&old, "topic")).await.unwrap();
    let again = forge.open_pull_request(&wanted(&old, "topic")).await.unwrap();
    assert!(first.url.ends_with("/p/m/pull/1") && again.adopted, "{}", first.url);
    assert_eq!(forge.pull_request(&old, 1).await.unwrap(), forge.pull_request(&new, 1).await.unwrap());
}

#[tokio::test]
async fn a_redirect_never_carries_the_token_to_another_host() {
    let (site, other) = (GitHub::start().await, GitHub::start().await);
    for location in [format!("{}/repos/o/n", other.fake.api_url()), "https://evil.example/".to_owned()] {
        let headers = vec![("location", location)];
        site.fake.fail_next(1, &Fault { headers, ..fault(Meets::Calls, 301, "Moved Permanently") });
        let error = site.forge(Some(TOKEN)).repository(&site.remote("o", "n")).await.unwrap_err();
        assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    }
    assert!(other.fake.exchanges().is_empty());
    // Nor is anything asked of a host that the token is not for.
    let error = site.forge(Some(TOKEN)).repository(&other.remote("o", "n")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    let credential = site.forge(Some(TOKEN)).credential(&other.remote("o", "n")).await;
    assert!(credential.is_err());
    assert!(other.fake.exchanges().is_empty());
}

#[tokio::test]
async fn an_archived_repository_is_read_only() {
    let site = GitHub::start().await;
    let forge = site.forge(Some(TOKEN));
    let remote = site.remote("o", "n");
    site.fake.bend("o/n", &Bend::Archived).unwrap();
    assert!(forge.repository(&remote).await.unwrap().read_only);
    let error = forge.open_pull_request(&wanted(&remote, "topic")).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { message, .. } if message.contains("archived")), "{error:?}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    let site = GitHub::start().await;
    let remote = site.remote("o", "n");
    for (access, can_push) in [(Access::Read, false), (Access::Contents, true)] {
        site.allow("ghp_less_0123456789", access, None);
        let forge = site.forge(Some("ghp_less_0123456789"));
        assert_eq!(forge.repository(&remote).await.unwrap().can_push, can_push);
        let error = forge.open_pull_request(&wanted(&remote, "topic")).await.unwrap_err();
        let named = |message: &str| message.contains("pull_requests=write");
        assert!(matches!(&error, Error::Denied { message, .. } if named(message)), "{error:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_told_apart_from_none() {
    let site = GitHub::start().await;
    let remote = site.remote("o", "n");
    let wrong = site.forge(Some("ghp_wrong_0123456789")).repository(&remote).await.unwrap_err();
    assert!(
        matches!(&wrong, Error::Denied { message, .. } if message.contains("mistyped, revoked or expired")),
        "{wrong:?}"
    );
    let none = site.forge(None).repository(&remote).await.unwrap_err();
    assert!(matches!(&none, Error::NotFound(what) if what.contains("GITHUB_TOKEN is not set")), "{none:?}");
    site.allow("ghp_sso_0123456789", Access::PullRequests, Some("https://github.com/orgs/o/sso?x=1"));
    let sso = site.forge(Some("ghp_sso_0123456789")).repository(&remote).await.unwrap_err();
    assert!(
        matches!(&sso, Error::Denied { message, .. } if message.ends_with("https://github.com/orgs/o/sso?x=1")),
        "{sso:?}"
    );
    let broken = Config::for_api(&site.fake.api_url(), Some("ghp_\n".into())).unwrap();
    let broken = Config { plain_http: forge::github::PlainHttp::Allowed, ..broken };
    assert!(matches!(forge::open(&forge::Config::GitHub(broken)).map(drop), Err(Error::Config(_))));
}

#[tokio::test]
async fn limits_are_waited_for_within_a_bound() {
    let site = GitHub::start().await;
    let secondary = fault(Meets::Calls, 403, "You have exceeded a secondary rate limit. Please wait.");
    let soon = Fault { headers: vec![("retry-after", "0".to_owned())], ..secondary.clone() };
    site.fake.fail_next(2, &soon);
    assert!(!opens_one(&site).await.adopted);
    site.fake.fail_next(1, &Fault { meets: Meets::Writes, ..soon });
    let forge = site.forge(Some(TOKEN));
    let remote = site.remote("o", "n");
    assert!(forge.open_pull_request(&wanted(&remote, "other")).await.is_ok());

    let reset = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 3000;
    let primary = Fault {
        headers: vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())],
        ..fault(Meets::Calls, 403, "API rate limit exceeded for user ID 1.")
    };
    // A bare secondary limit means a minute, which is beyond this forge's patience too.
    for limit in [primary, secondary, fault(Meets::Calls, 429, "Too many requests")] {
        site.fake.fail_next(1, &limit);
        let error = forge.repository(&remote).await.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable { message, .. } if message.starts_with("limited for")),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn writes_are_held_apart() {
    let site = GitHub::start().await;
    let gap = Duration::from_millis(40);
    let config = site.config(Some(TOKEN));
    let pace = Pace { between_writes: gap, after_notice: gap * 2, ..config.pace };
    let forge = forge::open(&forge::Config::GitHub(Config { pace, ..config })).unwrap();
    let remote = site.remote("o", "n");
    let begin = std::time::Instant::now();
    forge.open_pull_request(&wanted(&remote, "topic")).await.unwrap();
    forge.open_pull_request(&wanted(&remote, "other")).await.unwrap();
    // A lower bound: however slow the machine is, it holds.
    assert!(begin.elapsed() >= gap * 2);
}

#[tokio::test]
async fn a_refused_draft_is_opened_ready_and_told() {
    let site = GitHub::start().await;
    site.fake.bend("o/n", &Bend::DraftsRefused).unwrap();
    let new = NewPullRequest { draft: true, ..wanted(&site.remote("o", "n"), "topic") };
    let opened = site.forge(Some(TOKEN)).open_pull_request(&new).await.unwrap();
    assert!(!opened.draft && opened.open);
    assert!(opened.warnings[0].contains("no draft pull requests"), "{:?}", opened.warnings);
}

#[tokio::test]
async fn nothing_to_merge_is_refused() {
    let site = GitHub::start().await;
    let new = NewPullRequest { head: branch("trunk"), ..wanted(&site.remote("o", "n"), "topic") };
    let error = site.forge(Some(TOKEN)).open_pull_request(&new).await.unwrap_err();
    assert!(
        matches!(&error, Error::Refused { message, .. } if message.contains("No commits between trunk and trunk")),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_long_description_is_cut_and_found_again() {
    let site = GitHub::start().await;
    let forge = site.forge(Some(TOKEN));
    let body = format!("```\n{}```\n{MARKER}", "a line of a log\n".repeat(10_000));
    let title = "Fix\nthe sum ".repeat(40);
    let new = NewPullRequest { body, title, ..wanted(&site.remote("o", "n"), "topic") };
    let opened = forge.open_pull_request(&new).await.unwrap();
    assert!(opened.body.contains(MARKER) && opened.body.chars().count() <= 60_000);
    assert!(opened.title.chars().count() <= 256 && !opened.title.contains('\n'));
    assert_eq!(opened.warnings.len(), 1, "{:?}", opened.warnings);
    assert!(forge.open_pull_request(&new).await.unwrap().adopted);
}

#[tokio::test]
async fn the_next_version_of_the_api_is_read_too() {
    let site = GitHub::start().await;
    site.fake.answer_as(ApiVersion::V2026);
    let opened = opens_one(&site).await;
    let forge = site.forge(Some(TOKEN));
    assert_eq!(forge.pull_request(&site.remote("o", "n"), opened.number).await.unwrap(), opened);
    for exchange in site.fake.exchanges() {
        assert_eq!(exchange.headers["accept"], "application/vnd.github+json");
        assert_eq!(exchange.headers["x-github-api-version"], "2022-11-28");
        assert!(exchange.headers["user-agent"].starts_with("backspace/"));
    }
}

#[tokio::test]
async fn an_empty_repository_has_a_default_branch_and_no_head() {
    let site = GitHub::start().await;
    let new = NewRepository {
        owner: "o".to_owned(),
        name: "empty".to_owned(),
        visibility: Visibility::Public,
        default_branch: None,
    };
    site.fake.create_repository(&new, &Seed::Empty).await.unwrap();
    let forge = site.forge(Some(TOKEN));
    let remote = site.remote("o", "empty");
    let repository = forge.repository(&remote).await.unwrap();
    assert_eq!(repository.default_branch, branch("main"));
    assert_eq!(forge.branch_head(&remote, &repository.default_branch).await.unwrap(), None::<Oid>);
}

#[tokio::test]
async fn the_token_stands_in_no_text() {
    let site = GitHub::start().await;
    let remote = site.remote("o", "n");
    let config = site.config(Some(TOKEN));
    let forge = site.forge(Some(TOKEN));
    let mut texts = vec![format!("{config:?}"), format!("{:?}", forge::Config::GitHub(config.clone()))];
    for status in [400, 401, 403, 404, 409, 410, 422, 429, 500] {
        // A proxy in between may well show what it was sent.
        site.fake.fail_next(3, &fault(Meets::Calls, status, &format!("Authorization: Bearer {TOKEN}")));
        texts.extend(failures(&*forge, &remote).await);
        while site.fake.exchanges().last().is_some_and(|exchange| exchange.call.is_empty()) {
            // Takes up what is left of the faults.
            drop(forge.repository(&remote).await);
        }
    }
    let gone = site.config(Some(TOKEN));
    drop(site);
    let gone = forge::open(&forge::Config::GitHub(gone)).unwrap();
    texts.extend(failures(&*gone, &remote).await);
    assert!(texts.len() > 15, "{texts:#?}");
    for text in texts {
        assert!(!text.contains("0123456789abcdef"), "{text}");
    }
}

/// Every error of a call, in both its texts.
async fn failures(forge: &dyn Forge, remote: &Remote) -> Vec<String> {
    let error = forge.repository(remote).await.map(drop);
    error.err().map(|error| [format!("{error}"), format!("{error:?}")].to_vec()).unwrap_or_default()
}
