//! Downloads that break, stall or bring other bytes, and files that are in the cache already.

use std::path::PathBuf;
use std::sync::Barrier;
use std::time::Duration;

use cutmix_vision::weights::hub::HubError;
use tempfile::TempDir;

use crate::{ID, assert_fetches, cache, fetch, hub, server, serving, shown, weights};

/// The content of the weights in the cache, which has the name of their hash.
fn blob(cache: &TempDir) -> PathBuf {
    let folder = cache.path().join("models--timm--resnet50.a1_in1k");
    folder.join("blobs").join(server::sha256(&weights()))
}

/// What a download that is not complete has left of the weights.
fn part(cache: &TempDir) -> PathBuf {
    blob(cache).with_added_extension("part")
}

#[test]
fn a_download_resumes_where_the_connection_broke() {
    let (server, cache) = (server(), cache());
    server.state().drops = 2;
    let mut steps = Vec::new();
    let files = hub(&server, &cache).fetch(ID, &mut |file, done, _| {
        if file == "model.safetensors" {
            steps.push(done);
            assert_eq!(shown(&cache), ["config.json"]);
        }
    });
    assert_eq!(std::fs::read(files.unwrap().weights).unwrap(), weights());
    assert!(steps.is_sorted());
    let state = server.state();
    let ranges = state
        .downloads()
        .into_iter()
        .filter(|request| request.contains("/storage/"));
    let ranges: Vec<_> = ranges
        .filter_map(|request| request.lines().find(|line| line.starts_with("range:")))
        .collect();
    let expected = [
        "range: bytes=0-",
        "range: bytes=150000-",
        "range: bytes=225000-",
    ];
    assert_eq!(ranges, expected);
}

#[test]
fn a_connection_that_breaks_always_keeps_what_has_arrived_for_the_next_fetch() {
    let (server, cache) = (server(), cache());
    server.state().drops = usize::MAX;
    let error = fetch(&hub(&server, &cache), ID).unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(
            error,
            HubError::Dropped {
                tries: 3,
                kept: 262_500,
                total: 300_000,
                ..
            }
        ),
        "{message}"
    );
    let start = format!(
        "the connection to {} broke 3 times during model.safetensors of {ID}: ",
        server.endpoint()
    );
    assert!(message.starts_with(&start), "{message}");
    assert!(
        message.ends_with("262500 of 300000 bytes are kept, and the next attempt resumes there"),
        "{message}"
    );
    assert!(!message.contains('\n'));
    assert_eq!(shown(&cache), ["config.json"]);
    let offline = fetch(&hub(&server, &cache).with_offline(true), ID).unwrap_err();
    assert!(matches!(offline, HubError::NotCached { .. }), "{offline}");

    server.state().drops = 0;
    server.state().requests.clear();
    let files = fetch(&hub(&server, &cache), ID).unwrap();
    assert_eq!(std::fs::read(files.weights).unwrap(), weights());
    assert!(
        server
            .state()
            .downloads()
            .iter()
            .all(|it| it.contains("range: bytes=262500-"))
    );
}

#[test]
fn fetches_at_the_same_time_download_once() {
    let (server, cache) = (serving(&["model.safetensors"]), cache());
    let (hub, start) = (hub(&server, &cache), Barrier::new(4));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                fetch(&hub, "a/b").unwrap()
            });
        }
    });
    let state = server.state();
    let downloads = state.downloads().into_iter();
    let downloads = downloads.filter(|request| request.contains("/storage/"));
    assert_eq!(downloads.count(), 1);
}

#[test]
fn a_part_is_completed_checked_and_thrown_away_only_if_it_is_damaged() {
    let content = weights();
    let damaged = [&content[..99_999], &[0]].concat();
    let too_long = [&content[..], b"and more"].concat();
    // What is kept, and where the requests for the content start.
    let cases: [(&[u8], &[&str]); 5] = [
        (&content, &[]),
        (&content[..100_000], &["100000-"]),
        (&damaged, &["100000-", "0-"]),
        (&[0; 300_000], &["0-"]),
        (&too_long, &["0-"]),
    ];
    for (kept, expected) in cases {
        let (server, cache) = (server(), cache());
        std::fs::create_dir_all(part(&cache).parent().unwrap()).unwrap();
        std::fs::write(part(&cache), kept).unwrap();
        assert_fetches(&hub(&server, &cache));
        assert!(!part(&cache).exists());
        let state = server.state();
        let downloads = state.downloads().into_iter();
        let starts: Vec<_> = downloads
            .filter(|request| request.contains("/storage/"))
            .filter_map(|request| request.split("range: bytes=").nth(1)?.lines().next())
            .collect();
        assert_eq!(starts, expected);
    }
}

