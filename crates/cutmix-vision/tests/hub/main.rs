//! Weights from a hub, on a server of the test's own.

mod download;
mod requests;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cutmix_vision::weights::hub::{Hub, HubError, HubFiles};
use server::Server;
use tempfile::TempDir;

const ID: &str = "timm/resnet50.a1_in1k";
const CONFIG: &str = r#"{ "architecture": "resnet50", "num_classes": 1000 }"#;

/// Content that has the same byte nowhere twice in a row, longer than any buffer on the way.
fn weights() -> Vec<u8> {
    (0..300_000_u32).map(|at| (at * 7 % 251) as u8).collect()
}

fn server() -> Server {
    let (readme, config) = (b"# ResNet", CONFIG.as_bytes());
    let files: [(&str, &[u8]); 4] = [
        ("README.md", readme),
        ("config.json", config),
        ("model.safetensors", &weights()),
        ("pytorch_model.bin", b"the same weights"),
    ];
    Server::start(ID, &files)
}

fn hub(server: &Server, cache: &TempDir) -> Hub {
    Hub::new(cache.path())
        .with_endpoint(&server.endpoint())
        .with_tries(3, Duration::ZERO)
}

fn fetch(hub: &Hub, id: &str) -> Result<HubFiles, HubError> {
    hub.fetch(id, &mut |_, _, _| ())
}

fn cache() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// All files in a folder and in the folders in it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Names of the files that the cache shows under their own names.
fn shown(cache: &TempDir) -> Vec<String> {
    let paths = files(cache.path()).into_iter();
    let paths = paths.filter(|path| {
        path.components()
            .any(|part| part.as_os_str() == "snapshots")
    });
    let mut names: Vec<_> = paths
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn assert_fetches(hub: &Hub) {
    let files = fetch(hub, ID).unwrap();
    assert_eq!(std::fs::read(files.weights).unwrap(), weights());
}

#[test]
fn a_fetch_downloads_the_weights_and_their_configuration() {
    let (server, cache) = (server(), cache());
    let mut steps = Vec::new();
    let mut progress =
        |file: &str, done: u64, total: u64| steps.push((file.to_owned(), done, total));
    let files = hub(&server, &cache).fetch(ID, &mut progress).unwrap();
    assert_eq!(std::fs::read(&files.weights).unwrap(), weights());
    assert_eq!(files.weights.file_name().unwrap(), "model.safetensors");
    assert_eq!(files.config.unwrap().architecture, "resnet50");
    assert_eq!(files.commit, server.state().commit);
    assert_eq!(shown(&cache), ["config.json", "model.safetensors"]);

    let of_weights: Vec<_> = steps
        .iter()
        .filter(|step| step.0 == "model.safetensors")
        .collect();
    assert!(of_weights.iter().all(|step| step.2 == 300_000));
    assert!(of_weights.is_sorted_by_key(|step| step.1));
    assert_eq!(of_weights.last().unwrap().1, 300_000);
}

#[test]
fn a_second_fetch_downloads_nothing() {
    let (server, cache) = (server(), cache());
    let first = fetch(&hub(&server, &cache), ID).unwrap();
    server.state().requests.clear();
    assert_eq!(fetch(&hub(&server, &cache), ID).unwrap(), first);
    let requests = &server.state().requests;
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("GET /api/models/timm/resnet50.a1_in1k/revision/main "));
}

#[test]
fn the_cache_serves_where_no_hub_answers() {
    let (server, cache) = (server(), cache());
    let first = fetch(&hub(&server, &cache), ID).unwrap();
    let offline = hub(&server, &cache).with_offline(true);
    server.state().requests.clear();
    assert_eq!(fetch(&offline, ID).unwrap(), first);
    assert!(server.state().requests.is_empty());
    // The commit is a revision, too.
    let pinned = format!("{ID}@{}", first.commit);
    assert_eq!(fetch(&offline, &pinned).unwrap(), first);
    server.state().failures = usize::MAX;
    assert_eq!(fetch(&hub(&server, &cache), ID).unwrap(), first);
    let hub = hub(&server, &cache);
    drop(server);
    assert_eq!(fetch(&hub, ID).unwrap(), first);
}

