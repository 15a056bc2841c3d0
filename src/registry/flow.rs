//! A body that is sent while it is made, so that nobody waits for a part of it to arrive before the next one goes out. Its length is
//! not known before its end, and it can be sent once only: whoever sends it knows what to do when that fails.

use std::io::{self, Write};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Frame;
use reqwest::header::HeaderMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::retry;
use crate::image::Digest;

/// So many parts wait to be sent: enough for a server that stops to write down what it has.
const PARTS: usize = 8;
/// A part has so many bytes at the least, but for the last, and so many at the most.
const LEAST: usize = 128 * 1024;
const MOST: usize = 2 << 20;
/// So often somebody looks whether all goes on.
const TICK: Duration = Duration::from_millis(100);
/// Of an answer that is no success so much is read.
const MOST_ANSWER: usize = 16 * 1024;

/// Both ends of one body.
pub(super) fn flow() -> (FlowWriter, Flow) {
    let (to, parts) = channel(PARTS);
    let state = Arc::default();
    let writer = FlowWriter {
        to,
        waiting: Vec::new(),
        hasher: Sha256::new(),
        size: 0,
    };
    (writer, Flow { parts, state })
}

enum Part {
    Bytes(Bytes),
    End,
}

/// What is known of a body that is on its way.
#[derive(Debug, Default)]
struct State {
    /// Bytes that were handed to the connection.
    taken: AtomicU64,
    /// The connection waits for bytes.
    hungry: AtomicBool,
    /// The connection has had all of them.
    ended: AtomicBool,
    /// Who makes them has stopped before the end.
    broken: AtomicBool,
}

/// Takes the bytes, and hashes them.
pub(super) struct FlowWriter {
    to: Sender<Part>,
    /// What is too little for a part.
    waiting: Vec<u8>,
    hasher: Sha256,
    size: u64,
}

impl FlowWriter {
    fn send(&self, part: Part) -> io::Result<()> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.to.blocking_send(part).map_err(gone)
    }

    fn send_waiting(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.waiting) {
            waiting if waiting.is_empty() => Ok(()),
            waiting => self.send(Part::Bytes(Bytes::from(waiting))),
        }
    }

    /// Says that it was all: the digest and the size of it. Without this the body is broken off.
    pub fn end(mut self) -> io::Result<(Digest, u64)> {
        self.send_waiting()?;
        self.send(Part::End)?;
        Ok((Digest::from_hash(&self.hasher.finalize()), self.size))
    }
}

impl Write for FlowWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(MOST)];
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        if self.waiting.is_empty() && bytes.len() >= LEAST {
            self.send(Part::Bytes(Bytes::copy_from_slice(bytes)))?;
            return Ok(bytes.len());
        }
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= LEAST {
            self.send_waiting()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end that a request takes.
#[derive(Debug)]
pub(super) struct Flow {
    parts: Receiver<Part>,
    state: Arc<State>,
}

/// Who made the bytes has stopped; the request must not look whole.
#[derive(Debug, thiserror::Error)]
#[error("its sender has stopped")]
pub(super) struct Broken;

impl http_body::Body for Flow {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.state.ended.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        let next = self.parts.poll_recv(context);
        let state = &self.state;
        state.hungry.store(next.is_pending(), Ordering::Relaxed);
        match next {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Part::Bytes(bytes))) => {
                state.taken.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Poll::Ready(Some(Part::End)) => {
                state.ended.store(true, Ordering::Relaxed);
                Poll::Ready(None)
            }
            Poll::Ready(None) => {
                state.broken.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Broken)))
            }
        }
    }
}

/// What came of the request.
pub(super) enum Outcome {
    /// An answer to all of the body.
    Answer(Answer),
    /// An answer before the body's end.
    Early(Answer),
    /// No answer, of a body that was whole.
    Failed(reqwest::Error),
    /// The body was broken off.
    Broken,
    /// Nothing moved for too long.
    Silent,
    Stopped,
}

/// The head of an answer, and what it says if it is no success.
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub message: String,
}

/// Who looks on meanwhile.
pub(super) struct Watch<'a> {
    /// So long nothing may move.
    pub idle: Duration,
    pub is_stopped: &'a dyn Fn() -> bool,
    /// So many more bytes were handed over.
    pub advanced: &'a dyn Fn(u64),
}

/// Sends a request with this body.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    flow: Flow,
    watch: Watch<'_>,
) -> Outcome {
    let state = Arc::clone(&flow.state);
    let exchanged = async {
        let response = request.body(reqwest::Body::wrap(flow)).send().await?;
        Ok(answer(response).await)
    };
    let mut exchanged = pin!(exchanged);
    let mut told = 0;
    let mut moved = Instant::now();
    let outcome = loop {
        let done = timeout(TICK, exchanged.as_mut()).await;
        let taken = state.taken.load(Ordering::Relaxed);
        if taken > told || state.hungry.load(Ordering::Relaxed) {
            moved = Instant::now();
        }
        (watch.advanced)(taken - told);
        told = taken;
        match done {
            Ok(outcome) => break outcome,
            Err(_) if (watch.is_stopped)() => return Outcome::Stopped,
            Err(_) if moved.elapsed() > watch.idle => return Outcome::Silent,
            Err(_) => {}
        }
    };
    match outcome {
        _ if state.broken.load(Ordering::Relaxed) => Outcome::Broken,
        Ok(answer) if state.ended.load(Ordering::Relaxed) => Outcome::Answer(answer),
        Ok(answer) => Outcome::Early(answer),
        Err(error) => Outcome::Failed(error),
    }
}

async fn answer(mut response: reqwest::Response) -> Answer {
    let mut body = Vec::new();
    if !response.status().is_success() {
        while let Ok(Some(more)) = response.chunk().await {
            body.extend_from_slice(&more);
            if body.len() > MOST_ANSWER {
                break;
            }
        }
    }
    Answer {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        message: retry::message_of(&body),
    }
}