#[test]
fn a_host_that_ignores_ranges_sends_the_file_from_its_start() {
    let (server, cache) = (server(), cache());
    server.state().ignores_ranges = true;
    server.state().drops = 1;
    let mut steps = Vec::new();
    let files = hub(&server, &cache).fetch(ID, &mut |file, done, _| {
        if file == "model.safetensors" {
            steps.push(done);
        }
    });
    assert_eq!(std::fs::read(files.unwrap().weights).unwrap(), weights());
    let starts = steps.iter().filter(|done| **done == 0).count();
    assert_eq!((starts, steps.last()), (2, Some(&300_000)));
}

#[test]
fn a_hub_that_falls_silent_is_asked_again() {
    let (server, cache) = (server(), cache());
    let stalls = [
        ("GET /api/", 0),
        ("HEAD ", 0),
        ("GET /storage/", 20),
        ("GET /storage/", 100_000),
    ];
    server.state().stalls = stalls.map(|(start, bytes)| (start.into(), bytes)).into();
    let hub = hub(&server, &cache).with_tries(20, Duration::ZERO);
    assert_fetches(&hub.with_timeout(Duration::from_millis(100)));
    assert_eq!(server.state().stalls, []);
}

#[test]
fn a_hub_that_is_always_silent_is_an_error() {
    let (server, cache) = (server(), cache());
    let hub = hub(&server, &cache).with_tries(2, Duration::ZERO);
    let hub = hub.with_timeout(Duration::from_millis(200));
    server.state().stalls = vec![("GET /storage/".into(), 100_000); 2];
    let message = fetch(&hub, ID).unwrap_err().to_string();
    assert!(message.starts_with("the connection to "), "{message}");
    assert!(message.contains(": no answer within 200ms; "), "{message}");
    server.state().stalls = vec![("GET /api/".into(), 0); 2];
    let message = fetch(&hub, ID).unwrap_err().to_string();
    let expected = format!("cannot reach {}: no answer within 200ms", server.endpoint());
    assert_eq!(message, expected);
}

#[test]
fn a_file_with_another_hash_is_refused_and_removed() {
    let (server, cache) = (server(), cache());
    let wrong = "ab".repeat(32);
    server.state().wrong_hash = Some(wrong.clone());
    let blob = blob(&cache).with_file_name(wrong);
    let error = hub(&server, &cache).fetch(ID, &mut |file, _, _| {
        // Not even when all of it has arrived.
        assert!(file == "config.json" || !blob.exists());
    });
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            HubError::Damaged {
                what: "SHA-256",
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(shown(&cache), ["config.json"]);
    assert!(!blob.exists() && !blob.with_added_extension("part").exists());
    server.state().wrong_hash = None;
    assert_fetches(&hub(&server, &cache));
}

#[test]
fn a_file_with_another_length_is_refused_and_removed() {
    let (server, cache) = (server(), cache());
    server.state().wrong_length = Some(1000);
    let error = fetch(&hub(&server, &cache), ID).unwrap_err();
    let expected =
        format!("model.safetensors of {ID} arrived damaged: length is 300000, expected 1000");
    assert_eq!(error.to_string(), expected);
    assert_eq!(shown(&cache), ["config.json"]);
    assert!(!part(&cache).exists());
}

#[test]
fn a_damaged_file_of_the_cache_is_not_used_for_a_new_commit() {
    let (server, cache) = (server(), cache());
    assert_fetches(&hub(&server, &cache));
    std::fs::write(blob(&cache), vec![0; 300_000]).unwrap();
    server.state().commit = "c0de".repeat(10);
    assert_fetches(&hub(&server, &cache));
}

#[test]
fn a_deleted_file_of_the_cache_is_downloaded_again() {
    let (server, cache) = (server(), cache());
    assert_fetches(&hub(&server, &cache));
    std::fs::remove_file(blob(&cache)).unwrap();
    assert_fetches(&hub(&server, &cache));
    assert!(blob(&cache).exists());
}

#[cfg(unix)]
#[test]
fn a_link_to_a_file_that_is_gone_is_replaced() {
    let (server, cache) = (server(), cache());
    let files = fetch(&hub(&server, &cache), ID).unwrap();
    std::fs::remove_file(&files.weights).unwrap();
    std::os::unix::fs::symlink(cache.path().join("gone"), &files.weights).unwrap();
    assert_fetches(&hub(&server, &cache));
    assert!(blob(&cache).exists());
}
