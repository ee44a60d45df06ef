//! The recording of a session.

use events::{BaseChosen, Event, Oid, Remote, SessionId, Tenant};
use session::recording::{ReadError, Recording};

use crate::changes::repository;
use crate::world::{self, SECRET, World, ended, said};

/// A session on a repository whose `main` holds `file`; it goes on until its end is written.
async fn session(world: &World, folder: &tempfile::TempDir, file: &str) -> (SessionId, Oid) {
    std::fs::write(folder.path().join("kept.txt"), file).unwrap();
    let (base, commit) = repository(folder.path());
    let remote = Remote::Local(folder.path().to_owned());
    let source = repo::Source { remote: remote.clone(), tenant: Tenant::default(), credential: None };
    world.repos.mirror(&source).await.unwrap();
    let id = world.begin(1).await;
    let chosen = BaseChosen { remote, base: "main".parse().unwrap(), commit: base };
    world.append(id, &[Event::BaseChosen(chosen), said("I look around.")]).await;
    (id, commit)
}

async fn get(world: &World, path: &str) -> Result<Recording, ReadError> {
    let response = world.get(path).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    Recording::read(&*response.bytes().await.unwrap())
}

#[tokio::test]
async fn a_session_is_had_as_a_file_with_its_code() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (id, _) = session(&world, &folder, "kept\n").await;
    let path = format!("/v1/sessions/{id}/recording");
    // It goes on; the file holds what there is.
    assert_eq!(get(&world, &path).await.unwrap().entries.len(), 3);
    world.append(id, &[ended()]).await;

    let response = world.get(&path).send().await.unwrap();
    let name = format!("attachment; filename=\"{id}.recording.jsonl\"");
    assert_eq!(response.headers()["content-disposition"], name);
    let text = response.text().await.unwrap();
    assert!(
        text.starts_with(&format!(r#"{{"recording":{{"format":1,"release":"0.1.0","session":"{id}"}}}}"#))
    );
    let recording = Recording::read(text.as_bytes()).unwrap();
    assert_eq!(recording.session, id);
    let kinds: Vec<_> = recording.entries.iter().map(|entry| entry.event.kind()).collect();
    assert_eq!(kinds, ["session_requested", "base_chosen", "said", "session_ended"]);
    let log = world.sessions.store().log.read_after(id, 0, 10).await.unwrap();
    for (read, there) in recording.entries.iter().zip(&log) {
        assert_eq!((read.seq, read.attempt, read.at_us), (there.seq, there.attempt, there.at_us));
        assert_eq!(read.event.payload().unwrap(), there.event.payload().unwrap());
    }
    let packed = recording.code.unwrap().packed.unwrap();
    assert!(packed.ends.is_empty() && packed.bytes.starts_with(b"PACK"));
}

#[tokio::test]
async fn code_is_left_out_when_it_is_not_wanted_or_gone() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (id, _) = session(&world, &folder, "kept\n").await;
    let why = async |path: String| get(&world, &path).await.unwrap().code.unwrap().packed.unwrap_err();
    assert_eq!(why(format!("/v1/sessions/{id}/recording?code=leave_out")).await, "it was not wanted");
    let gone = BaseChosen {
        remote: Remote::Local("/nowhere".into()),
        base: "main".parse().unwrap(),
        commit: "0123456789012345678901234567890123456789".parse().unwrap(),
    };
    world.append(id, &[Event::BaseChosen(gone)]).await;
    assert_eq!(why(format!("/v1/sessions/{id}/recording")).await, "the mirror of the repository is gone");
}

#[tokio::test]
async fn no_secret_of_the_service_leaves_in_a_recording() {
    let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
    let (id, _) = session(&world, &folder, &format!("token = {SECRET}\n")).await;
    // As if it was written before the service came to hold it.
    world.append(id, &[said(&format!("I found {SECRET}."))]).await;
    let text = world.get(&format!("/v1/sessions/{id}/recording")).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains(SECRET), "{text}");
    assert!(text.contains("I found [redacted]."), "{text}");
    let code = Recording::read(text.as_bytes()).unwrap().code.unwrap();
    assert_eq!(code.packed.unwrap_err(), "it may hold a secret of this service");
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_said() {
    let world = World::new().await;
    let id = world.begin(1).await;
    let code = async |path: String| world::read(world.get(&path).send().await.unwrap()).await["code"].clone();
    let none = id.to_string().replace('1', "2");
    assert_eq!(code(format!("/v1/sessions/{none}/recording")).await, "session_not_found");
    assert_eq!(code(format!("/v1/sessions/{id}/recording?code=maybe")).await, "invalid_parameter");
    assert_eq!(code(format!("/v1/sessions/{id}/recording?cod=include")).await, "invalid_parameter");
    assert!(get(&world, &format!("/v1/sessions/{id}/recording")).await.unwrap().code.is_none());
}
