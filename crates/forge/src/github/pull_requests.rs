//! Pull requests on GitHub: opened at most once, however the answers get lost.

use events::{Branch, Hosted, Oid};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::body;
use super::refusal::Said;
use super::wire::{Answer, Call, Sent, Wire};
use crate::{Error, NewPullRequest, PullRequest};

const OPENING: &str = "opening the pull request";
const LOOKING: &str = "looking for the pull request";
const READING: &str = "reading the pull request";
const UPDATING: &str = "updating the pull request";
/// Lost answers, a branch that GitHub does not know yet, a draft that it refuses: each takes one more.
const OPEN_TRIES_MAX: usize = 5;
/// The longest page that GitHub gives.
const PER_PAGE: usize = 100;
/// So many pages of open pull requests are looked through when the list by head does not show ours.
const PAGES_MAX: usize = 10;

/// Opens a pull request, or adopts the one that is there.
pub(super) async fn open(wire: &Wire, at: &Hosted, new: &NewPullRequest) -> Result<PullRequest, Error> {
    let mut wish = Wish::of(new);
    if let Some(found) = find(wire, at, new).await? {
        return adopt(wire, at, found, wish).await;
    }
    let mut lost_answers = 0;
    let mut last = Error::Unavailable { doing: OPENING, message: "it was never answered".to_owned() };
    for tries in 1..=OPEN_TRIES_MAX {
        match create(wire, at, new, &wish).await? {
            Created::Opened(read) => return Ok(PullRequest { warnings: wish.warnings, ..read.shown() }),
            Created::DraftRefused => {
                wish.draft = false;
                let told = "opened as ready for review: this repository takes no draft pull requests";
                wish.warnings.push(told.to_owned());
                continue;
            }
            Created::Exists(error) => last = error,
            Created::NotYet(error) if tries == 1 => last = error,
            Created::NotYet(error) => return Err(error),
            Created::Unclear(error) => {
                lost_answers += 1;
                last = error;
            }
        }
        // Lists lag behind writes by a moment.
        tokio::time::sleep(wire.pace.before_retry).await;
        if let Some(found) = find_anywhere(wire, at, new).await? {
            let adopted = adopt(wire, at, found, wish).await?;
            // What our own call made, although its answer was lost, was not there before.
            return Ok(PullRequest { adopted: adopted.adopted && lost_answers == 0, ..adopted });
        }
    }
    Err(last)
}

/// Reads a pull request.
pub(super) async fn read(wire: &Wire, at: &Hosted, number: u64) -> Result<PullRequest, Error> {
    let answer = wire.call(&Call::get(READING, at, &["pulls", &number.to_string()])).await?;
    Ok(wire.read::<PullAnswer>(READING, &answer)?.shown())
}

/// What is to stand in the pull request, as GitHub takes it.
struct Wish {
    title: String,
    body: String,
    draft: bool,
    warnings: Vec<String>,
}

impl Wish {
    fn of(new: &NewPullRequest) -> Self {
        let (body, cut) = body::fit(&new.body, &new.marker);
        let warnings = Vec::from_iter(cut.then(|| "the description was too long and was cut".to_owned()));
        Self { title: body::title(&new.title), body, draft: new.draft, warnings }
    }
}

/// What we read of a pull request. Only what both API versions have.
#[derive(Deserialize)]
struct PullAnswer {
    number: u64,
    html_url: Page,
    state: String,
    #[serde(default)]
    draft: bool,
    title: String,
    body: Option<String>,
    head: Side,
    base: Side,
}

/// An address that can be shown and opened.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Page(Url);

impl TryFrom<String> for Page {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "https" | "http"));
        url.map(Self).ok_or("the address of the page is none")
    }
}

#[derive(Deserialize)]
struct Side {
    #[serde(rename = "ref")]
    branch: Branch,
    sha: Oid,
    /// Nothing when the fork that it came from is gone.
    repo: Option<SideRepository>,
}

#[derive(Deserialize)]
struct SideRepository {
    id: u64,
}

impl PullAnswer {
    fn is_open(&self) -> bool {
        self.state == "open"
    }

    /// Whether it is from `head` to `base` within one repository; a fork may have a branch of the same name.
    fn joins(&self, new: &NewPullRequest) -> bool {
        let id = |side: &Side| side.repo.as_ref().map(|repo| repo.id);
        let one_repository = id(&self.head).is_some() && id(&self.head) == id(&self.base);
        one_repository && self.head.branch == new.head && self.base.branch == new.base
    }

    fn carries(&self, marker: &str) -> bool {
        self.body.as_deref().is_some_and(|body| body.contains(marker))
    }

    fn shown(self) -> PullRequest {
        PullRequest {
            number: self.number,
            url: self.html_url.0.to_string(),
            open: self.is_open(),
            draft: self.draft,
            title: self.title,
            body: self.body.unwrap_or_default(),
            head: self.head.branch,
            head_commit: self.head.sha,
            base: self.base.branch,
            adopted: false,
            warnings: Vec::new(),
        }
    }
}

