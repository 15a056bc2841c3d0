//! Images: references, digests, manifests, the content store, layers (tar to directory). Never opens a connection.

mod ahead;
mod archive;
mod artifacts;
mod attestation;
mod blocks;
mod budget;
mod changes;
mod check;
mod chunked;
mod collect;
mod commit;
mod compression;
mod copied;
mod derive;
mod digest;
mod document;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod graft;
mod healthcheck;
mod import;
mod indexes;
mod inventory;
mod kept;
mod layer;
mod lists;
mod manifest;
mod merged;
mod names;
mod outside;
mod pack;
mod parents;
mod platform;
pub mod prefixed;
mod ready;
mod reference;
mod remove;
mod repair;
mod replay;
mod resolve;
mod save;
mod seal;
mod settle;
mod squash;
mod step;
mod store;
mod sums;
mod sweep;
mod tar;
mod tarball;
mod unpack;
mod variant;
mod verify;
mod whiteouts;

pub use archive::{ArchiveError, Judge, LoadOptions, Loaded, OneImage, load};
pub use artifacts::{
    Artifact, ArtifactBlob, ArtifactError, ArtifactFile, ComparedBlob, Existing, NewBlob,
    UNKNOWN_TYPE, artifact_blobs, empty_artifact, sniff,
};
pub use attestation::{Attestation, Predicate, statement};
pub use blocks::{BlockWriter, GZIP_LEVEL, Method, Workers, ZSTD_LEVEL, begins_as_made_here};
pub use budget::{BudgetError, Coming, disk_size};
pub use changes::{ChangeKind, Changes, Layers};
pub use check::{CheckDepth, DamagedImage, ImageCheck, ImageFault, Subject};
pub use chunked::{ChunkedWriter, Toc};
pub use compression::{Compression, CompressionError, Decompressed};
pub use copied::{CopiedError, CopiedRoot};
pub use derive::{Derivation, DeriveError, copy_layer, derive, is_for_user};
pub use digest::{Digest, DigestError};
pub use document::{
    Document, DocumentError, MAX_DOCUMENT, descriptor_digest, diff_ids, json, media_type,
    parse_config,
};
pub use extract::{Destination, ExtractError, ExtractOptions, There, extract};
pub use graft::{Appearance, Choice, Choose, Former, Graft, GraftError, Place};
pub use healthcheck::Healthcheck;
pub use import::{ImportError, ImportOptions, Imported, import, install_builtin, is_builtin};
pub use indexes::{Index, IndexedImage};
pub use inventory::{Inventory, Package, release_field};
pub use kept::KeptBlob;
pub use layer::{
    KnownBlob, LayerDir, LayerDirError, LayerPath, LayerReport, TempLayer, WORK, join_path,
};
pub use lists::{BrokenList, ListError, ManifestList, ManifestLists, Member, MemberPlatform};
pub use manifest::{NewConfig, annotated, configuration, dockers, manifest_of, remove_makers};
pub use merged::{Merged, Resolved, Shown, is_link, parts_of};
pub use names::{NameEntry, Names, NamesError, OfIndex};
pub use outside::Ids;
pub use pack::{PackError, Packer, Tree};
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use remove::{RemoveImageError, Removed, Use, Users};
pub use replay::{Compare, ReplayError};
pub use resolve::{Image, ImageError, NamedBy, find};
pub use save::{
    IndexToSave, LayerForm, NoOriginals, Originals, Said, SaveError, SaveFormat, SaveOptions,
    SaveSet, ToSave, save_archive, save_directory,
};
pub use seal::{NOTHING, SealError, seal, strip};
pub use settle::take_root_looks;
pub use squash::squash;
pub use step::{CACHE_FIELD, KnownStep, StepRecord, cache_records, cache_records_of};
pub use store::{Store, StoreError};
pub use tar::{Entry, EntryKind, Limits, TarError, TarReader, TarStream, TarWriter};
pub use tarball::{is_archive, unpack_archive};
pub use unpack::{UnpackError, UnpackOptions, unpack, unpack_into};
pub use verify::{VerifyError, VerifyingReader};

#[cfg(test)]
mod tests;
