//! A registry in memory. It closes every connection behind its answer.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

/// What opens the registry, with the user `me`.
pub const PASSWORD: &str = "secret";
/// Both, as they are sent.
pub const ME: &str = "bWU6c2VjcmV0";
const TOKEN: &str = "a-token";

/// Who may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Login {
    /// Everybody.
    Nobody,
    /// Who says name and password.
    Basic,
    /// Who got a token for name and password.
    Bearer,
}

/// A running registry. Its thread ends with the tests.
pub struct Server {
    address: SocketAddr,
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
}

struct Request {
    method: String,
    path: String,
    authorization: String,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    header: String,
    body: Vec<u8>,
}

impl Server {
    /// Starts one on a free port of this machine.
    pub fn start(login: Login) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let content = Arc::new(Mutex::new(Content::default()));
        let shared = Arc::clone(&content);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that goes away is its own problem.
                let _ = serve(stream.unwrap(), address, login, &shared);
            }
        });
        Self { address, content }
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The manifest of a tag.
    pub fn manifest(&self, repository: &str, tag: &str) -> String {
        let content = self.content.lock().unwrap();
        String::from_utf8(content.manifests[&format!("{repository}/manifests/{tag}")].clone()).unwrap()
    }

    /// The configuration that the manifest of a tag names.
    pub fn config(&self, repository: &str, tag: &str) -> String {
        let manifest = self.manifest(repository, tag);
        let digest = manifest.split("\"digest\":\"").nth(1).unwrap().split('"').next().unwrap();
        String::from_utf8(self.content.lock().unwrap().blobs[digest].clone()).unwrap()
    }

    /// Gives a tag another manifest.
    pub fn put_manifest(&self, repository: &str, tag: &str, manifest: &str) {
        let name = format!("{repository}/manifests/{tag}");
        self.content.lock().unwrap().manifests.insert(name, manifest.as_bytes().to_vec());
    }

    /// Changes a bit of each blob.
    pub fn damage_blobs(&self) {
        self.content.lock().unwrap().blobs.values_mut().for_each(|blob| blob[0] ^= 1);
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, login: Login, content: &Mutex<Content>) -> std::io::Result<()> {
    let request = read(&stream)?;
    let Answer { status, header, body } = answer(&request, address, login, &mut content.lock().unwrap());
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{header}\r\n")?;
    if request.method == "HEAD" { Ok(()) } else { stream.write_all(&body) }
}

fn read(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, authorization: headers.remove("authorization").unwrap_or_default(), body })
}

fn answer(request: &Request, address: SocketAddr, login: Login, content: &mut Content) -> Answer {
    let is_me = request.authorization == format!("Basic {ME}");
    if let Some(query) = request.path.strip_prefix("/token?") {
        assert!(query.contains("service=tests") && query.contains("scope=repository"), "{query}");
        let body = format!(r#"{{"token": "{TOKEN}"}}"#).into_bytes();
        return if is_me { said("200 OK", "", body) } else { said("401 Unauthorized", "", Vec::new()) };
    }
    let challenge = match login {
        Login::Basic if !is_me => "Basic realm=\"tests\"".to_owned(),
        Login::Bearer if request.authorization != format!("Bearer {TOKEN}") => {
            format!("Bearer realm=\"http://{address}/token\",service=\"tests\",scope=\"repository:x:pull,push\"")
        }
        _ => return granted(request, content),
    };
    said("401 Unauthorized", &format!("WWW-Authenticate: {challenge}\r\n"), Vec::new())
}

fn granted(request: &Request, content: &mut Content) -> Answer {
    let path = request.path.strip_prefix("/v2/").unwrap();
    let found = |bytes: Option<&Vec<u8>>| match bytes {
        Some(bytes) => said("200 OK", "", bytes.clone()),
        None => said("404 Not Found", "", b"unknown".to_vec()),
    };
    match (request.method.as_str(), path.split_once("/blobs/")) {
        ("POST", Some((_, "uploads/"))) => said("202 Accepted", "Location: /v2/x/blobs/uploads/1?a=b\r\n", Vec::new()),
        ("PUT", Some((_, rest))) => {
            let digest = rest.split("digest=").nth(1).unwrap().replace("%3A", ":");
            content.blobs.insert(digest, request.body.clone());
            said("201 Created", "", Vec::new())
        }
        (_, Some((_, digest))) => found(content.blobs.get(digest)),
        ("PUT", None) => {
            let (repository, _) = path.split_once("/manifests/").unwrap();
            let digest =
                sha2::Sha256::digest(&request.body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            for name in [path.to_owned(), format!("{repository}/manifests/sha256:{digest}")] {
                content.manifests.insert(name, request.body.clone());
            }
            said("201 Created", "", Vec::new())
        }
        (_, None) => found(content.manifests.get(path)),
    }
}

fn said(status: &'static str, header: &str, body: Vec<u8>) -> Answer {
    Answer { status, header: header.to_owned(), body }
}
