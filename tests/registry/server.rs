//! A small HTTP/1.1 server: one request per connection, the answer as the closure says, broken on purpose if it says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As text, for those that are.
    pub body: String,
    pub bytes: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after so many bytes of the body and so long a wait.
    pub close_after: Option<(usize, Duration)>,
    /// Close it without a word.
    pub silent: bool,
    /// Without a `Content-Length`.
    pub chunked: bool,
}

impl Answer {
    pub fn new(status: u16) -> Answer {
        Answer {
            status,
            ..Answer::default()
        }
    }

    /// Replaces a header.
    pub fn with(mut self, name: &str, value: &str) -> Answer {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn redirect(status: u16, location: &str) -> Answer {
        Answer::new(status).with("Location", location)
    }

    pub fn json(status: u16, body: &str) -> Answer {
        let answer = Answer {
            body: body.as_bytes().to_vec(),
            ..Answer::new(status)
        };
        answer.with("Content-Type", "application/json")
    }
}

/// Serves until dropped.
pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        Server::listen(Ipv4Addr::LOCALHOST, move |stream| serve(stream, &answer))
    }

    fn listen(
        address: Ipv4Addr,
        serve: impl Fn(TcpStream) -> Option<()> + Send + Sync + 'static,
    ) -> Server {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let serve = Arc::new(serve);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let serve = Arc::clone(&serve);
                let Ok(stream) = stream else { continue };
                // A client that goes away is none of the server's business.
                std::thread::spawn(move || serve(stream));
            }
        });
        Server { address, stop }
    }

    /// The same behind TLS, with `server.crt` and `server.key` of a directory that `real::make_certificates` filled.
    pub fn start_tls(
        address: Ipv4Addr,
        directory: &Path,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Server {
        Server::start_asking(
            address,
            directory,
            WebPkiClientVerifier::no_client_auth(),
            answer,
        )
    }

    /// The same for clients alone that show a certificate of the directory's authority.
    pub fn start_mutual(
        directory: &Path,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let authority = CertificateDer::from_pem_file(directory.join("ca.crt")).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority).unwrap();
        let asks = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let asks = asks.build().unwrap();
        Server::start_asking(Ipv4Addr::LOCALHOST, directory, asks, answer)
    }

    fn start_asking(
        address: Ipv4Addr,
        directory: &Path,
        asks: Arc<dyn ClientCertVerifier>,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Server {
        let certificate = CertificateDer::from_pem_file(directory.join("server.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(directory.join("server.key")).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(asks)
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Server::listen(address, move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(rustls::StreamOwned::new(connection, stream));
            let Some(request) = read_request(&mut reader) else {
                // Why was said by an alert, which a reset would outrun.
                let mut stream = reader.into_inner().sock;
                stream.shutdown(Shutdown::Write).ok()?;
                return std::io::copy(&mut stream, &mut std::io::sink())
                    .ok()
                    .map(drop);
            };
            let mut stream = reader.into_inner();
            write_answer(&mut stream, &answer(&request)).ok()?;
            stream.conn.send_close_notify();
            stream.flush().ok()
        })
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn serve(stream: TcpStream, answer: &dyn Fn(&Request) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    // A TLS greeting, from a client that tries https first: as real servers do, answered in plain HTTP.
    if reader.fill_buf().ok()?.first() == Some(&0x16) {
        let mut stream = stream;
        return stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").ok();
    }
    let request = read_request(&mut reader)?;
    let mut stream = stream;
    write_answer(&mut stream, &answer(&request)).ok()
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: String::new(),
        bytes: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |text| text.parse().unwrap());
    reader.take(length).read_to_end(&mut request.bytes).ok()?;
    request.body = String::from_utf8_lossy(&request.bytes).into_owned();
    Some(request)
}

fn write_answer(stream: &mut impl Write, answer: &Answer) -> std::io::Result<()> {
    if answer.silent {
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let has_length = answer
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    if !answer.chunked && !has_length {
        head.push_str(&format!("Content-Length: {}\r\n", answer.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    match answer.close_after {
        None => stream.write_all(&answer.body),
        Some((bytes, wait)) => {
            stream.write_all(&answer.body[..bytes.min(answer.body.len())])?;
            stream.flush()?;
            std::thread::sleep(wait);
            Ok(())
        }
    }
}
