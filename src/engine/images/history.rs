//! How an image came to be: the steps its config tells of, with the size of the layer that each has made.

use super::super::EngineError;
use crate::image::{Digest, Image, Store, StoreError};

/// One step, as docker shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRow {
    /// The image's id for its last step; of the others docker no longer knows one.
    pub id: Option<Digest>,
    pub created: Option<jiff::Timestamp>,
    pub created_by: String,
    /// Bytes of its layer; a step that only changed the config has none.
    pub size: u64,
    pub comment: String,
}

/// The last step first.
pub(super) fn rows(store: &Store, image: &Image) -> Result<Vec<HistoryRow>, EngineError> {
    let subject = format!("config of image {}", image.id);
    let layers = crate::image::diff_ids(&subject, &image.config).map_err(StoreError::from)?;
    let mut layers = layers.into_iter();
    let mut rows = Vec::new();
    for step in image.config.history().iter().flatten() {
        let layer = match step.empty_layer() {
            Some(true) => None,
            _ => layers.next(),
        };
        let created = step.created().as_deref().and_then(|time| time.parse().ok());
        rows.push(HistoryRow {
            id: None,
            created,
            created_by: step.created_by().clone().unwrap_or_default(),
            size: size_of(store, layer.as_ref())?,
            comment: step.comment().clone().unwrap_or_default(),
        });
    }
    // Layers that no step tells of.
    for layer in layers {
        rows.push(HistoryRow {
            id: None,
            created: None,
            created_by: String::new(),
            size: size_of(store, Some(&layer))?,
            comment: String::new(),
        });
    }
    rows.reverse();
    if let Some(last) = rows.first_mut() {
        last.id = Some(image.id.clone());
    }
    Ok(rows)
}

fn size_of(store: &Store, layer: Option<&Digest>) -> Result<u64, EngineError> {
    match layer {
        Some(layer) => Ok(store.layer_report(layer)?.size),
        None => Ok(0),
    }
}
