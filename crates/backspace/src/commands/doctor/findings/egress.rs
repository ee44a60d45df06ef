//! What commands in sandboxes reach, really tried.

use sandbox::egress::{Host, Refusal};
use session::OpenFor;
use tokio::task::JoinSet;

use super::Verdict;
use crate::assemble::{self, Reach};
use crate::config::Settings;

/// Nothing when no host is named: that is how it is meant to be.
pub(super) async fn all(settings: &Settings) -> Vec<Verdict> {
    let reach = match assemble::home(settings) {
        Ok(home) => assemble::egress(settings, &home).await,
        // Said of the state already.
        Err(_) => return Vec::new(),
    };
    match reach {
        Ok(None) => Vec::new(),
        Ok(Some(reach)) => found(&reach).await,
        Err(error) => {
            let mend = "Correct it, or leave it out: sandboxes reach nothing then.".to_owned();
            vec![Verdict::Missing { what: format!("{error:#}"), mend }]
        }
    }
}

async fn found(Reach { egress, problems }: &Reach) -> Vec<Verdict> {
    let whose = match egress.open_for {
        OpenFor::Setup => "what sets a project up reaches",
        OpenFor::Session => "all commands in sandboxes reach",
    };
    let config = &egress.config;
    let mut trying = JoinSet::new();
    for host in config.hosts.iter().cloned() {
        let config = config.clone();
        trying.spawn(async move { (sandbox::egress::tried(&config, &host).await, host) });
    }
    let mut tried = trying.join_all().await;
    tried.sort_by(|(_, a), (_, b)| a.cmp(b));
    let lent = |host: &Host| config.lent.iter().any(|lent| lent.host == *host);
    let name =
        |host: &Host| if lent(host) { format!("{host} (with your credential)") } else { host.to_string() };
    let reached: Vec<String> =
        tried.iter().filter(|(verdict, _)| verdict.is_ok()).map(|(_, host)| name(host)).collect();
    let mut verdicts = Vec::new();
    if !reached.is_empty() {
        verdicts.push(Verdict::Fine(format!("{whose} {}", reached.join(", "))));
    }
    let refused = tried.iter().filter_map(|(verdict, host)| Some((verdict.as_ref().err()?, host)));
    verdicts.extend(
        refused.map(|(refusal, host)| weak(format!("{host} is not reached: {refusal}"), mend(*refusal))),
    );
    let in_settings = "What else is needed can be named in BACKSPACE_EGRESS.";
    verdicts.extend(problems.iter().map(|problem| weak(problem.clone(), in_settings)));
    verdicts
}

fn weak(what: String, mend: &str) -> Verdict {
    Verdict::Weak { what, mend: mend.to_owned() }
}

fn mend(refusal: Refusal) -> &'static str {
    if refusal == Refusal::Special {
        "If it is a server of your own network, name it in BACKSPACE_PRIVATE_HOSTS as well."
    } else {
        "Look whether this machine reaches it itself; behind a proxy, set BACKSPACE_EGRESS_PROXY."
    }
}
