//! Sessions at once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::figure::{Figure, Row};
use crate::forge::Forge;
use crate::http::{self, Connection};
use crate::model::{Model, Reply};
use crate::serving::{self, Service};
use crate::{Measure, machine, process, repository};

pub(crate) const MEASURE: Measure = Measure {
    name: "together",
    title: "four sessions at once, with a model that takes two seconds",
    about: "`POST /code` on one `backspace serve`: a session of two turns (a change, finish) to its pull request, alone and \
            then four times at once, on the same repository of 240 files; the target is a tenth more than one takes. Meanwhile `/health` is asked every 20 ms on a new \
            connection.",
    run: measure,
};

const RUNS: usize = 3;
const AT_ONCE: usize = 4;
const LATENCY: Duration = Duration::from_secs(2);
const HEALTH_EVERY: Duration = Duration::from_millis(20);

fn measure() -> Result<Vec<Row>> {
    let folder = machine::folder()?;
    let seed = folder.path().join("seed");
    repository::small(&seed)?;
    let forge = Forge::start(&seed, &["small".to_owned()])?;
    let change = Reply::bash(&format!("echo '# more' >> {}", repository::small_path(3)));
    let model = Model::start(&[change, Reply::finish()], LATENCY)?;
    let service = Service::start(&process::settings(&folder.path().join("home"), &forge, &model))?;
    let body = serving::submission(&forge.address("small"));
    // Makes the mirror and the base tree.
    session(&service, &body)?;
    let (mut alone, mut at_once, mut first_bytes, mut health) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        alone.push(session(&service, &body)?.1);
        let (took, firsts, answered) = four(&service, &body)?;
        at_once.push(took);
        first_bytes.extend(firsts);
        health.extend(answered);
    }
    let one = Figure::seconds(alone);
    let health = Figure::ms(health);
    Ok(vec![
        Row::new("four at once, until the last has ended", Figure::seconds(at_once))
            .at_most((one.median() * 11.0).round() / 10.0)
            .beside("one alone", one),
        Row::new("first event of each of the four", Figure::ms(first_bytes)),
        Row::new("`/health` meanwhile", health.clone()).at_most(10.0),
        Row::new("`/health` meanwhile, 99 % within", Figure::new("ms", [health.at_share(0.99)])),
    ])
}

/// One session: when its first event came, and when it had ended.
fn session(service: &Service, body: &str) -> Result<(Duration, Duration)> {
    let mut connection = Connection::open(service.address)?;
    let sent = connection.send("POST", "/code", Some(body))?;
    connection.read_until(b"\ndata: ")?;
    let first = sent.elapsed();
    let answer = connection.read_all()?;
    let opened = http::find(answer, br#""outcome":"pull_request""#).is_some();
    ensure!(opened, "no pull request was opened: {}", String::from_utf8_lossy(answer));
    Ok((first, sent.elapsed()))
}

/// Four at once: until the last has ended, the first events, and what `/health` took meanwhile.
fn four(service: &Service, body: &str) -> Result<(Duration, Vec<Duration>, Vec<Duration>)> {
    let started = Instant::now();
    thread::scope(|scope| {
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(|| session(service, body))).collect();
        let mut health = Vec::new();
        while clients.iter().any(|client| !client.is_finished()) {
            health.push(service.health()?);
            thread::sleep(HEALTH_EVERY);
        }
        let mut firsts = Vec::new();
        for client in clients {
            let ended = client.join().map_err(|_| anyhow!("a client panicked"))?;
            firsts.push(ended.context("a session of four")?.0);
        }
        Ok((started.elapsed(), firsts, health))
    })
}
