//! A Hugging Face Hub with one repository, on a port of this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

/// What the hub has and does; a test may change it while the hub runs.
pub struct State {
    /// Owner and name of the repository.
    pub id: String,
    /// Branch and the commit that it names.
    pub revision: String,
    pub commit: String,
    /// Name and content of the files.
    pub files: Vec<(String, Vec<u8>)>,
    /// Number of downloads that break in the middle.
    pub drops: usize,
    /// Hash of the weights, where the hub announces a wrong one.
    pub wrong_hash: Option<String>,
    /// Status of every answer, where it is not the usual one.
    pub status: Option<u16>,
    /// The requests so far: the first line and the headers, which are in lower case.
    pub requests: Vec<String>,
}

impl State {
    /// The requests for a part of a file that is more than its first byte.
    pub fn downloads(&self) -> Vec<&String> {
        let is_download = |request: &&String| {
            !request.starts_with("GET /api/") && !request.contains("range: bytes=0-0")
        };
        self.requests.iter().filter(is_download).collect()
    }

    fn content(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.iter().find(|(file, _)| file == name);
        file.map(|(_, content)| content.as_slice())
    }
}

/// The running hub, which stops when it is dropped.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a hub with the repository `id` of some files.
    pub fn start(id: &str, files: &[(&str, &[u8])]) -> Self {
        let owned = |(name, content): &(&str, &[u8])| (name.to_string(), content.to_vec());
        let state = State {
            id: id.into(),
            revision: "main".into(),
            commit: "5f3a".repeat(10),
            files: files.iter().map(owned).collect(),
            drops: 0,
            wrong_hash: None,
            status: None,
            requests: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for connection in listener.incoming() {
                if answer(connection.unwrap(), address, &shared).is_none() {
                    break;
                }
            }
        });
        Self {
            address,
            state,
            thread: Some(thread),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A connection without a request ends the thread.
        drop(TcpStream::connect(self.address));
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Answers one request, or returns nothing where there is none.
fn answer(mut stream: TcpStream, address: SocketAddr, state: &Mutex<State>) -> Option<()> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let lines = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let mut lines = lines.enumerate().map(|(at, line)| match at {
        0 => line,
        _ => line.to_lowercase(),
    });
    let first = lines.next()?;
    let rest: Vec<_> = lines.collect();
    let mut state = state.lock().unwrap();
    state.requests.push(format!("{first}\n{}", rest.join("\n")));
    let path = first.split(' ').nth(1).unwrap();
    let range = rest
        .iter()
        .find_map(|line| line.strip_prefix("range: bytes="));
    let reply = match state.status {
        Some(status) => head(status, &[], 0),
        None => reply(&mut state, path, range, address),
    };
    // The other side may have gone.
    let _ = stream.write_all(&reply);
    Some(())
}

fn reply(state: &mut State, path: &str, range: Option<&str>, address: SocketAddr) -> Vec<u8> {
    let State {
        id,
        revision,
        commit,
        ..
    } = &*state;
    let resolved = path.strip_prefix(&format!("/{id}/resolve/{commit}/"));
    if let Some(asked) = path.strip_prefix(&format!("/api/models/{id}/revision/")) {
        if asked != revision && asked != commit {
            return head(404, &["x-error-code: RevisionNotFound".into()], 0);
        }
        let files: Vec<_> = (state.files.iter())
            .map(|(name, _)| serde_json::json!({ "rfilename": name }))
            .collect();
        let list = serde_json::json!({ "sha": commit, "siblings": files }).to_string();
        [head(200, &[], list.len()), list.into_bytes()].concat()
    } else if let Some(content) = resolved.and_then(|name| state.content(name)) {
        let name = resolved.unwrap_or_default();
        let hash = sha256(content);
        let commit = format!("x-repo-commit: {commit}");
        if name.ends_with(".json") {
            // A small file comes at once, with the hash that git has of it.
            let etag = format!("etag: \"{}\"", &hash[..40]);
            return part(content, range, &[commit, etag], false);
        }
        let hash = state.wrong_hash.as_ref().unwrap_or(&hash);
        let headers = [
            commit,
            format!("x-linked-etag: \"{hash}\""),
            format!("x-linked-size: {}", content.len()),
            format!("location: http://{address}/storage/{name}"),
        ];
        head(302, &headers, 0)
    } else if let Some(name) = path.strip_prefix("/storage/") {
        let breaks = state.drops > 0 && range != Some("0-0");
        state.drops -= usize::from(breaks);
        let content = state.content(name).unwrap();
        part(content, range, &["etag: \"of-the-storage\"".into()], breaks)
    } else {
        head(404, &[], 0)
    }
}

/// The part of a file that a range such as `7-` or `0-0` asks for, or only half of that part.
fn part(content: &[u8], range: Option<&str>, headers: &[String], breaks: bool) -> Vec<u8> {
    let (first, last) = range.unwrap().split_once('-').unwrap();
    let first: usize = first.parse().unwrap();
    let end = last.parse().map_or(content.len(), |last: usize| last + 1);
    if first >= content.len() {
        return head(416, &[], 0);
    }
    let body = &content[first..end];
    let place = format!("content-range: bytes {first}-{}/{}", end - 1, content.len());
    let headers = [headers, &[place]].concat();
    let sent = if breaks { body.len() / 2 } else { body.len() };
    [&head(206, &headers, body.len()), &body[..sent]].concat()
}

fn head(status: u16, headers: &[String], length: usize) -> Vec<u8> {
    let mut lines = vec![format!("HTTP/1.1 {status} Reply")];
    lines.extend(headers.iter().cloned());
    lines.push(format!("content-length: {length}"));
    lines.push("connection: close\r\n\r\n".into());
    lines.join("\r\n").into_bytes()
}

fn sha256(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
