//! Requests to a hub and to the hosts that it redirects to.

use hf_hub::api::RepoInfo;
use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE};
use ureq::http::uri::Authority;
use ureq::http::{HeaderValue, Method, Request, Response, Uri};
use ureq::{Agent, Body};

use super::repository::{Repository, is_file_name};
use super::{Hub, HubError};

/// Largest number of redirects that one request follows.
const REDIRECTS: usize = 10;

/// Sends requests: with a limit on the silence of the other side, and with the token for the hub
/// alone.
pub(super) struct Client<'a> {
    hub: &'a Hub,
    address: Uri,
    agent: Agent,
    authorization: Option<HeaderValue>,
}

impl<'a> Client<'a> {
    pub fn new(hub: &'a Hub) -> Result<Self, HubError> {
        let address = parse(&hub.endpoint).ok_or_else(|| HubError::Endpoint {
            endpoint: hub.endpoint.clone(),
        })?;
        let authorization = hub.token.as_ref();
        let authorization = authorization.map(|token| format!("Bearer {token}").try_into());
        let timeout = Some(hub.timeout);
        let config = Agent::config_builder()
            .user_agent(concat!("cutmix/", env!("CARGO_PKG_VERSION")))
            // Ranges count the bytes of the file, not those of a compressed answer.
            .accept_encoding("identity")
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_recv_response(timeout)
            .timeout_per_read(timeout);
        Ok(Self {
            hub,
            address,
            agent: config.build().into(),
            authorization: authorization.transpose().map_err(|_| HubError::Token)?,
        })
    }

    /// Commit and files of a repository.
    pub fn list(&self, repository: &Repository) -> Result<(String, Vec<String>), HubError> {
        let url = format!("{}/api/{}", self.hub.endpoint, repository.repo().api_url());
        let mut answer = self.get(&url, None)?;
        let reason = answer.headers().get("x-error-code");
        match answer.status().as_u16() {
            200 => {}
            404 if reason.is_some_and(|reason| reason == "RevisionNotFound") => {
                return Err(HubError::NoRevision {
                    repository: repository.name.clone(),
                    revision: repository.revision.clone(),
                });
            }
            // The hub does not tell strangers which repositories are private.
            401 | 403 | 404 => {
                return Err(HubError::NoRepository {
                    endpoint: self.hub.endpoint.clone(),
                    repository: repository.to_string(),
                });
            }
            status => return Err(self.hub.status(status, repository)),
        }
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|error| self.failed(error))?;
        let info: RepoInfo =
            serde_json::from_str(&text).map_err(|error| self.hub.not_a_hub(error))?;
        if !is_file_name(&info.sha) {
            let reason = format!("`{}` is no commit", info.sha.escape_debug());
            return Err(self.hub.not_a_hub(reason));
        }
        let files = info.siblings.into_iter().map(|file| file.rfilename);
        Ok((info.sha, files.collect()))
    }

    /// What the hub says of a file. It may be a redirect to the host that has the content.
    pub fn head(&self, url: &str) -> Result<Response<Body>, HubError> {
        self.request(&Method::HEAD, url, None)
    }

    /// The content at an address, from the byte `start` on where the host can do that.
    pub fn get(&self, url: &str, start: Option<u64>) -> Result<Response<Body>, HubError> {
        self.request(&Method::GET, url, start)
    }

    /// The meaning of an error during a request or its answer.
    pub fn failed(&self, error: ureq::Error) -> HubError {
        match error {
            ureq::Error::Timeout(_) => {
                let reason = format!("no answer within {:?}", self.hub.timeout);
                self.hub.unreachable(reason)
            }
            ureq::Error::BodyExceedsLimit(_) => self.hub.not_a_hub(error),
            error => self.hub.unreachable(error),
        }
    }

    fn request(
        &self,
        method: &Method,
        url: &str,
        start: Option<u64>,
    ) -> Result<Response<Body>, HubError> {
        let mut uri = self.target(&self.address, url)?;
        for _ in 0..=REDIRECTS {
            let answer = self.send(method, &uri, start)?;
            if !answer.status().is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers().get(LOCATION);
            let location = location.and_then(|location| location.to_str().ok());
            let location = location.unwrap_or_default();
            let is_relative = location.starts_with('/') && !location.starts_with("//");
            uri = self.target(&uri, location)?;
            if *method == Method::HEAD && !is_relative {
                return Ok(answer);
            }
        }
        let reason = format!("it redirects a request more than {REDIRECTS} times");
        Err(self.hub.not_a_hub(reason))
    }

    fn send(
        &self,
        method: &Method,
        uri: &Uri,
        start: Option<u64>,
    ) -> Result<Response<Body>, HubError> {
        let mut request = Request::builder().method(method).uri(uri);
        let is_hub =
            uri.scheme() == self.address.scheme() && uri.authority() == self.address.authority();
        if let Some(authorization) = self.authorization.as_ref().filter(|_| is_hub) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if let Some(start) = start {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        let request = request
            .body(())
            .map_err(|error| self.failed(error.into()))?;
        self.agent.run(request).map_err(|error| self.failed(error))
    }

    /// Address that an answer from `uri` redirects to.
    fn target(&self, uri: &Uri, location: &str) -> Result<Uri, HubError> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri.authority().map_or("", Authority::as_str);
        let target = if location.starts_with("//") {
            parse(&format!("{scheme}:{location}"))
        } else if location.starts_with('/') {
            parse(&format!("{scheme}://{host}{location}"))
        } else {
            parse(location)
        };
        target.ok_or_else(|| {
            let location = location.escape_debug();
            let reason = format!("it redirects to `{location}`, expected an address");
            self.hub.not_a_hub(reason)
        })
    }
}

/// A text as the address of a host or of something on it.
fn parse(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}
