//! Providers that answer with something else than a reply.

use fakes::model::Fault;
use model::Unheard;
use tokio::time::Instant;

use crate::bench::{Bench, Server};
use crate::case::{CALLS, Case, WIRES, case, try_all};

const PAGE: &str = "<!doctype html><title>Down for maintenance</title>";

/// An error of `status` with these headers.
fn with(status: u16, headers: &[(&'static str, &str)]) -> Fault {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Fault::Status { status, headers }
}

/// What a server says that is none of the vendor's.
fn instead(status: u16, kind: &str, body: &str) -> Fault {
    let headers = vec![("content-type", kind.to_owned())];
    Fault::Instead { status, headers, body: body.to_owned() }
}

pub(crate) fn cases() -> Vec<Case> {
    [busy(), refusals(), no_replies()].into_iter().flatten().collect()
}

/// What asking again may mend, and how long to wait.
fn busy() -> Vec<Case> {
    let long_ago = "Fri, 20 Nov 2020 10:00:00 GMT";
    vec![
        case("429", with(429, &[]), "asks again"),
        case("429, `retry-after: 7`", with(429, &[("retry-after", "7")]), "asks again after 7 s"),
        case(
            "429, `retry-after-ms: 1500` and `retry-after: 9`",
            with(429, &[("retry-after-ms", "1500"), ("retry-after", "9")]),
            "asks again after 1.5 s",
        ),
        case("429, `retry-after` in the past", with(429, &[("retry-after", long_ago)]), "asks again"),
        case("429, `retry-after: soon`", with(429, &[("retry-after", "soon")]), "asks again"),
        case(
            "429, `retry-after: 60`",
            with(429, &[("retry-after", "60")]),
            "asks again after 60 s, or the next model at once",
        ),
        case(
            "429, `retry-after: 86400`",
            with(429, &[("retry-after", "86400")]),
            "gives up: busy, the next model",
        ),
        case("408", with(408, &[]), "asks again"),
        case("409", with(409, &[]), "asks again"),
        case("500", with(500, &[]), "asks again"),
        case("502", with(502, &[]), "asks again"),
        case("502 with a web page", instead(502, "text/html", PAGE), "asks again"),
        case("503", with(503, &[]), "asks again"),
        case("503 with a text that never ends", Fault::EndlessError { status: 503 }, "asks again"),
        case(
            "503, `x-should-retry: false`",
            with(503, &[("x-should-retry", "false")]),
            "gives up: refused (503), the next model",
        ),
        case("504", with(504, &[]), "asks again"),
        case("501, `x-should-retry: true`", with(501, &[("x-should-retry", "true")]), "asks again"),
        case("520", with(520, &[]), "asks again"),
        case("524 with a web page", instead(524, "text/html", PAGE), "asks again"),
        case("529", with(529, &[]), "asks again"),
        case("529 on and on", with(529, &[]), "asks 8 times, then gives up, the next model after 3")
            .on_and_on(),
    ]
}

/// What asking again never mends.
fn refusals() -> Vec<Case> {
    vec![
        case("400", with(400, &[]), "gives up: refused (400), the next model"),
        case(
            "400, `x-should-retry: true`",
            with(400, &[("x-should-retry", "true")]),
            "gives up: refused (400), the next model",
        ),
        case("422", with(422, &[]), "gives up: refused (422), the next model"),
        case("context full", Fault::ContextFull, "gives up: context full (400)"),
        case("413", with(413, &[]), "gives up: context full (413)"),
        case("401", with(401, &[]), "").each([
            "gives up: key refused (401), names `ANTHROPIC_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
        ]),
        case("403", with(403, &[]), "").each([
            "gives up: key refused (403), names `ANTHROPIC_API_KEY`, the next model",
            "gives up: key refused (403), names `OPENAI_API_KEY`, the next model",
            "gives up: key refused (403), names `OPENAI_API_KEY`, the next model",
        ]),
        case("quota spent", Fault::QuotaSpent, "").each([
            "gives up: quota spent (400), the next model",
            "gives up: quota spent (429), the next model",
            "gives up: quota spent (429), the next model",
        ]),
        case("402", with(402, &[]), "gives up: quota spent (402), the next model"),
        case("404", with(404, &[]), "gives up: model unknown (404), the next model"),
        case("405", with(405, &[]), "gives up: refused (405), the next model"),
        case("501", with(501, &[]), "gives up: refused (501), the next model"),
        case(
            "a redirect",
            Fault::Instead {
                status: 307,
                headers: vec![("location", "http://127.0.0.1:9/".to_owned())],
                body: String::new(),
            },
            "gives up: refused (307), the next model",
        ),
    ]
}

/// What claims to be a reply.
fn no_replies() -> Vec<Case> {
    let whole = r#"{"id":"x","object":"whole","choices":[],"content":[],"output":[]}"#;
    let hidden = r#"{"error":{"message":"The model is overloaded","type":"server_error","code":503}}"#;
    let key = r#"{"error":{"message":"No auth credentials found","code":401}}"#;
    let told =
        r#"{"error":{"message":"No api key passed in.","type":"auth_error","param":"None","code":"401"}}"#;
    vec![
        case("200 with a web page", instead(200, "text/html", PAGE), "asks again, or the next model at once"),
        case(
            "200 with a web page on and on",
            instead(200, "text/html", PAGE),
            "asks 3 times, then gives up: no protocol, the next model",
        )
        .on_and_on(),
        case(
            "200 with JSON that is no stream",
            instead(200, "application/json", whole),
            "asks again, or the next model at once",
        ),
        case("200 with an error in JSON", instead(200, "application/json", hidden), "asks again"),
        case("200 with a refused key in JSON", instead(200, "application/json", key), "").each([
            "gives up: key refused (401), names `ANTHROPIC_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
        ]),
        case(
            "200 with a refused key in JSON, its status as text",
            instead(200, "application/json", told),
            "",
        )
        .each([
            "gives up: key refused (401), names `ANTHROPIC_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
            "gives up: key refused (401), names `OPENAI_API_KEY`, the next model",
        ]),
        case("200 with nothing", instead(200, "text/event-stream", ""), "asks again"),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_reply_is_asked_for_again_where_that_can_help() {
    try_all(cases()).await;
}

#[tokio::test(start_paused = true)]
async fn a_text_that_never_ends_is_read_for_ten_seconds() {
    for wire in WIRES {
        let server = Server::Fails(vec![Fault::EndlessError { status: 503 }]);
        let bench = Bench::new(wire, CALLS, &server).await;
        let begun = Instant::now();
        let error = bench.model().reply(&bench.conversation(), None, &Unheard).await.unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        // The clock stands while something is done, and jumps while nothing is; a byte comes every nine seconds.
        assert!((10..60).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    }
}
