//! Pull requests: listed, opened, read, changed, with GitHub's checks.

use serde_json::{Map, Value, json};

use super::git::{self, GitError};
use super::reply::{Answer, Reply, broken, custom, invalid, not_found, refused};
use super::routes::Ask;
use super::shapes;
use super::world::{Access, PullRequest, Repository, World, now};

/// Longer descriptions are refused.
const BODY_CHARS_MAX: usize = 65_536;
/// Longer titles are refused.
const TITLE_CHARS_MAX: usize = 256;
/// A page, when nothing else is asked for.
const PER_PAGE: usize = 30;
/// The longest page.
const PER_PAGE_MAX: usize = 100;

/// `GET /repos/{owner}/{repo}/pulls`
pub(super) async fn list(world: &World, ask: &Ask, repository: &Repository) -> Answer {
    let state = ask.parameter("state").unwrap_or("open");
    if !matches!(state, "open" | "closed" | "all") {
        return Err(invalid(json!({ "resource": "PullRequest", "code": "invalid", "field": "state" })));
    }
    let mut pulls = refreshed(world, repository.id).await.map_err(|error| broken(&error))?;
    pulls.retain(|pull| state == "all" || pull.open == (state == "open"));
    pulls.retain(|pull| ask.parameter("base").is_none_or(|base| pull.base == base));
    // GitHub takes no notice of a head without an owner.
    if let Some((owner, branch)) = ask.parameter("head").and_then(|head| head.split_once(':')) {
        pulls.retain(|pull| owner.eq_ignore_ascii_case(&repository.owner) && pull.head == branch);
    }
    if ask.parameter("direction") != Some("asc") {
        pulls.reverse();
    }
    let number = |name: &str| ask.parameter(name).and_then(|text| text.parse::<usize>().ok());
    let per_page = number("per_page").unwrap_or(PER_PAGE).clamp(1, PER_PAGE_MAX);
    let page = number("page").unwrap_or(1).max(1);
    let start = (page - 1).saturating_mul(per_page);
    let shown = pulls.iter().skip(start).take(per_page);
    let shown = shown.map(|pull| shapes::pull_request(world, repository, pull)).collect();
    let reply = Reply::ok(Value::Array(shown));
    if pulls.len() <= start.saturating_add(per_page) {
        return Ok(reply);
    }
    let api = world.api();
    let next = format!("{api}/repositories/{}/pulls?per_page={per_page}&page={}", repository.id, page + 1);
    Ok(reply.header("link", format!("<{next}>; rel=\"next\"")))
}

/// `POST /repos/{owner}/{repo}/pulls`
pub(super) async fn create(world: &World, ask: &Ask, repository: &Repository) -> Answer {
    ask.require(repository, Access::PullRequests, "pull_requests=write")?;
    let fields = Fields::read(&ask.body)?;
    fields.supplied(&["base", "head"])?;
    fields.typed()?;
    fields.fit()?;
    let text = |name| fields.text(name).unwrap_or_default();
    if text("title").trim().is_empty() {
        return Err(invalid(json!({ "resource": "Issue", "code": "missing_field", "field": "title" })));
    }
    let (head, base) = (own_branch(repository, text("head")), text("base"));
    let draft = fields.flag("draft").unwrap_or(false);
    let (head_sha, base_sha) = comparable(world, repository, head, base).await?;
    if draft && repository.drafts_refused {
        return Err(refused(422, "Draft pull requests are not supported in this repository."));
    }
    let author = ask.token.as_ref().map(|token| token.login.clone()).unwrap_or_default();
    let new = PullRequest {
        number: 0,
        title: text("title").to_owned(),
        body: fields.text("body").map(str::to_owned),
        head: head.to_owned(),
        head_sha,
        base: base.to_owned(),
        base_sha,
        open: true,
        merged: false,
        draft,
        maintainer_can_modify: fields.flag("maintainer_can_modify").unwrap_or(false),
        author,
        created_at: now(),
        updated_at: now(),
        closed_at: None,
    };
    let opened = world.edit(repository.id, |repository| add(repository, new)).ok_or_else(not_found)??;
    let dir = world.git_dir(repository.id);
    git::keep_pull(&dir, opened.number, &opened.head_sha).await.map_err(|error| broken(&error))?;
    let mut reply = shown(world, repository.id, &opened).await?;
    reply.status = 201;
    let location = reply.body["url"].as_str().unwrap_or_default().to_owned();
    Ok(reply.header("location", location))
}

