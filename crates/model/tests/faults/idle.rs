//! How long a server may be silent is its vendor's: before the answer begins, and within it.

use std::time::Duration;

use fakes::model::Fault;
use tokio::time::Instant;

use crate::bench::{Bench, Server};
use crate::case::{CALLS, WIRES};
use crate::outcome::{Came, ask};

/// What comes on each wire of a provider that falls silent as `server` does, and may be silent for `seconds`; with how long
/// that takes.
async fn came(server: Server, seconds: u64) -> Vec<(Came, Duration)> {
    let mut all = Vec::new();
    let table = format!("[anthropic]\nidle_seconds = {seconds}\n[openai]\nidle_seconds = {seconds}\n");
    for wire in WIRES {
        let bench = Bench::new(wire, CALLS, &server).await.with_table(&table);
        let begun = Instant::now();
        let came = ask(&bench, Vec::new()).await;
        // The clock stands while something is done, and jumps while nothing is.
        all.push((came, begun.elapsed()));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_silence_within_an_answer_is_as_long_as_the_table_says() {
    for seconds in [10, 600, 3600] {
        for (came, took) in came(Server::Fails(vec![Fault::Stall]), seconds).await {
            assert!(came.reply.is_ok(), "the second try is never too late: {:?}", came.reply);
            let [wait] = came.waits.as_slice() else { panic!("{:?}", came.waits) };
            let why = format!("nothing came for {seconds} s in the middle of the reply (`idle_seconds`)");
            assert!(wait.reason.ends_with(&format!(" is not answering: {why}")), "{}", wait.reason);
            let silent = Duration::from_secs(seconds);
            assert!((silent..silent + Duration::from_secs(9)).contains(&took), "{took:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silence_before_an_answer_is_as_long_as_the_table_says() {
    for (seconds, asked) in [(10, 8), (200, 3), (600, 2), (3600, 2)] {
        for (came, took) in came(Server::Mute, seconds).await {
            let why = format!("no answer for {seconds} s (`idle_seconds`)");
            assert!(came.reply.unwrap_err().to_string().ends_with(&format!(" is not answering: {why}")));
            assert_eq!(came.waits.len() + 1, asked, "{seconds} s");
            let silent = Duration::from_secs(seconds) * u32::try_from(asked).unwrap();
            assert!((silent..silent + Duration::from_secs(60)).contains(&took), "{took:?}");
        }
    }
}
