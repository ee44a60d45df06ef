//! The calls that only read: repository, branch, refs, user.

use serde_json::{Value, json};

use super::git;
use super::reply::{Answer, Reply, broken, not_found, refused};
use super::routes::{Ask, access};
use super::shapes;
use super::world::{Repository, World};

/// `GET /repos/{owner}/{repo}`
pub(super) fn repository(world: &World, ask: &Ask, repository: &Repository) -> Reply {
    let access = ask.token.as_ref().and_then(|token| access(Some(token), repository));
    Reply::ok(shapes::full_repository(world, repository, access))
}

/// `GET /repos/{owner}/{repo}/branches/{branch}`
pub(super) async fn branch(world: &World, repository: &Repository, name: &str) -> Answer {
    let dir = world.git_dir(repository.id);
    let branches = git::branches(&dir).await.map_err(|error| broken(&error))?;
    let sha = branches.get(name).ok_or_else(|| refused(404, "Branch not found"))?;
    let format = "%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
    let parts = git::show(&dir, sha, format).await.map_err(|error| broken(&error))?;
    Ok(Reply::ok(shapes::branch(world, repository, (name, sha), &parts)))
}

/// `GET /repos/{owner}/{repo}/git/ref/{ref}`
pub(super) async fn git_ref(world: &World, repository: &Repository, name: &str) -> Answer {
    let all = refs(world, repository).await?;
    let exact = all.into_iter().find(|(full, _)| *full == format!("refs/{name}"));
    let (full, sha) = exact.ok_or_else(not_found)?;
    Ok(Reply::ok(shapes::git_ref(world, repository, &full, &sha)))
}

/// `GET /repos/{owner}/{repo}/git/matching-refs/{ref}`
pub(super) async fn matching_refs(world: &World, repository: &Repository, name: &str) -> Answer {
    let prefix = format!("refs/{name}");
    let all = refs(world, repository).await?;
    let matching = all.iter().filter(|(full, _)| full.starts_with(&prefix));
    let shown = matching.map(|(full, sha)| shapes::git_ref(world, repository, full, sha));
    Ok(Reply::ok(Value::Array(shown.collect())))
}

/// `GET /user`
pub(super) fn user(world: &World, ask: &Ask) -> Answer {
    let token = ask.token.as_ref().ok_or_else(|| refused(401, "Requires authentication"))?;
    Ok(Reply::ok(shapes::private_user(world, &token.login)))
}

/// `GET /rate_limit`
pub(super) fn rate_limit() -> Reply {
    let reset = jiff::Timestamp::now().as_second() + 3600;
    let of = |limit: u64| json!({ "limit": limit, "remaining": limit, "reset": reset, "used": 0 });
    let resources = json!({ "core": of(5000), "search": of(30), "graphql": of(5000) });
    Reply::ok(json!({ "resources": resources, "rate": of(5000) }))
}

/// Every branch as a full ref; a repository without any commit has none to ask for.
async fn refs(world: &World, repository: &Repository) -> Result<Vec<(String, String)>, Box<Reply>> {
    let branches = git::branches(&world.git_dir(repository.id)).await.map_err(|error| broken(&error))?;
    if branches.is_empty() {
        return Err(refused(409, "Git Repository is empty."));
    }
    Ok(branches.into_iter().map(|(name, sha)| (format!("refs/heads/{name}"), sha)).collect())
}