/// `GET /repos/{owner}/{repo}/pulls/{pull_number}`
pub(super) async fn get(world: &World, repository: &Repository, number: &str) -> Answer {
    let pull = numbered(world, repository, number).await?;
    shown(world, repository.id, &pull).await
}

/// `PATCH /repos/{owner}/{repo}/pulls/{pull_number}`
pub(super) async fn update(world: &World, ask: &Ask, repository: &Repository, number: &str) -> Answer {
    let pull = numbered(world, repository, number).await?;
    ask.require(repository, Access::PullRequests, "pull_requests=write")?;
    let fields = Fields::read(&ask.body)?;
    fields.typed()?;
    fields.fit()?;
    let state = fields.text("state");
    if state.is_some_and(|state| !matches!(state, "open" | "closed")) {
        return Err(invalid(json!({ "resource": "PullRequest", "code": "invalid", "field": "state" })));
    }
    if let Some(base) = fields.text("base").filter(|base| *base != pull.base) {
        comparable(world, repository, &pull.head, base).await?;
    }
    let changed = world.edit(repository.id, |repository| {
        let pull = repository.pulls.iter_mut().find(|one| one.number == pull.number)?;
        apply(&fields, pull);
        Some(pull.clone())
    });
    shown(world, repository.id, &changed.flatten().ok_or_else(not_found)?).await
}

/// The pull requests as git has them now: heads follow their branches, and without a branch or with nothing left to
/// merge none stays open.
pub(super) async fn refreshed(world: &World, id: u64) -> Result<Vec<PullRequest>, GitError> {
    let dir = world.git_dir(id);
    let branches = git::branches(&dir).await?;
    let pulls = world.repository(id).map(|repository| repository.pulls).unwrap_or_default();
    for pull in pulls.iter().filter(|pull| pull.open) {
        let mut now_is = pull.clone();
        match (branches.get(&pull.head), branches.get(&pull.base)) {
            (Some(head), Some(base)) if *head != pull.head_sha || *base != pull.base_sha => {
                now_is.head_sha.clone_from(head);
                now_is.open = git::ahead(&dir, base, head).await? > 0;
                now_is.merged = !now_is.open && *base != pull.base_sha;
            }
            (Some(_), Some(_)) => continue,
            (None, _) | (_, None) => now_is.open = false,
        }
        if !now_is.open {
            now_is.closed_at = Some(now());
        }
        git::keep_pull(&dir, pull.number, &now_is.head_sha).await?;
        world.edit(id, |repository| {
            let same = repository.pulls.iter_mut().find(|one| **one == *pull);
            if let Some(same) = same {
                *same = now_is;
            }
        });
    }
    Ok(world.repository(id).map(|repository| repository.pulls).unwrap_or_default())
}

/// The body of a call: a JSON object.
struct Fields(Map<String, Value>);

impl Fields {
    fn read(body: &[u8]) -> Result<Self, Box<Reply>> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(refused(400, "Body should be a JSON object")),
            Err(_) => Err(refused(400, "Problems parsing JSON")),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    fn supplied(&self, names: &[&str]) -> Result<(), Box<Reply>> {
        let missing = names.iter().filter(|name| !self.0.contains_key(**name));
        let missing: Vec<String> = missing.map(|name| format!("{name:?}")).collect();
        let verb = if missing.len() == 1 { "wasn't" } else { "weren't" };
        if missing.is_empty() {
            return Ok(());
        }
        Err(refused(422, &format!("Invalid request.\n\n{} {verb} supplied.", missing.join(", "))))
    }

    /// Fields of other names are taken no notice of, as GitHub does.
    fn typed(&self) -> Result<(), Box<Reply>> {
        let is_text = |value: &Value| value.is_string();
        let is_flag = |value: &Value| value.is_boolean();
        for (name, value) in &self.0 {
            let (right, kind) = match name.as_str() {
                "title" | "head" | "base" | "body" | "head_repo" | "state" => (is_text(value), "a string"),
                "draft" | "maintainer_can_modify" => (is_flag(value), "a boolean"),
                "issue" => (value.is_u64(), "an integer"),
                _ => (true, ""),
            };
            if !right {
                let value = if value.is_null() { "nil".to_owned() } else { value.to_string() };
                let message = format!("Invalid request.\n\nFor 'properties/{name}', {value} is not {kind}.");
                return Err(refused(422, &message));
            }
        }
        Ok(())
    }

