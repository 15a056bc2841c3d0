//! The layers of an image in the making: some are in the store, some are being made and have no DiffID yet.

use std::cell::RefCell;
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

/// A row of the history.
#[derive(Clone, Debug)]
pub struct Row {
    pub text: String,
    /// It has a layer even where nothing was changed: a command that changed nothing has an empty one, a directory that was
    /// there already has none.
    pub has_empty_layer: bool,
}

impl Row {
    /// Of a command or a copy.
    pub fn of_files(text: String) -> Row {
        Row {
            text,
            has_empty_layer: true,
        }
    }

    /// `WORKDIR`
    pub fn of_directory(path: &str) -> Row {
        Row {
            text: format!("WORKDIR {path}"),
            has_empty_layer: false,
        }
    }
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
    /// One that the store has.
    pub fn known(diff_id: &Digest) -> Layer {
        match diff_id.as_str() == NOTHING {
            true => Layer::Nothing,
            false => Layer::Known(diff_id.clone()),
        }
    }

    /// Below `layers/`; None where nothing of it is to be seen.
    pub fn directory(&self) -> Option<String> {
        match self {
            Layer::Base { directory, .. } => directory
                .as_ref()
                .map(|directory| directory.as_str().to_owned()),
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
