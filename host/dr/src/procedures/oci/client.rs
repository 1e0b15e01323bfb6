//! The part of the OCI distribution protocol that one artifact needs. It waits; the engine does, too.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dr_engine::error::{OperatorError, Result};
use serde_json::Value;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use ureq::http::{Method, Request, Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::RegistryReference;
use super::artifact::{MANIFEST_TYPE, digest_of};
use super::credentials::{Challenge, Credentials};

/// Largest manifest, as the specification recommends.
const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Largest answer of whoever gives out tokens.
const TOKEN_BYTES_MAX: u64 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// For one request and its answer; a component has at most some dozens of MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// How a registry is reached.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// Without TLS, although it is another machine.
    pub(crate) plain_http: bool,
    /// File of the certificates that are trusted, instead of those of the public authorities.
    pub(crate) certificates: Option<PathBuf>,
}

/// One repository of a registry.
pub(crate) struct Client {
    agent: Agent,
    /// With scheme and host, without a `/` at the end.
    base: String,
    repository: String,
    credentials: Option<Credentials>,
    /// Header, once the registry asked for it.
    authorization: RefCell<Option<String>>,
    is_plain: bool,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// `registry-certificates`.
    pub(crate) fn new(reference: &RegistryReference, access: &Access) -> Result<Self> {
        let is_plain = access.plain_http || reference.is_on_this_machine();
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // Also after being sent elsewhere: nobody leads from a secured connection to an open one.
            .https_only(!is_plain)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT));
        if reference.is_on_this_machine() {
            config = config.proxy(None);
        }
        if let Some(path) = &access.certificates {
            config = config.tls_config(TlsConfig::builder().root_certs(certificates(path)?).build());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            base: format!("{}://{}", if is_plain { "http" } else { "https" }, reference.host),
            repository: reference.repository.clone(),
            credentials: Credentials::find(&reference.host),
            authorization: RefCell::default(),
            is_plain,
        })
    }

    /// What a reference names; none if there is nothing of that name.
    ///
    /// # Errors
    /// `registry-digest`; those of a registry that does not do what it is asked.
    pub(crate) fn manifest(&self, reference: &RegistryReference) -> Result<Option<Vec<u8>>> {
        let url = self.url(&format!("manifests/{}", reference.version()?));
        let mut answer = self.send(Method::GET, &url, (ACCEPT.as_str(), MANIFEST_TYPE), &[])?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(self.refused(&url, &mut answer)),
        }
        let manifest = self.body(&url, &mut answer, MANIFEST_BYTES_MAX)?;
        if let Some(digest) = &reference.digest {
            check_digest(&url, &manifest, digest)?;
        }
        Ok(Some(manifest))
    }

    /// The blob of this digest and size.
    ///
    /// # Errors
    /// As before.
    pub(crate) fn blob(&self, digest: &str, size: u64) -> Result<Vec<u8>> {
        let url = self.url(&format!("blobs/{digest}"));
        let mut answer = self.send(Method::GET, &url, (ACCEPT.as_str(), "*/*"), &[])?;
        if answer.status() != StatusCode::OK {
            return Err(self.refused(&url, &mut answer));
        }
        let blob = self.body(&url, &mut answer, size)?;
        check_digest(&url, &blob, digest).map(|()| blob)
    }

    /// Sends a blob, unless it is there.
    ///
    /// # Errors
    /// As before.
    pub(crate) fn upload(&self, blob: &[u8]) -> Result<()> {
        let (none, digest) = ((ACCEPT.as_str(), "*/*"), digest_of(blob));
        let there = self.send(Method::HEAD, &self.url(&format!("blobs/{digest}")), none, &[])?;
        if there.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = self.url("blobs/uploads/");
        let mut begun = self.send(Method::POST, &begin, none, &[])?;
        let location = begun.headers().get(LOCATION).and_then(|location| location.to_str().ok()).map(str::to_owned);
        let (StatusCode::ACCEPTED, Some(location)) = (begun.status(), location) else {
            return Err(self.refused(&begin, &mut begun));
        };
        let location = if location.starts_with('/') { format!("{}{location}", self.base) } else { location };
        let joint = if location.contains('?') { '&' } else { '?' };
        let target = format!("{location}{joint}digest={digest}");
        let mut sent = self.send(Method::PUT, &target, (CONTENT_TYPE.as_str(), "application/octet-stream"), blob)?;
        if sent.status() == StatusCode::CREATED { Ok(()) } else { Err(self.refused(&target, &mut sent)) }
    }

    /// Gives a manifest the name of a reference.
    ///
    /// # Errors
    /// As before.
    pub(crate) fn put_manifest(&self, reference: &RegistryReference, manifest: &[u8]) -> Result<()> {
        let url = self.url(&format!("manifests/{}", reference.version()?));
        let mut sent = self.send(Method::PUT, &url, (CONTENT_TYPE.as_str(), MANIFEST_TYPE), manifest)?;
        if sent.status() == StatusCode::CREATED { Ok(()) } else { Err(self.refused(&url, &mut sent)) }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.base, self.repository)
    }

    /// Sends a request; once more, if the registry asks who we are.
    fn send(&self, method: Method, url: &str, header: (&str, &str), body: &[u8]) -> Result<Response<Body>> {
        let answer = self.send_once(&method, url, header, body)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let header_text = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        let authorization = match header_text.and_then(Challenge::parse) {
            Some(Challenge::Basic) => self.credentials.as_ref().map(Credentials::basic),
            Some(Challenge::Bearer { realm, query }) => self.token(&realm, &query)?,
            None => None,
        };
        match authorization {
            None => Err(self.unauthorized("it wants a name and a password")),
            authorization => {
                *self.authorization.borrow_mut() = authorization;
                self.send_once(&method, url, header, body)
            }
        }
    }

    fn send_once(
        &self,
        method: &Method,
        url: &str,
        (name, value): (&str, &str),
        body: &[u8],
    ) -> Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(url).header(name, value);
        // Uploads may go elsewhere, where our password is nobody's business.
        let is_registry = url.strip_prefix(&self.base).is_some_and(|rest| rest.starts_with('/'));
        if let Some(authorization) = self.authorization.borrow().as_ref().filter(|_| is_registry) {
            request = request.header(AUTHORIZATION, authorization);
        }
        let sends_body = *method == Method::PUT || *method == Method::POST;
        let answer = if sends_body {
            request.body(body).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        } else {
            request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        };
        answer.map_err(|error| self.unavailable(url, &error))
    }

    /// The header with a token, which may be given to anybody or only for name and password.
    fn token(&self, realm: &str, query: &[(&'static str, String)]) -> Result<Option<String>> {
        let mut request = self.agent.get(realm).query_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, credentials.basic());
        }
        let mut answer = request.call().map_err(|error| self.unavailable(realm, &error))?;
        if answer.status() != StatusCode::OK {
            return Err(self.unauthorized(&format!("{realm} gives no token: {}", answer.status())));
        }
        let text = self.body(realm, &mut answer, TOKEN_BYTES_MAX)?;
        let text: Value = serde_json::from_slice(&text).unwrap_or_default();
        let token = text["token"].as_str().or(text["access_token"].as_str());
        Ok(token.map(|token| format!("Bearer {token}")))
    }

    fn body(&self, url: &str, answer: &mut Response<Body>, bytes_max: u64) -> Result<Vec<u8>> {
        // One more than may come, so that what is longer is not mistaken for what fits.
        let read = answer.body_mut().with_config().limit(bytes_max + 1).read_to_vec();
        read.map_err(|error| self.unavailable(url, &error))
    }

    fn unavailable(&self, url: &str, error: &ureq::Error) -> OperatorError {
        let what = format!("the registry does not answer: {url}");
        let next_step = if self.is_plain {
            "check host and port; this was a connection without TLS (`--plain-http`, or this machine)"
        } else {
            "check host and port; a registry with a certificate of your own authority needs --registry-certificates, one without TLS needs --plain-http"
        };
        OperatorError::new("registry-unavailable", what, next_step).because(error).may_retry()
    }

    fn unauthorized(&self, why: &str) -> OperatorError {
        let what = format!("the registry {} does not know who asks", self.base);
        let next_step =
            "set DR_REGISTRY_USER and DR_REGISTRY_PASSWORD, or log in with `docker login`, `oras login` or the like";
        OperatorError::new("registry-unauthorized", what, next_step).because(why)
    }

    fn refused(&self, url: &str, answer: &mut Response<Body>) -> OperatorError {
        let status = answer.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return self.unauthorized(&format!("{url}: {status}"));
        }
        let text = answer.body_mut().with_config().limit(4096).read_to_string().unwrap_or_default();
        let what = format!("the registry refuses: {url}");
        let error = OperatorError::new("registry-refused", what, "look at the reason, and at the registry's log");
        let error = error.because(format!("{status} {}", text.trim()));
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS { error.may_retry() } else { error }
    }
}

fn check_digest(url: &str, bytes: &[u8], digest: &str) -> Result<()> {
    let found = digest_of(bytes);
    if found == digest {
        return Ok(());
    }
    let what = format!("what the registry sent is not what was asked for: {url}");
    let next_step = "do not use it; ask whoever runs the registry, or whatever lies between";
    Err(OperatorError::new("registry-digest", what, next_step).because(format!("its digest is {found}")))
}

fn certificates(path: &Path) -> Result<RootCerts> {
    let unreadable = |why: String| {
        let what = format!("cannot read the certificates {}", path.display());
        OperatorError::new("registry-certificates", what, "name a file of certificates in PEM").because(why)
    };
    let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unreadable(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unreadable("there is none in it".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(certificates)))
}
