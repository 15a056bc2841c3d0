//! Images: references, digests, manifests, the content store, layers (tar to directory). Never opens a connection.

mod commit;
mod digest;
mod document;
mod layer;
mod lock;
mod names;
mod platform;
mod reference;
mod remove;
mod resolve;
mod settle;
mod store;
mod tar;
mod unpack;
mod verify;

pub use digest::{Digest, DigestError};
pub use document::{
    Document, DocumentError, MAX_DOCUMENT, descriptor_digest, diff_ids, json, media_type,
    parse_config,
};
pub use layer::{LayerDir, LayerDirError, LayerPath, LayerReport, TempLayer};
pub use lock::HeldLock;
pub use names::{NameEntry, Names, NamesError};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use remove::{RemoveImageError, Removed, Use, Users};
pub use resolve::{Image, ImageError, NamedBy, find};
pub use store::{Store, StoreError};
pub use tar::{Entry, EntryKind, Limits, TarError, TarReader, TarWriter};
pub use unpack::{UnpackError, UnpackOptions, unpack};
pub use verify::{VerifyError, VerifyingReader};
