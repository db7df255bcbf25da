//! Requests and answers: tags, redirects, tokens and errors.

use std::path::PathBuf;

use cutmix_vision::weights::hub::{Hub, HubError};

use crate::{ID, assert_fetches, cache, fetch, files, hub, server, weights};

#[test]
fn a_tag_that_is_no_name_of_a_file_is_refused() {
    for tag in ["../../../../x", "x/", "..", "", "/x"] {
        let (server, cache) = (server(), cache());
        let headers = vec![
            format!("x-repo-commit: {}", server.state().commit),
            format!("x-linked-etag: \"{tag}\""),
            "x-linked-size: 1000".into(),
            format!("location: {}/storage/model.safetensors", server.endpoint()),
        ];
        server.state().replies = vec![("HEAD ".into(), 302, headers)];
        let error = fetch(&hub(&server, &cache), ID).unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
        assert_eq!(files(cache.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn the_tag_and_commit_of_a_later_answer_name_no_files() {
    let (server, cache) = (server(), cache());
    let headers = vec![
        "x-repo-commit: ../../y".into(),
        "x-linked-etag: \"../../../../x\"".into(),
        format!("location: {}/storage/model.safetensors", server.endpoint()),
    ];
    let start = format!("GET /{ID}/resolve/{}/model", server.state().commit);
    server.state().replies = vec![(start, 302, headers)];
    let folder = cache.path().join("a/b/c/d");
    let hub = Hub::new(&folder).with_endpoint(&server.endpoint());
    assert_fetches(&hub);
    assert!(
        files(cache.path())
            .iter()
            .all(|path| path.starts_with(&folder))
    );
}

#[test]
fn redirects_that_lead_nowhere_are_refused() {
    let (server, cache) = (server(), cache());
    let redirects = [
        (None, "it redirects to ``, expected an address"),
        (
            Some("ftp://127.0.0.1/x"),
            "it redirects to `ftp://127.0.0.1/x`, expected an address",
        ),
        (Some("/loop"), "it redirects a request more than 10 times"),
    ];
    for (location, expected) in redirects {
        let headers: Vec<_> = location
            .iter()
            .map(|it| format!("location: {it}"))
            .collect();
        server.state().replies = ["HEAD /timm/", "GET /timm/", "HEAD /loop", "GET /loop"]
            .map(|start| (start.into(), 307, headers.clone()))
            .into();
        let error = fetch(&hub(&server, &cache), ID).unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error}");
        assert!(error.to_string().ends_with(expected), "{error}");
    }
}

#[test]
fn a_redirect_within_the_hub_is_followed() {
    let (server, cache) = (server(), cache());
    let resolve = format!("resolve/{}", server.state().commit);
    server.state().replies = ["HEAD", "GET"]
        .map(|method| {
            let start = format!("{method} /old/name/{resolve}/model.safetensors");
            let location = format!("location: /{ID}/{resolve}/model.safetensors");
            (start, 307, vec![location])
        })
        .into();
    let moved = vec![format!("location: /api/models/{ID}/revision/main")];
    let list = "GET /api/models/old/name/revision/main".into();
    server.state().replies.push((list, 307, moved));
    server
        .state()
        .files
        .retain(|(name, _)| name != "config.json");
    let hub = hub(&server, &cache).with_token("hf_secret");
    let files = fetch(&hub, "old/name").unwrap();
    assert_eq!(std::fs::read(files.weights).unwrap(), weights());
    let token = "authorization: bearer hf_secret";
    assert!(server.state().requests.iter().all(|it| it.contains(token)));
}

#[test]
fn a_token_is_sent_and_not_shown() {
    let (server, cache) = (server(), cache());
    let hub = hub(&server, &cache).with_token("hf_secret\n");
    fetch(&hub, ID).unwrap();
    assert!(server.state().requests[0].contains("authorization: bearer hf_secret"));
    assert!(!format!("{hub:?}").contains("hf_secret"));
}

#[test]
fn the_host_that_stores_the_files_gets_no_token() {
    for prefix in ["http:", ""] {
        let (server, storage, cache) = (server(), server(), cache());
        server.state().storage = Some(storage.endpoint().replace("http:", prefix));
        assert_fetches(&hub(&server, &cache).with_token("hf_secret"));
        let token = "authorization: bearer hf_secret";
        assert!(server.state().requests.iter().all(|it| it.contains(token)));
        let state = storage.state();
        assert_eq!(state.requests.len(), 1);
        assert!(!state.requests[0].contains("authorization"));
    }
}

#[test]
fn a_blank_token_is_not_sent() {
    for token in ["", " \n"] {
        let (server, cache) = (server(), cache());
        assert_fetches(&hub(&server, &cache).with_token(token));
        let state = server.state();
        let mut requests = state.requests.iter();
        assert!(requests.all(|request| !request.contains("authorization")));
    }
}

#[test]
fn an_address_or_a_token_that_cannot_be_sent_is_refused() {
    let (server, cache) = (server(), cache());
    for endpoint in ["", "localhost:8000", "ftp://localhost", "http://a b"] {
        let error = fetch(&hub(&server, &cache).with_endpoint(endpoint), ID).unwrap_err();
        let expected = format!(
            "`{endpoint}` is not the address of a hub, expected one such as https://huggingface.co"
        );
        assert_eq!(error.to_string(), expected);
    }
    let error = fetch(&hub(&server, &cache).with_token("hf_a\nb"), ID).unwrap_err();
    assert!(matches!(error, HubError::Token), "{error}");
    assert!(server.state().requests.is_empty());
}

#[test]
fn the_list_of_files_is_tried_again_unless_the_cache_has_the_weights() {
    let (server, cache) = (server(), cache());
    server.state().failures = 2;
    assert_fetches(&hub(&server, &cache));
    assert_eq!(server.state().failures, 0);
    server.state().failures = usize::MAX;
    server.state().requests.clear();
    assert_fetches(&hub(&server, &cache));
    assert_eq!(server.state().requests.len(), 1);
}

#[test]
fn a_hub_that_does_not_answer_is_named() {
    let (server, cache) = (server(), cache());
    let (hub, endpoint) = (hub(&server, &cache), server.endpoint());
    server.state().failures = usize::MAX;
    let error = fetch(&hub, ID).unwrap_err();
    let expected = format!("{endpoint} answered with HTTP status 503 for {ID}");
    assert_eq!(error.to_string(), expected);
    drop(server);
    let error = fetch(&hub, ID).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot reach {endpoint}: ")),
        "{error}"
    );
    assert_eq!(files(cache.path()), Vec::<PathBuf>::new());
}
