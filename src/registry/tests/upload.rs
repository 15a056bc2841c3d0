//! Pushes to a registry that loses connections, answers and whole uploads.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use super::super::misbehaving::server::Request;
use super::super::misbehaving::{Answer, Server};
use super::super::{LayerSource, Packing, PushOptions, Pushed, ToPush, push};
use super::*;

/// What the registry does wrong, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// The second chunk arrives, the answer does not.
    LosesAnswer,
    /// Half of the second chunk arrives.
    TakesHalf,
    /// It is overloaded at the second chunk.
    Overloaded,
    /// At the second chunk the upload is gone.
    LosesUpload,
    /// The token is too old at the second chunk.
    WantsAnotherToken,
}

#[derive(Default)]
struct State {
    uploads: Vec<Vec<u8>>,
    blobs: BTreeMap<String, Vec<u8>>,
    manifests: BTreeMap<String, Vec<u8>>,
    patches: usize,
    tokens: usize,
    sent: usize,
}

fn answer(state: &Mutex<State>, wrong: Wrong, host: &str, request: &Request) -> Answer {
    let mut state = state.lock().unwrap();
    let state = &mut *state;
    let name = request.path.rsplit('/').next().unwrap().to_owned();
    let at = |number: usize, length: usize| {
        Answer::new(202)
            .with(
                "Location",
                &format!("/v2/app/blobs/uploads/{number}?_state=x"),
            )
            .with("Range", &format!("0-{}", length.saturating_sub(1)))
    };
    if request.path == "/token" {
        state.tokens += 1;
        return Answer::json(200, &format!(r#"{{"token":"t{}"}}"#, state.tokens));
    }
    match request.method.as_str() {
        "HEAD" => match state.blobs.get(&name) {
            Some(blob) => Answer::new(200).with("Content-Length", &blob.len().to_string()),
            None => Answer::new(404),
        },
        "POST" => {
            state.uploads.push(Vec::new());
            at(state.uploads.len() - 1, 0)
        }
        "GET" if request.path.contains("/uploads/") => {
            let number: usize = name.parse().unwrap();
            match state.uploads[number].len() {
                0 if number == 0 && wrong == Wrong::LosesUpload => Answer::new(404),
                length => Answer {
                    status: 204,
                    ..at(number, length)
                },
            }
        }
        "PATCH" => {
            let number: usize = name.parse().unwrap();
            state.patches += 1;
            state.sent += request.bytes.len();
            let wrong = if state.patches == 2 {
                wrong
            } else {
                Wrong::Nothing
            };
            let upload = &mut state.uploads[number];
            let range = request.header("content-range").unwrap();
            assert_eq!(range.split('-').next().unwrap(), upload.len().to_string());
            match wrong {
                Wrong::WantsAnotherToken => {
                    let challenge = format!(r#"Bearer realm="http://{host}/token",service="s""#);
                    return Answer::new(401).with("WWW-Authenticate", &challenge);
                }
                Wrong::Overloaded => return Answer::new(503),
                Wrong::LosesUpload => {
                    upload.clear();
                    return Answer::new(404);
                }
                Wrong::TakesHalf => {
                    upload.extend_from_slice(&request.bytes[..request.bytes.len() / 2]);
                }
                Wrong::LosesAnswer | Wrong::Nothing => upload.extend_from_slice(&request.bytes),
            }
            Answer {
                silent: matches!(wrong, Wrong::LosesAnswer | Wrong::TakesHalf),
                ..at(number, upload.len())
            }
        }
        "PUT" if request.path.contains("/manifests/") => {
            state.manifests.insert(name, request.bytes.clone());
            Answer::new(201)
        }
        "PUT" => {
            let number: usize = name.parse().unwrap();
            let digest = request
                .query
                .split("digest=")
                .nth(1)
                .unwrap()
                .replace("%3A", ":");
            let bytes = state.uploads[number].clone();
            assert_eq!(Digest::of(&bytes).to_string(), digest);
            state.blobs.insert(digest, bytes);
            Answer::new(201)
        }
        _ => Answer::new(200),
    }
}

struct Memory(Vec<u8>);

impl LayerSource for Memory {
    fn kept(&self, _digest: &Digest, _size: u64) -> Option<std::fs::File> {
        None
    }

    fn write(&self, diff_id: &Digest, to: &mut dyn Write) -> Result<(), SinkError> {
        assert_eq!(*diff_id, Digest::of(&self.0));
        to.write_all(&self.0)
            .map_err(|error| SinkError::new(MemoryError::Read(error)))
    }
}

fn push_to(wrong: Wrong) -> (Result<Pushed, RegistryError>, State) {
    let tar = image::tar(&[("file", noise(15 << 20).as_slice())]);
    let layer = TestLayer::plain(&tar);
    let made = TestImage::new(vec![layer]);
    let config = made.blobs().into_iter().next().unwrap().1;
    let to_push = ToPush {
        manifest: made.manifest(),
        media_type: made.media_type().to_owned(),
        config,
        diff_ids: vec![Digest::of(&tar)],
    };
    let state: Arc<Mutex<State>> = Arc::default();
    let shared = Arc::clone(&state);
    let host = Arc::new(Mutex::new(String::new()));
    let own = Arc::clone(&host);
    let server = Server::start(move |request| {
        let host = own.lock().unwrap().clone();
        answer(&shared, wrong, &host, request)
    });
    *host.lock().unwrap() = server.host();
    let reference = format!("{}/app:1", server.host()).parse().unwrap();
    let options = PushOptions {
        packing: Some(Packing::None),
        keeps_others: false,
        require_digest: false,
        untagged: false,
    };
    let mut config = quick();
    config.limits.idle_timeout = Duration::from_secs(5);
    let pushed = push(
        &to_push,
        &reference,
        &options,
        &config,
        &Memory(tar),
        &Silent,
    );
    drop(server);
    let state = std::mem::take(&mut *state.lock().unwrap());
    (pushed, state)
}

#[test]
fn an_upload_survives_what_registries_do() {
    for wrong in [
        Wrong::Nothing,
        Wrong::LosesAnswer,
        Wrong::TakesHalf,
        Wrong::Overloaded,
        Wrong::LosesUpload,
        Wrong::WantsAnotherToken,
    ] {
        let (pushed, state) = push_to(wrong);
        let pushed = pushed.unwrap_or_else(|error| panic!("{wrong:?}: {error}"));
        assert_eq!(pushed.changed, [], "{wrong:?}");
        let manifest = &state.manifests["1"];
        assert_eq!(pushed.digest, Digest::of(manifest));
        assert_eq!(pushed.manifest, *manifest);
        // Only the part that was lost is sent again, unless everything was.
        let most = match wrong {
            Wrong::LosesUpload => 40 << 20,
            _ => 23 << 20,
        };
        assert!(state.sent < most, "{wrong:?}: {} bytes", state.sent);
        assert_eq!(state.tokens, usize::from(wrong == Wrong::WantsAnotherToken));
    }
}

#[test]
fn a_layer_that_cannot_be_read_is_named() {
    struct Broken;
    impl LayerSource for Broken {
        fn kept(&self, _digest: &Digest, _size: u64) -> Option<std::fs::File> {
            None
        }

        fn write(&self, _: &Digest, to: &mut dyn Write) -> Result<(), SinkError> {
            to.write_all(&[0; 100]).unwrap();
            Err(SinkError::new(MemoryError::Full))
        }
    }
    let state: Arc<Mutex<State>> = Arc::default();
    let shared = Arc::clone(&state);
    let server = Server::start(move |request| answer(&shared, Wrong::Nothing, "", request));
    let layer = layer("hello");
    let made = TestImage::new(vec![layer]);
    let to_push = ToPush {
        manifest: made.manifest(),
        media_type: made.media_type().to_owned(),
        config: made.blobs().into_iter().next().unwrap().1,
        diff_ids: vec![Digest::of(b"x")],
    };
    let reference = format!("{}/app:1", server.host()).parse().unwrap();
    let options = PushOptions::default();
    let pushed = push(&to_push, &reference, &options, &quick(), &Broken, &Silent);
    assert!(chain(&pushed.unwrap_err()).contains("no space left"));
    assert!(state.lock().unwrap().manifests.is_empty());
}
