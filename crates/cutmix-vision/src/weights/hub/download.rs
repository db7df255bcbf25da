//! One file on its way from the hub into the cache.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use hf_hub::{Cache, CacheRepo};
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::header::CONTENT_RANGE;
use ureq::http::{Response, StatusCode};

use super::cache::{bytes_of, link, lock};
use super::client::Client;
use super::repository::{Repository, is_file_name};
use super::{CONFIG, Hub, HubError, MAX_CONFIG};

/// Number of bytes that are copied at once.
const BUFFER: usize = 1 << 16;

/// Downloads files of one commit of one repository.
pub(super) struct Downloader<'a> {
    hub: &'a Hub,
    client: &'a Client<'a>,
    repository: &'a Repository,
    commit: &'a str,
    cache: CacheRepo,
}

/// What the hub says of a file.
struct Metadata {
    /// Hash of the content or another name of it, which is the name of a file, too.
    etag: String,
    /// Number of bytes.
    size: u64,
}

impl<'a> Downloader<'a> {
    pub fn new(
        hub: &'a Hub,
        client: &'a Client,
        repository: &'a Repository,
        commit: &'a str,
    ) -> Self {
        Self {
            hub,
            client,
            repository,
            commit,
            cache: Cache::new(hub.cache.clone()).repo(repository.repo()),
        }
    }

    /// Downloads a file into the cache, unless it is there. A part of it that an earlier attempt has
    /// left is completed. A blob and a file of a snapshot are never seen before they are whole and
    /// have been checked.
    pub fn download(
        &self,
        file: &str,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), HubError> {
        let path = self.cache.pointer_path(self.commit).join(file);
        if path.exists() {
            return Ok(());
        }
        let metadata = self.hub.retry(self.hub.tries, || self.metadata(file))?;
        if file == CONFIG && metadata.size > MAX_CONFIG {
            let length = metadata.size;
            return Err(HubError::LongConfig { path, length });
        }
        let blob = self.cache.blob_path(&metadata.etag);
        let _lock = lock(&blob)?;
        // Another commit may have the same file, or another process has downloaded it meanwhile.
        if self.check(file, &blob, &metadata).is_err() {
            let part = blob.with_added_extension("part");
            let is_resumed = part.exists();
            let mut result = self.complete(file, &part, &metadata, progress);
            if is_resumed && matches!(result, Err(HubError::Damaged { .. })) {
                // What the earlier attempt has left was damaged.
                result = self.complete(file, &part, &metadata, progress);
            }
            result?;
            std::fs::rename(&part, &blob).map_err(|source| HubError::io(&blob, source))?;
        }
        link(&blob, &path)
    }

    fn metadata(&self, file: &str) -> Result<Metadata, HubError> {
        let answer = self.accepted(self.client.head(&self.url(file))?)?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok();
        // The length of a redirect is not that of the file.
        let length = header("content-length").filter(|_| answer.status().is_success());
        let size = header("x-linked-size").or(length);
        let etag = header("x-linked-etag").or(header("etag"));
        let (Some(size), Some(etag)) = (size.and_then(|size| size.parse().ok()), etag) else {
            let reason = format!("{file} has no length or no tag");
            return Err(self.hub.not_a_hub(reason));
        };
        let etag = etag.trim_start_matches("W/").trim_matches('"');
        if header("x-repo-commit") != Some(self.commit) || !is_file_name(etag) {
            let reason = format!("{file} has the commit or tag of another file");
            return Err(self.hub.not_a_hub(reason));
        }
        let etag = etag.into();
        Ok(Metadata { etag, size })
    }