#[test]
fn a_new_commit_downloads_only_what_has_changed() {
    let (server, cache) = (server(), cache());
    let first = fetch(&hub(&server, &cache), ID).unwrap();
    let config = br#"{ "architecture": "resnet50d" }"#;
    server.state().commit = "c0de".repeat(10);
    server.state().files[1].1 = config.to_vec();
    server.state().requests.clear();
    let second = fetch(&hub(&server, &cache), ID).unwrap();
    assert_ne!(second.commit, first.commit);
    assert_eq!(second.config.unwrap().architecture, "resnet50d");
    assert_eq!(std::fs::read(second.weights).unwrap(), weights());
    let state = server.state();
    let downloads = state.downloads();
    assert_eq!(downloads.len(), 1);
    assert!(downloads[0].contains("/config.json "));
}

#[test]
fn a_revision_is_fetched_by_its_name() {
    let (server, cache) = (server(), cache());
    server.state().revision = "v2.0".into();
    let files = fetch(&hub(&server, &cache), "timm/resnet50.a1_in1k@v2.0").unwrap();
    assert_eq!(std::fs::read(files.weights).unwrap(), weights());
    let error = fetch(&hub(&server, &cache), "timm/resnet50.a1_in1k@v3").unwrap_err();
    let expected =
        "timm/resnet50.a1_in1k has no revision `v3`, expected a branch, a tag or a commit";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_repository_that_does_not_exist_is_named() {
    let (server, cache) = (server(), cache());
    let error = fetch(&hub(&server, &cache), "timm/resnet51").unwrap_err();
    let expected = format!(
        "{} has no repository timm/resnet51; a private one needs HF_TOKEN",
        server.endpoint()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(files(cache.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_weights_of_a_repository_are_in_the_file_that_is_most_surely_theirs() {
    let choices: [(&[&str], &str); 4] = [
        (
            &["a.pth", "pytorch_model.bin", "model.safetensors"],
            "model.safetensors",
        ),
        (&["a.pth", "pytorch_model.bin"], "pytorch_model.bin"),
        (
            &["README.md", "a.onnx", "a.pth", "onnx/model.safetensors"],
            "a.pth",
        ),
        (&["ResNet 50.pth"], "ResNet 50.pth"),
    ];
    for (names, expected) in choices {
        let (server, cache) = (serving(names), cache());
        let files = fetch(&hub(&server, &cache), "a/b").unwrap();
        assert_eq!(files.weights.file_name().unwrap(), expected);
        assert_eq!(files.config, None);
    }
}

#[test]
fn weights_that_are_not_in_one_file_are_refused() {
    let messages = [
        (&["a.pth", "b.pt"][..], "found a.pth, b.pt"),
        (&["README.md"], "found README.md"),
        (&["../a.pth"], "found ../a.pth"),
        (&["a\n\u{1b}[2J.pth"], "found a\\n\\u{1b}[2J.pth"),
        (
            &[
                "model-00001-of-00002.safetensors",
                "model.safetensors.index.json",
            ],
            "the weights of a/b are in several parts (model.safetensors.index.json), expected one file",
        ),
    ];
    for (names, expected) in messages {
        let (server, cache) = (serving(names), cache());
        let error = fetch(&hub(&server, &cache), "a/b").unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(files(cache.path()), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_commit_that_is_no_name_of_a_file_is_shown_in_one_line() {
    for (commit, shown) in [("../x", "../x"), ("a\nb", "a\\nb"), ("", "")] {
        let (server, cache) = (server(), cache());
        server.state().commit = commit.into();
        let error = fetch(&hub(&server, &cache), ID).unwrap_err();
        let expected = format!(
            "{} does not answer as a Hugging Face Hub does: `{shown}` is no commit",
            server.endpoint()
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let (server, cache) = (server(), cache());
    let path = cache.path().join("file");
    std::fs::write(&path, "no folder").unwrap();
    let hub = Hub::new(&path).with_endpoint(&server.endpoint());
    let error = fetch(&hub, ID).unwrap_err();
    let expected = format!("cannot use the cache at {}", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// A hub with the repository `a/b` of files with these names.
fn serving(names: &[&str]) -> Server {
    let files: Vec<_> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    Server::start("a/b", &files)
}

#[test]
fn a_configuration_with_a_mistake_is_named() {
    let cache = cache();
    let config: (&str, &[u8]) = ("config.json", br#"{ "architecture": 50 }"#);
    let server = Server::start("a/b", &[config, ("model.safetensors", b"weights")]);
    let error = fetch(&hub(&server, &cache), "a/b").unwrap_err();
    assert!(matches!(error, HubError::Config { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("config.json: invalid type: integer `50`"),
        "{error}"
    );
}

#[test]
fn a_configuration_that_is_too_long_is_neither_downloaded_nor_read() {
    let (server, cache) = (server(), cache());
    let files = fetch(&hub(&server, &cache), ID).unwrap();
    let long = vec![b' '; 1_000_001];
    std::fs::write(files.weights.with_file_name("config.json"), &long).unwrap();
    server.state().commit = "c0de".repeat(10);
    server.state().files[1].1 = long;
    server.state().requests.clear();
    for hub in [
        hub(&server, &cache),
        hub(&server, &cache).with_offline(true),
    ] {
        let error = fetch(&hub, ID).unwrap_err();
        let expected = "config.json: 1000001 bytes, expected at most 1000000";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    assert!(server.state().downloads().is_empty());
}

#[test]
fn a_name_that_is_not_one_of_a_repository_is_refused() {
    let cache = cache();
    let hub = Hub::new(cache.path());
    let names = [
        "", "resnet50", "a/b/c", "/b", "a/", "a/..", "a b/c", "a/b@", "a/b@../c", "a/b@c@d",
    ];
    for id in names {
        let error = fetch(&hub, id).unwrap_err();
        assert!(matches!(error, HubError::Id { .. }), "{id}: {error}");
    }
}

/// Set to the folder that the cache is expected in, where the test below runs itself.
const CHILD: &str = "CUTMIX_TEST_HUB_FOLDER";

#[test]
fn the_environment_names_the_hub_and_the_cache() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let files = fetch(&Hub::from_env().unwrap(), ID).unwrap();
        assert!(
            files.weights.starts_with(folder),
            "{}",
            files.weights.display()
        );
        return;
    }
    let (server, home) = (server(), cache());
    let run = |variables: &[(&str, &Path)], folder: &Path| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        for name in [
            "HF_HOME",
            "HF_HUB_CACHE",
            "XDG_CACHE_HOME",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
        ] {
            child.env_remove(name);
        }
        child.args(["--exact", "the_environment_names_the_hub_and_the_cache"]);
        child
            .env("HF_ENDPOINT", format!("{}/", server.endpoint()))
            .env(CHILD, folder);
        child.envs(variables.iter().copied());
        let output = child.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| home.path().join(name));
    std::fs::create_dir(&a).unwrap();
    std::fs::write(a.join("token"), "hf_saved\n").unwrap();
    run(&[("HF_HOME", &a)], &a.join("hub"));
    assert!(server.state().requests[0].contains("authorization: bearer hf_saved"));
    server.state().requests.clear();
    run(
        &[("HF_HOME", &a), ("HF_TOKEN", Path::new(" "))],
        &a.join("hub"),
    );
    assert!(server.state().requests[0].contains("authorization: bearer hf_saved"));
    run(&[("HF_HOME", &a), ("HF_HUB_CACHE", &b)], &b);
    run(
        &[("XDG_CACHE_HOME", &c)],
        &c.join("huggingface").join("hub"),
    );
    server.state().requests.clear();
    run(
        &[("HF_HOME", &a), ("HF_HUB_OFFLINE", Path::new("1"))],
        &a.join("hub"),
    );
    assert!(server.state().requests.is_empty());
}
