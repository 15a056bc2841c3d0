//! Where a pull puts its layers: what the store's side has to promise. Holds no layer itself.

use std::error::Error;
use std::fmt;
use std::io::Read;

use crate::image::Digest;

/// A layer that a pull may bring.
#[derive(Clone, Debug)]
pub struct PlannedLayer {
    pub diff_id: Digest,
    /// Of the blob, and so are its bytes.
    pub digest: Digest,
    pub size: u64,
    pub media_type: String,
}

/// The receiver of layers, called from several threads at once.
pub trait LayerSink: Sync {
    /// What the image consists of, before anything is asked of `has` and before any layer is fetched: the sink makes room, or
    /// refuses.
    fn plan(&self, layers: &[PlannedLayer]) -> Result<(), SinkError>;

    /// Whether the layer is here already; such a layer is never asked for.
    fn has(&self, diff_id: &Digest) -> bool;

    /// The first bytes of a layer's blob, before it is stored: what they say may be remembered with it.
    fn begins(&self, diff_id: &Digest, start: &[u8]);

    /// Stores one layer from its uncompressed tar. Reads `tar` to its end, fails when a read fails, and makes nothing
    /// visible unless all of it had the digest `diff_id`. The reader ends only when the compressed blob was verified.
    fn store(&self, diff_id: &Digest, tar: &mut dyn Read) -> Result<(), SinkError>;

    /// Who wants the compressed blob of a layer as well. Failing to keep it fails no pull.
    fn keeper(&self, blob: &Digest) -> Option<Box<dyn BlobKeeper>>;
}

/// Where a blob's very bytes go while they come.
pub trait BlobKeeper: std::io::Write + Send {
    /// All of them were right.
    fn done(self: Box<Self>) -> std::io::Result<()>;
}

/// Why the sink could not store a layer: the error of another module, with its hints.
#[derive(Debug)]
pub struct SinkError {
    source: Box<dyn Error + Send + Sync>,
    hints: Vec<String>,
}

impl SinkError {
    pub fn new(source: impl Error + Send + Sync + 'static) -> SinkError {
        SinkError {
            source: Box::new(source),
            hints: Vec::new(),
        }
    }

    pub fn with_hints(mut self, hints: Vec<String>) -> SinkError {
        self.hints = hints;
        self
    }

    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The error behind it, for callers that know its type.
    pub fn inner(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl Error for SinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
