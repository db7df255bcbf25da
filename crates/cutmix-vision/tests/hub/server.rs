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
    /// Beginnings of requests whose answer stops after a number of bytes, without an end of the
    /// connection. Each is for one request.
    pub stalls: Vec<(String, usize)>,
    /// Number of requests that are answered with status 503.
    pub failures: usize,
    /// Beginnings of requests that are answered with another status and these headers.
    pub replies: Vec<(String, u16, Vec<String>)>,
    /// Address of the host that has the large files, where it is not the hub.
    pub storage: Option<String>,
    /// Whether files are sent from their first byte on, whatever was asked for.
    pub ignores_ranges: bool,
    /// Hash of the weights, where the hub announces a wrong one.
    pub wrong_hash: Option<String>,
    /// Length of the weights, where the hub announces a wrong one.
    pub wrong_length: Option<usize>,
    /// The requests so far: the first line and the headers, which are in lower case.
    pub requests: Vec<String>,
}

impl State {
    /// The requests for the content of a file.
    pub fn downloads(&self) -> Vec<&String> {
        let is_download =
            |request: &&String| request.starts_with("GET ") && !request.starts_with("GET /api/");
        self.requests.iter().filter(is_download).collect()
    }

    fn content(&self, path: &str) -> Option<&[u8]> {
        let name = path.replace("%20", " ");
        let file = self.files.iter().find(|(file, _)| *file == name);
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
            stalls: Vec::new(),
            failures: 0,
            replies: Vec::new(),
            storage: None,
            ignores_ranges: false,
            wrong_hash: None,
            wrong_length: None,
            requests: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let mut stalled = Vec::new();
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                match answer(&connection, address, &shared) {
                    Some(After::Close) => {}
                    Some(After::Stall) => stalled.push(connection),
                    None => break,
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

/// What happens to a connection after its answer.
enum After {
    Close,
    Stall,
}

/// Answers one request, or returns nothing where there is none.
fn answer(mut stream: &TcpStream, address: SocketAddr, state: &Mutex<State>) -> Option<After> {
    let lines = BufReader::new(stream).lines();
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
        .find_map(|line| line.strip_prefix("range: bytes="))
        .filter(|_| !state.ignores_ranges);
    let other = (state.replies.iter()).find(|(start, ..)| first.starts_with(start));
    let mut reply = if state.failures > 0 {
        state.failures -= 1;
        head(503, &[], 0)
    } else if let Some((_, status, headers)) = other {
        head(*status, headers, 0)
    } else {
        reply(&mut state, path, range, address)
    };
    if first.starts_with("HEAD ") {
        let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        reply.truncate(end.unwrap() + 4);
    }
    let stall = state.stalls.iter();
    let stall = stall
        .enumerate()
        .find(|(_, (start, _))| first.starts_with(start));
    let stall = stall.map(|(at, _)| at).map(|at| state.stalls.remove(at));
    if let Some((_, bytes)) = &stall {
        reply.truncate(*bytes);
    }
    // The other side may have gone.
    let _ = stream.write_all(&reply);
    Some(stall.map_or(After::Close, |_| After::Stall))
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
        let length = state.wrong_length.unwrap_or(content.len());
        let hub = format!("http://{address}");
        let storage = state.storage.as_ref().unwrap_or(&hub);
        let headers = [
            commit,
            format!("x-linked-etag: \"{hash}\""),
            format!("x-linked-size: {length}"),
            format!("location: {storage}/storage/{name}"),
        ];
        head(302, &headers, 0)
    } else if let Some(name) = path.strip_prefix("/storage/") {
        let breaks = state.drops > 0;
        state.drops -= usize::from(breaks);
        let content = state.content(name).unwrap();
        part(content, range, &["etag: \"of-the-storage\"".into()], breaks)
    } else {
        head(404, &[], 0)
    }
}

/// The part of a file that a range such as `7-` asks for, or only half of that part.
fn part(content: &[u8], range: Option<&str>, headers: &[String], breaks: bool) -> Vec<u8> {
    let sent = |body: &[u8]| {
        let sent = if breaks { body.len() / 2 } else { body.len() };
        body[..sent].to_vec()
    };
    let Some(range) = range else {
        return [head(200, headers, content.len()), sent(content)].concat();
    };
    let first: usize = range.strip_suffix('-').unwrap().parse().unwrap();
    if first >= content.len() {
        return head(416, &[], 0);
    }
    let (body, last) = (&content[first..], content.len() - 1);
    let place = format!("content-range: bytes {first}-{last}/{}", content.len());
    let headers = [headers, &[place]].concat();
    [head(206, &headers, body.len()), sent(body)].concat()
}

fn head(status: u16, headers: &[String], length: usize) -> Vec<u8> {
    let mut lines = vec![format!("HTTP/1.1 {status} Reply")];
    lines.extend(headers.iter().cloned());
    lines.push(format!("content-length: {length}"));
    lines.push("connection: close\r\n\r\n".into());
    lines.join("\r\n").into_bytes()
}

pub fn sha256(content: &[u8]) -> String {
    let hash = Sha256::digest(content);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