    fn fit(&self) -> Result<(), Box<Reply>> {
        for (name, chars_max) in [("body", BODY_CHARS_MAX), ("title", TITLE_CHARS_MAX)] {
            if self.text(name).is_some_and(|text| text.chars().count() > chars_max) {
                let message = format!("{name} is too long (maximum is {chars_max} characters)");
                let error =
                    json!({ "resource": "Issue", "code": "custom", "field": name, "message": message });
                return Err(invalid(error));
            }
        }
        Ok(())
    }
}

/// The branch of `OWNER:BRANCH`, when the owner is the repository's own; there are no forks here, so that another
/// one names no branch at all.
fn own_branch<'a>(repository: &Repository, head: &'a str) -> &'a str {
    match head.split_once(':') {
        Some((owner, branch)) if owner.eq_ignore_ascii_case(&repository.owner) => branch,
        Some(_) | None => head,
    }
}

/// The commits of two branches between which there can be a pull request.
async fn comparable(
    world: &World,
    repository: &Repository,
    head: &str,
    base: &str,
) -> Result<(String, String), Box<Reply>> {
    let dir = world.git_dir(repository.id);
    let broken = |error: GitError| broken(&error);
    let branches = git::branches(&dir).await.map_err(broken)?;
    let known = |field: &str, name: &str| {
        let unknown = json!({ "resource": "PullRequest", "field": field, "code": "invalid" });
        branches.get(name).cloned().ok_or_else(|| invalid(unknown))
    };
    let (head_sha, base_sha) = (known("head", head)?, known("base", base)?);
    if !git::related(&dir, &base_sha, &head_sha).await {
        return Err(custom(format!("The {head} branch has no history in common with {base}")));
    }
    if git::ahead(&dir, &base_sha, &head_sha).await.map_err(broken)? == 0 {
        return Err(custom(format!("No commits between {base} and {head}")));
    }
    Ok((head_sha, base_sha))
}

/// Adds a pull request, unless one is open for its branches.
fn add(repository: &mut Repository, mut new: PullRequest) -> Result<PullRequest, Box<Reply>> {
    let same = |pull: &&PullRequest| pull.open && pull.head == new.head && pull.base == new.base;
    if repository.pulls.iter().any(|pull| same(&pull)) {
        let label = format!("{}:{}", repository.owner, new.head);
        return Err(custom(format!("A pull request already exists for {label}.")));
    }
    new.number = repository.pulls.len() as u64 + 1;
    repository.pulls.push(new.clone());
    Ok(new)
}

fn apply(fields: &Fields, pull: &mut PullRequest) {
    if let Some(title) = fields.text("title") {
        title.clone_into(&mut pull.title);
    }
    if let Some(body) = fields.text("body") {
        pull.body = Some(body.to_owned());
    }
    if let Some(base) = fields.text("base") {
        base.clone_into(&mut pull.base);
    }
    if let Some(flag) = fields.flag("maintainer_can_modify") {
        pull.maintainer_can_modify = flag;
    }
    if let Some(state) = fields.text("state") {
        pull.open = state == "open" && !pull.merged;
        pull.closed_at = (!pull.open).then(now);
    }
    pull.updated_at = now();
}

async fn numbered(world: &World, repository: &Repository, number: &str) -> Result<PullRequest, Box<Reply>> {
    let number: u64 = number.parse().map_err(|_| not_found())?;
    let pulls = refreshed(world, repository.id).await.map_err(|error| broken(&error))?;
    pulls.into_iter().find(|pull| pull.number == number).ok_or_else(not_found)
}

async fn shown(world: &World, id: u64, pull: &PullRequest) -> Answer {
    let dir = world.git_dir(id);
    let size = git::distance(&dir, &pull.base_sha, &pull.head_sha).await.map_err(|error| broken(&error))?;
    let repository = world.repository(id).ok_or_else(not_found)?;
    Ok(Reply::ok(shapes::full_pull_request(world, &repository, pull, size)))
}
