//! Images: references, digests, manifests, the content store, layers (tar to directory). Never opens a connection.

mod digest;
mod reference;

pub use digest::{Digest, DigestError};
pub use reference::{Reference, ReferenceError};
