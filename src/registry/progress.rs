//! What a transfer tells whoever watches it. Never draws.

use crate::image::Digest;

/// Called from the threads of a transfer, so from several at once. Layers are named by their compressed digest, which is
/// what a registry's manifest and docker's output show.
pub trait Progress: Sync {
    /// One line of news about the whole transfer: a retry and its reason.
    fn note(&self, line: &str);

    /// The manifest is known: these layers, bottom first, with their compressed sizes in bytes.
    fn layers(&self, layers: &[(Digest, u64)]);

    /// A layer is in the store already and will not be asked for.
    fn present(&self, layer: &Digest);

    /// The download of a layer begins.
    fn started(&self, layer: &Digest);

    /// So many compressed bytes of a layer have arrived since the last call.
    fn advanced(&self, layer: &Digest, bytes: u64);

    /// Every byte of a layer is here and verified; what remains is unpacking.
    fn downloaded(&self, layer: &Digest);

    /// The layer is in the store.
    fn finished(&self, layer: &Digest);

    /// The upload of a layer begins. Pushed layers are named by their DiffIDs, as docker shows them.
    fn uploading(&self, layer: &Digest);

    /// Nothing more is to be done for a pushed layer, in docker's words for it.
    fn settled(&self, layer: &Digest, words: &str);
}

/// Tells nobody: `--quiet`, tests.
pub struct Silent;

impl Progress for Silent {
    fn note(&self, _line: &str) {}
    fn layers(&self, _layers: &[(Digest, u64)]) {}
    fn present(&self, _layer: &Digest) {}
    fn started(&self, _layer: &Digest) {}
    fn advanced(&self, _layer: &Digest, _bytes: u64) {}
    fn downloaded(&self, _layer: &Digest) {}
    fn finished(&self, _layer: &Digest) {}
    fn uploading(&self, _layer: &Digest) {}
    fn settled(&self, _layer: &Digest, _words: &str) {}
}