    /// Completes and checks a part of a file, which is removed where it is damaged.
    fn complete(
        &self,
        file: &str,
        part: &Path,
        metadata: &Metadata,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), HubError> {
        let append = || self.append(file, part, metadata.size, progress);
        let result = self.hub.retry(self.hub.tries, append);
        let result = result.map_err(|error| match error {
            HubError::Unreachable { endpoint, source } => HubError::Dropped {
                endpoint,
                repository: self.repository.to_string(),
                file: file.into(),
                tries: self.hub.tries,
                kept: bytes_of(part),
                total: metadata.size,
                source,
            },
            error => error,
        });
        let result = result.and_then(|()| self.check(file, part, metadata));
        if matches!(result, Err(HubError::Damaged { .. })) {
            std::fs::remove_file(part).map_err(|source| HubError::io(part, source))?;
        }
        result
    }

    /// Appends to a part what it lacks of a file of `size` bytes, in one request.
    fn append(
        &self,
        file: &str,
        part: &Path,
        size: u64,
        progress: &mut dyn FnMut(&str, u64, u64),
    ) -> Result<(), HubError> {
        let failed = |source| HubError::io(part, source);
        let content = File::options().create(true).append(true).open(part);
        let mut content = content.map_err(failed)?;
        let kept = bytes_of(part);
        if kept == size {
            return Ok(());
        }
        // What is longer than the file is no part of it.
        let mut done = if kept < size { kept } else { 0 };
        let answer = self.accepted(self.client.get(&self.url(file), Some(done))?)?;
        if answer.status() != StatusCode::PARTIAL_CONTENT {
            // The host sends all of it.
            done = 0;
        } else if !starts_at(&answer, done) {
            let reason = format!("{file} does not start at the byte that was asked for");
            return Err(self.hub.not_a_hub(reason));
        }
        let rest = size - done;
        let length = answer.body().content_length().unwrap_or(rest);
        if length > rest {
            return Err(self.damaged(file, "length", done + length, size));
        }
        content.set_len(done).map_err(failed)?;
        let mut body = answer.into_body().into_reader().take(rest);
        let mut buffer = vec![0; BUFFER];
        progress(file, done, size);
        while done < size {
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| self.client.failed(error.into()))?;
            if read == 0 {
                let error = io::Error::from(ErrorKind::UnexpectedEof);
                return Err(self.hub.unreachable(error));
            }
            content.write_all(&buffer[..read]).map_err(failed)?;
            done += read as u64;
            progress(file, done, size);
        }
        Ok(())
    }

    /// Checks the length of a file and, where the hub knows it, the SHA-256.
    fn check(&self, file: &str, path: &Path, metadata: &Metadata) -> Result<(), HubError> {
        let Metadata { etag, size } = metadata;
        let length = bytes_of(path);
        if length != *size {
            return Err(self.damaged(file, "length", length, size));
        }
        // The tag of a large file. That of a small one is another hash.
        if etag.len() == 64 && etag.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            let hash = sha256(path).map_err(|source| HubError::io(path, source))?;
            if !hash.eq_ignore_ascii_case(etag) {
                return Err(self.damaged(file, "SHA-256", hash, etag));
            }
        }
        Ok(())
    }

    fn damaged(
        &self,
        file: &str,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> HubError {
        HubError::Damaged {
            repository: self.repository.to_string(),
            file: file.into(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// The answer for a file, unless it is an error.
    fn accepted(&self, answer: Response<Body>) -> Result<Response<Body>, HubError> {
        match answer.status().as_u16() {
            200..=399 => Ok(answer),
            401 | 403 => Err(HubError::Refused {
                endpoint: self.hub.endpoint.clone(),
                repository: self.repository.to_string(),
            }),
            status => Err(self.hub.status(status, self.repository)),
        }
    }

    /// Address of a file at the commit, not at the branch, so that all files belong together.
    fn url(&self, file: &str) -> String {
        let (endpoint, name) = (&self.hub.endpoint, &self.repository.name);
        let [commit, file] = [self.commit, file].map(encoded);
        format!("{endpoint}/{name}/resolve/{commit}/{file}")
    }
}

/// Whether an answer has a part of a file that starts at a byte.
fn starts_at(answer: &Response<Body>, start: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// A name as a part of an address.
fn encoded(name: &str) -> String {
    let encode = |byte| match byte {
        b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(encode).collect()
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok((hasher.finalize().iter())
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