/// What became of an attempt to create one.
enum Created {
    Opened(Box<PullAnswer>),
    /// There is one for this head and base.
    Exists(Error),
    /// A branch is not known yet.
    NotYet(Error),
    DraftRefused,
    /// The answer was lost.
    Unclear(Error),
}

async fn create(wire: &Wire, at: &Hosted, new: &NewPullRequest, wish: &Wish) -> Result<Created, Error> {
    let body = json!({
        "title": wish.title,
        "body": wish.body,
        "head": new.head,
        "base": new.base,
        "draft": wish.draft,
    });
    let answer = match wire.send(&Call::post(OPENING, at, &["pulls"], body)).await? {
        Sent::Unclear(error) => return Ok(Created::Unclear(error)),
        Sent::Answered(answer) if answer.status != 422 => {
            return Ok(match wire.read(OPENING, &answer) {
                Ok(read) => Created::Opened(Box::new(read)),
                Err(error) => Created::Unclear(error),
            });
        }
        Sent::Answered(answer) => answer,
    };
    unprocessable(&answer, wish)
}

/// What a 422 means for the next step; an error when there is none.
fn unprocessable(answer: &Answer, wish: &Wish) -> Result<Created, Error> {
    let Said { text: message, invalid } = Said::read(answer);
    let says = |words| message.contains(words);
    let drafts_refused = wish.draft && says("Draft pull requests are not supported");
    let exists = says("A pull request already exists");
    let error = Error::Refused { doing: OPENING, message };
    if drafts_refused {
        Ok(Created::DraftRefused)
    } else if exists {
        Ok(Created::Exists(error))
    } else if invalid.iter().any(|field| field == "head" || field == "base") {
        Ok(Created::NotYet(error))
    } else {
        Err(error)
    }
}

/// The pull request that `new` would repeat, by GitHub's own list for the head.
async fn find(wire: &Wire, at: &Hosted, new: &NewPullRequest) -> Result<Option<PullAnswer>, Error> {
    let call = list(at, new, "all", 1).query("head", format!("{}:{}", at.owner, new.head));
    choose(wire.read(LOOKING, &wire.call(&call).await?)?, new)
}

/// The same, by looking through all open ones as well: the list by head misses some when the repository has forks
/// under the same owner, or has just moved.
async fn find_anywhere(wire: &Wire, at: &Hosted, new: &NewPullRequest) -> Result<Option<PullAnswer>, Error> {
    if let Some(found) = find(wire, at, new).await? {
        return Ok(Some(found));
    }
    for page in 1..=PAGES_MAX {
        let answer = wire.call(&list(at, new, "open", page)).await?;
        let all: Vec<PullAnswer> = wire.read(LOOKING, &answer)?;
        let last = all.len() < PER_PAGE;
        let found = choose(all, new)?;
        if last || found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn list<'a>(at: &'a Hosted, new: &NewPullRequest, state: &str, page: usize) -> Call<'a> {
    Call::get(LOOKING, at, &["pulls"])
        .query("state", state)
        .query("base", new.base.as_str())
        .query("per_page", PER_PAGE.to_string())
        .query("page", page.to_string())
}

/// Ours by its marker, open or closed; the filters of the list are not believed. GitHub keeps one open pull request
/// for a head and base, so somebody else's is the end.
fn choose(all: Vec<PullAnswer>, new: &NewPullRequest) -> Result<Option<PullAnswer>, Error> {
    let (ours, others): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|read| read.joins(new)).partition(|read| read.carries(&new.marker));
    if let Some(found) = ours.into_iter().max_by_key(|read| (read.is_open(), read.number)) {
        return Ok(Some(found));
    }
    match others.into_iter().find(PullAnswer::is_open) {
        Some(other) => Err(Error::Refused {
            doing: OPENING,
            message: format!("{} is open for {} and is not ours", other.html_url.0, new.head),
        }),
        None => Ok(None),
    }
}

/// Brings a pull request of ours up to date; one that was closed stays as it is.
async fn adopt(wire: &Wire, at: &Hosted, found: PullAnswer, wish: Wish) -> Result<PullRequest, Error> {
    let same = found.title == wish.title && found.body.as_deref() == Some(wish.body.as_str());
    let current = if found.is_open() && !same {
        let number = found.number.to_string();
        let body = json!({ "title": wish.title, "body": wish.body });
        let answer = wire.call(&Call::patch(UPDATING, at, &["pulls", &number], body)).await?;
        wire.read(UPDATING, &answer)?
    } else {
        found
    };
    Ok(PullRequest { adopted: true, warnings: wish.warnings, ..current.shown() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_page_is_one_that_a_browser_opens() {
        let page = |text: &str| Page::try_from(text.to_owned()).map(|page| page.0.to_string());
        assert_eq!(page("https://github.com/o/n/pull/1").unwrap(), "https://github.com/o/n/pull/1");
        assert_eq!(page("https://github.com/\u{1b}[2J").unwrap(), "https://github.com/%1B[2J");
        assert!(page("javascript:alert(1)").is_err() && page("/o/n").is_err());
    }
}
