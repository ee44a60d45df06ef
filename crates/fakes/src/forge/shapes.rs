//! What answers look like: GitHub's own fields, all that its description requires.

use serde_json::{Map, Value, json};

use super::git::Distance;
use super::world::{Access, PullRequest, Repository, Visibility, World};

/// The addresses below a repository's, with GitHub's templates.
const REPOSITORY_URLS: [(&str, &str); 37] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
];

/// The addresses below a user's.
const USER_URLS: [(&str, &str); 9] = [
    ("events_url", "/events{/privacy}"),
    ("followers_url", "/followers"),
    ("following_url", "/following{/other_user}"),
    ("gists_url", "/gists{/gist_id}"),
    ("organizations_url", "/orgs"),
    ("received_events_url", "/received_events"),
    ("repos_url", "/repos"),
    ("starred_url", "/starred{/owner}{/repo}"),
    ("subscriptions_url", "/subscriptions"),
];

/// A repository as part of a pull request.
pub(super) fn repository(world: &World, repository: &Repository) -> Value {
    let full_name = repository.full_name();
    let api = format!("{}/repos/{full_name}", world.api());
    let html = format!("{}/{full_name}", world.base);
    let open = repository.pulls.iter().filter(|pull| pull.open).count();
    let about = json!({
        "id": repository.id,
        "node_id": format!("R_{}", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "owner": user(world, &repository.owner),
        "private": repository.visibility == Visibility::Private,
        "visibility": if repository.visibility == Visibility::Private { "private" } else { "public" },
        "html_url": html,
        "clone_url": format!("{html}.git"),
        "git_url": format!("git:{}.git", html.trim_start_matches("http:")),
        "ssh_url": format!("git@{}:{full_name}.git", world.base.trim_start_matches("http://")),
        "svn_url": html,
        "description": null,
        "homepage": null,
        "language": null,
        "license": null,
        "mirror_url": null,
        "fork": false,
        "archived": repository.archived,
        "disabled": repository.disabled,
        "default_branch": repository.default_branch,
        "created_at": repository.created_at,
        "updated_at": repository.created_at,
        "pushed_at": repository.created_at,
    });
    let counts = json!({
        "size": 0,
        "forks": 0,
        "forks_count": 0,
        "open_issues": open,
        "open_issues_count": open,
        "stargazers_count": 0,
        "watchers": 0,
        "watchers_count": 0,
        "has_issues": true,
        "has_projects": false,
        "has_wiki": false,
        "has_pages": false,
        "has_downloads": true,
        "has_discussions": false,
        "allow_forking": true,
        "is_template": false,
        "web_commit_signoff_required": false,
        "topics": [],
    });
    joined([about, counts, urls(&api, &REPOSITORY_URLS)])
}

/// A repository by itself.
pub(super) fn full_repository(world: &World, of: &Repository, access: Option<Access>) -> Value {
    let mut shown = joined([repository(world, of), json!({ "network_count": 0, "subscribers_count": 0 })]);
    if let Some(access) = access {
        let push = access >= Access::Contents;
        shown["permissions"] =
            json!({ "admin": false, "maintain": false, "push": push, "triage": push, "pull": true });
    }
    shown
}

/// An account.
pub(super) fn user(world: &World, login: &str) -> Value {
    let api = format!("{}/users/{login}", world.api());
    let html = format!("{}/{login}", world.base);
    let id = user_id(login);
    let about = json!({
        "login": login,
        "id": id,
        "node_id": format!("U_{id}"),
        "avatar_url": format!("{}/avatars/{id}", world.base),
        "gravatar_id": "",
        "html_url": html,
        "url": api,
        "type": "User",
        "user_view_type": "public",
        "site_admin": false,
    });
    joined([about, urls(&api, &USER_URLS)])
}

/// The account of the caller.
pub(super) fn private_user(world: &World, login: &str) -> Value {
    let when = "2020-01-01T00:00:00Z";
    let about = json!({
        "user_view_type": "private",
        "name": null,
        "company": null,
        "blog": null,
        "location": null,
        "email": null,
        "hireable": null,
        "bio": null,
        "public_repos": 0,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "created_at": when,
        "updated_at": when,
        "private_gists": 0,
        "total_private_repos": 0,
        "owned_private_repos": 0,
        "disk_usage": 0,
        "collaborators": 0,
        "two_factor_authentication": true,
    });
    joined([user(world, login), about])
}

/// A branch with its commit, whose parts come in the order that the caller asked git for.
pub(super) fn branch(world: &World, of: &Repository, (name, sha): (&str, &str), parts: &[String]) -> Value {
    let full_name = of.full_name();
    let api = format!("{}/repos/{full_name}", world.api());
    let html = format!("{}/{full_name}", world.base);
    let part = |index: usize| parts.get(index).map(String::as_str).unwrap_or_default();
    let signature =
        |from: usize| json!({ "name": part(from), "email": part(from + 1), "date": part(from + 2) });
    let parent = |sha: &str| json!({ "sha": sha, "url": format!("{api}/commits/{sha}"), "html_url": format!("{html}/commit/{sha}") });
    let protected = of.protected.contains(name);
    let address = format!("{api}/branches/{name}");
    json!({
        "name": name,
        "commit": {
            "sha": sha,
            "node_id": format!("C_{sha}"),
            "commit": {
                "url": format!("{api}/git/commits/{sha}"),
                "author": signature(2),
                "committer": signature(5),
                "message": part(8).trim_end(),
                "tree": { "sha": part(0), "url": format!("{api}/git/trees/{}", part(0)) },
                "comment_count": 0,
                "verification": {
                    "verified": false,
                    "reason": "unsigned",
                    "signature": null,
                    "payload": null,
                    "verified_at": null,
                },
            },
            "url": format!("{api}/commits/{sha}"),
            "html_url": format!("{html}/commit/{sha}"),
            "comments_url": format!("{api}/commits/{sha}/comments"),
            "author": null,
            "committer": null,
            "parents": part(1).split_whitespace().map(parent).collect::<Vec<_>>(),
        },
        "_links": { "self": address, "html": format!("{html}/tree/{name}") },
        "protected": protected,
        "protection": {
            "enabled": protected,
            "required_status_checks": { "enforcement_level": "off", "contexts": [], "checks": [] },
        },
        "protection_url": format!("{address}/protection"),
    })
}

/// A ref.
pub(super) fn git_ref(world: &World, of: &Repository, full: &str, sha: &str) -> Value {
    let api = format!("{}/repos/{}", world.api(), of.full_name());
    json!({
        "ref": full,
        "node_id": format!("REF_{}_{full}", of.id),
        "url": format!("{api}/git/{full}"),
        "object": { "sha": sha, "type": "commit", "url": format!("{api}/git/commits/{sha}") },
    })
}

/// A pull request in a list.
pub(super) fn pull_request(world: &World, of: &Repository, pull: &PullRequest) -> Value {
    let full_name = of.full_name();
    let number = pull.number;
    let api = format!("{}/repos/{full_name}/pulls/{number}", world.api());
    let issue = format!("{}/repos/{full_name}/issues/{number}", world.api());
    let html = format!("{}/{full_name}/pull/{number}", world.base);
    let statuses = format!("{}/repos/{full_name}/statuses/{}", world.api(), pull.head_sha);
    let side = |branch: &str, sha: &str| {
        json!({
            "label": format!("{}:{branch}", of.owner),
            "ref": branch,
            "sha": sha,
            "user": user(world, &of.owner),
            "repo": repository(world, of),
        })
    };
    let addresses = json!({
        "url": api,
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue,
        "commits_url": format!("{api}/commits"),
        "review_comments_url": format!("{api}/comments"),
        "review_comment_url": format!("{}/repos/{full_name}/pulls/comments{{/number}}", world.api()),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": statuses,
        "_links": {
            "self": { "href": api },
            "html": { "href": html },
            "issue": { "href": issue },
            "comments": { "href": format!("{issue}/comments") },
            "review_comments": { "href": format!("{api}/comments") },
            "review_comment": { "href": format!("{}/repos/{full_name}/pulls/comments{{/number}}", world.api()) },
            "commits": { "href": format!("{api}/commits") },
            "statuses": { "href": statuses },
        },
    });
    let about = json!({
        "id": of.id * 1_000_000 + number,
        "node_id": format!("PR_{}_{number}", of.id),
        "number": number,
        "state": if pull.open { "open" } else { "closed" },
        "locked": false,
        "title": pull.title,
        "body": pull.body,
        "user": user(world, &pull.author),
        "author_association": "CONTRIBUTOR",
        "labels": [],
        "milestone": null,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "auto_merge": null,
        "active_lock_reason": null,
        "draft": pull.draft,
        "head": side(&pull.head, &pull.head_sha),
        "base": side(&pull.base, &pull.base_sha),
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.closed_at.as_ref().filter(|_| pull.merged),
        "merge_commit_sha": null,
    });
    joined([about, addresses])
}

/// A pull request by itself.
pub(super) fn full_pull_request(world: &World, of: &Repository, pull: &PullRequest, size: Distance) -> Value {
    let more = json!({
        "commits": size.commits,
        "additions": size.additions,
        "deletions": size.deletions,
        "changed_files": size.changed_files,
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": pull.maintainer_can_modify,
        "merged": pull.merged,
        "merged_by": null,
        "mergeable": null,
        "mergeable_state": "unknown",
        "rebaseable": null,
    });
    joined([pull_request(world, of, pull), more])
}

/// A number that an account always has.
fn user_id(login: &str) -> u64 {
    login.bytes().fold(17, |id, byte| (id * 31 + u64::from(byte)) % 100_000_007)
}

fn urls(root: &str, names: &[(&str, &str)]) -> Value {
    let pairs = names.iter().map(|(name, below)| ((*name).to_owned(), Value::from(format!("{root}{below}"))));
    Value::Object(pairs.collect())
}

fn joined<const N: usize>(parts: [Value; N]) -> Value {
    let mut all = Map::new();
    for part in parts {
        if let Value::Object(fields) = part {
            all.extend(fields);
        }
    }
    Value::Object(all)
}
