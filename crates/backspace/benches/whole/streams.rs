//! Events over HTTP: finished sessions replayed, living ones held, and how soon the first event comes.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use events::{Entry, Event, NewEntry, SessionId};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

use crate::bare::Bare;
use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::http::{self, Connection};
use crate::model::{Model, Reply};
use crate::process::{self, BINARY, Settings};
use crate::serving::{self, Service};
use crate::{Measure, load, machine, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "streams",
    title: "events over HTTP",
    about: "Replayed: `GET /v1/sessions/{id}/events` as SSE, 200 finished sessions of 50 events each in turn, 16 kept \
            connections; the client is one thread on the same two cores. The log of a real session, copied. Bare axum \
            streams the same bytes from memory, event by event. Held: streams of a session whose model is thinking. First \
            event: `POST /code` on a kept connection, the service at rest, until the event with id 1 is here.",
    run: measure,
};

const EVENTS: usize = 50;
const SESSIONS: usize = 200;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const HELD: usize = 1000;
const HELD_RUNS: usize = 3;
const POSTS: usize = 50;
/// After this a session's end has left nothing behind that would count as work.
const REST: Duration = Duration::from_millis(150);

/// What all three talk to.
struct World {
    folder: TempDir,
    forge: Forge,
}

fn measure() -> Result<Vec<Row>> {
    // Both ends of a thousand streams are files; the service takes the limit over.
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })
        .context("cannot raise the limit of files")?;
    let folder = machine::folder()?;
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let forge = Forge::start(&seed, &["small".to_owned()])?;
    let world = World { folder, forge };
    let mut rows = replayed(&world)?;
    rows.extend(held(&world)?);
    rows.push(first_event(&world)?);
    Ok(rows)
}

impl World {
    fn settings(&self, model: &Model) -> Settings {
        process::settings(&self.home(), &self.forge, model)
    }

    fn home(&self) -> std::path::PathBuf {
        self.folder.path().join("home")
    }

    fn submission(&self) -> String {
        serving::submission(&self.forge.address("small"))
    }
}

fn replayed(world: &World) -> Result<Vec<Row>> {
    let said = "The next file first, then the change, then the check: as small as it can be.";
    let mut script: Vec<Reply> =
        repository::twelve_turns().into_iter().map(|reply| reply.saying(said)).collect();
    script.splice(
        1..1,
        (0..4).map(|n| Reply::bash(&format!("head -n 20 {}", repository::small_path(n))).saying(said)),
    );
    let model = Model::start(&script, Duration::ZERO)?;
    let run = ["run", &world.forge.address("small"), "Count on"];
    process::run(process::command(BINARY, &run, &world.settings(&model)), 0)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (ids, events) = runtime.block_on(copy_finished(&world.home()))?;
    let file = world.folder.path().join("events");
    std::fs::write(&file, &events).context("cannot keep the events")?;
    let paths: Vec<String> = ids.iter().map(|id| format!("/v1/sessions/{id}/events")).collect();
    let (service, bare) = (Service::start(&world.settings(&model))?, Bare::start(&file)?);
    same_bytes(service.address, bare.address, paths.first().context("there are sessions")?)?;
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = process::cpu_of(service.id())?;
        let rate = load::answers_a_second(service.address, &paths, ROUND)?;
        let used = process::cpu_of(service.id())?.saturating_sub(before);
        cpu.push(used.as_secs_f64() * 1e6 / (rate * ROUND.as_secs_f64()) / EVENTS as f64);
        ours.push(rate);
        theirs.push(load::answers_a_second(bare.address, &paths, ROUND)?);
    }
    let kib = events.len() as f64 / 1024.0;
    Ok(vec![
        Row::new(
            format!("sessions of {EVENTS} events ({kib:.0} KiB) replayed a second"),
            Figure::new("a second", ours),
        )
        .at_least(2500.0)
        .beside("bare axum", Figure::new("a second", theirs)),
        Row::new("CPU of the service an event", Figure::new("µs", cpu)),
    ])
}

