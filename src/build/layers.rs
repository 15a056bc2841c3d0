//! The layers of an image in the making: some are in the store, some are being made and have no DiffID yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::image::{Digest, LayerDir, LayerReport, NOTHING, StepRecord, TempLayer};

/// One layer of a draft.
#[derive(Clone, Debug)]
pub enum Layer {
    /// Of the base image: in the directory that its stack says, if it is mounted at all.
    Base {
        diff_id: Digest,
        directory: Option<LayerDir>,
    },
    /// Of an earlier build.
    Known(Digest),
    /// Changes nothing.
    Nothing,
    Made(Rc<Made>),
}

/// A layer that this build makes.
#[derive(Debug)]
pub struct Made {
    /// None once it has its name.
    pub place: RefCell<Option<TempLayer>>,
    pub directory: String,
    /// What the step is remembered by.
    pub key: Digest,
    pub description: String,
    pub created: String,
    /// Once it is known.
    pub report: RefCell<Option<LayerReport>>,
    /// It was given to the store.
    pub stored: Cell<bool>,
}

impl Made {
    pub fn new(place: TempLayer, key: Digest, description: String, created: String) -> Made {
        Made {
            directory: place.name().to_owned(),
            place: RefCell::new(Some(place)),
            key,
            description,
            created,
            report: RefCell::new(None),
            stored: Cell::new(false),
        }
    }

    pub fn step_record(&self) -> Option<StepRecord> {
        let report = self.report.borrow();
        let report = report.as_ref()?;
        Some(StepRecord {
            layer: report.diff_id.clone(),
            created: self.created.clone(),
            size: report.size,
            description: self.description.clone(),
        })
    }
}

impl Layer {
    /// Below `layers/`; None where nothing of it is to be seen.
    pub fn directory(&self) -> Option<String> {
        match self {
            Layer::Base { directory, .. } => directory
                .as_ref()
                .map(|directory| directory.as_str().to_owned()),
            Layer::Known(diff_id) if diff_id.as_str() == NOTHING => None,
            Layer::Known(diff_id) => Some(LayerDir::base(diff_id).as_str().to_owned()),
            Layer::Nothing => None,
            Layer::Made(made) => Some(made.directory.clone()),
        }
    }

    /// None while it is being read.
    pub fn diff_id(&self) -> Option<Digest> {
        match self {
            Layer::Base { diff_id, .. } | Layer::Known(diff_id) => Some(diff_id.clone()),
            Layer::Nothing => Some(NOTHING.parse().expect("it is a digest")),
            Layer::Made(made) => {
                let report = made.report.borrow();
                report.as_ref().map(|report| report.diff_id.clone())
            }
        }
    }
}
