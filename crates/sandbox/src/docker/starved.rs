//! Whether a container ended for want of memory, as its engine tells.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;

use super::engine::Engine;
use crate::calls::STARVED;

/// An engine tells of it some moments before or after the end. Whoever waits for an answer waits so much longer.
const LATER: Duration = Duration::from_secs(2);
const EARLIER: Duration = Duration::from_secs(5);

/// Why `container` ended: `over`, unless its engine knows better. The container itself is gone by now.
pub(super) async fn reason(engine: Engine, container: String, over: String) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(EARLIER);
    let told = HashMap::from([("container", vec![container]), ("event", vec!["oom".to_owned()])]);
    let options = EventsOptionsBuilder::new().filters(&told).since(&since.as_secs().to_string()).build();
    let mut events = engine.client.events(Some(options));
    match tokio::time::timeout(LATER, events.next()).await {
        Ok(Some(Ok(_))) => STARVED.to_owned(),
        Ok(Some(Err(_)) | None) | Err(_) => over,
    }
}