/// Puts copies of the one finished session in the store, cut to so many events, and gives their ids and the events.
async fn copy_finished(home: &Path) -> Result<(Vec<SessionId>, String)> {
    let store = store::open(&store::Config::Sqlite(home.join("backspace.db"))).await?;
    let filter = store::Filter { limit: 1, ..store::Filter::default() };
    let there = store.index.list(&filter).await?;
    let session = there.first().context("the session is in the store")?.id;
    let entries = store.log.read_after(session, 0, 1000).await?;
    let kept = cut(entries)?;
    let mut ids = Vec::new();
    for n in 0..SESSIONS {
        let id = SessionId::new(1_700_000_000_000_000 + n as i64, n as u128 + 1);
        let entries: serde_json::Result<Vec<NewEntry>> =
            kept.iter().map(|entry| NewEntry::of(&entry.event, entry.at_us)).collect();
        store.log.append(id, 1, entries?).await?;
        ids.push(id);
    }
    let first = ids.first().copied().context("there are copies")?;
    let entries = store.log.read_after(first, 0, 1000).await?;
    let events = entries.iter().filter_map(server::wire::event);
    let text: String = events.map(|event| format!("id: {}\ndata: {}\n\n", event.seq, event.json)).collect();
    Ok((ids, format!("retry: 2000\n\n{text}")))
}

/// The first entries and the last one, so that clients see [`EVENTS`] events.
fn cut(mut entries: Vec<Entry>) -> Result<Vec<Entry>> {
    let last = entries.pop().context("the log has a last entry")?;
    ensure!(matches!(last.event, Event::SessionEnded(_)), "the session has ended");
    let mut seen = 1;
    entries.retain(|entry| {
        let shown = usize::from(server::wire::event(entry).is_some());
        let keep = seen + shown <= EVENTS;
        seen += if keep { shown } else { 0 };
        keep
    });
    ensure!(seen == EVENTS, "the session has only {seen} events");
    entries.push(last);
    Ok(entries)
}

/// Both servers must say the same, or the comparison is worth nothing.
fn same_bytes(ours: SocketAddr, theirs: SocketAddr, path: &str) -> Result<()> {
    let said = |address| -> Result<usize> {
        let mut connection = Connection::open(address)?;
        connection.send("GET", path, None)?;
        let answer = String::from_utf8_lossy(connection.read_all()?).into_owned();
        let events = answer.matches("\nid: ").count();
        ensure!(events == EVENTS, "{events} events instead of {EVENTS}");
        Ok(answer.lines().filter(|line| line.starts_with("data: ")).map(str::len).sum())
    };
    let (ours, theirs) = (said(ours)?, said(theirs)?);
    ensure!(ours == theirs, "ours are {ours} bytes, theirs {theirs}");
    Ok(())
}

fn held(world: &World) -> Result<Vec<Row>> {
    let (mut each, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..HELD_RUNS {
        // Longer than this measure takes.
        let model = Model::start(&[Reply::finish()], Duration::from_secs(600))?;
        let service = Service::start(&world.settings(&model))?;
        let mut first = Connection::open(service.address)?;
        first.send("POST", "/code", Some(&world.submission()))?;
        model.wait_for_request();
        let id = session_id(&mut first)?;
        let before = process::resident_kib(service.id())?;
        let mut streams = Vec::new();
        for _ in 0..HELD {
            let mut stream = Connection::open(service.address)?;
            stream.send("GET", &format!("/v1/sessions/{id}/events"), None)?;
            stream.read_until(b"\nid: 1\n")?;
            streams.push(stream);
        }
        thread::sleep(REST);
        let after = process::resident_kib(service.id())?;
        each.push((after - before) * 1.024 / HELD as f64);
        whole.push(after / 1024.0);
    }
    Ok(vec![
        Row::new("memory of a held stream (1,000 held)", Figure::new("kB", each)).at_most(40.0),
        Row::new("memory of the service then", Figure::new("MiB", whole)),
    ])
}

fn session_id(connection: &mut Connection) -> Result<String> {
    const NAME: &[u8] = b"x-session-id: ";
    connection.read_until(b"\r\n\r\n")?;
    let answer = connection.seen();
    let begin = http::find(answer, NAME).context("the answer has no session id")? + NAME.len();
    let id = answer[begin..].split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(id).into_owned())
}

fn first_event(world: &World) -> Result<Row> {
    let model = Model::start(&[Reply::finish()], Duration::ZERO)?;
    let service = Service::start(&world.settings(&model))?;
    let body = world.submission();
    let mut connection = Connection::open(service.address)?;
    let mut times = Vec::new();
    for _ in 0..POSTS {
        let sent = connection.send("POST", "/code", Some(&body))?;
        connection.read_until(b"\nid: 1\n")?;
        times.push(sent.elapsed());
        connection.read_all()?;
        thread::sleep(REST);
    }
    Ok(Row::new("`POST /code` → first event", Figure::ms(times)).at_most(3.0))
}
