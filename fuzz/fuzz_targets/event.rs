//! An entry that can be read is written so that it is read as the same again, and nothing that is stored panics.
#![no_main]

use events::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Some((kind, payload)) = text.split_once('\n') else { return };
    let Ok(event) = Event::decode(kind, 1, payload) else { return };
    assert_eq!(event.kind(), kind);
    let written = event.payload().expect("what was read from JSON can be written as JSON");
    let again = Event::decode(kind, 1, &written).expect("what was written can be read");
    assert_eq!(again.payload().expect("and be written again"), written);
});
