//! The end of a build: the layers that were made get their names, and the image is made of them.

use std::rc::Rc;

use super::attest::Material;
use super::builder::Builder;
use super::error::BuildError;
use super::layers::{Layer, Made};
use crate::engine::{FinishedLayer, NewImage, StoredImage};
use crate::image::{Digest, StepRecord, cache_records};

/// What a build came to.
#[derive(Clone, Debug)]
pub struct Built {
    pub image: StoredImage,
    /// Of all stages that were built.
    pub steps: Vec<(Digest, StepRecord)>,
    /// What came from elsewhere, in order.
    pub materials: Vec<Material>,
    diff_ids: Vec<Digest>,
}

impl Built {
    /// Those whose layers the image has.
    pub fn steps_of_image(&self) -> Vec<(Digest, StepRecord)> {
        of_layers(&self.steps, &self.diff_ids)
    }
}

fn of_layers(steps: &[(Digest, StepRecord)], diff_ids: &[Digest]) -> Vec<(Digest, StepRecord)> {
    let all = steps.iter();
    let own = all.filter(|(_, record)| diff_ids.contains(&record.layer));
    own.cloned().collect()
}

impl Builder<'_> {
    /// What all steps came to, the known ones and those that were done.
    fn all_steps(&self) -> Vec<(Digest, StepRecord)> {
        let mut steps = self.used.clone();
        steps.extend(self.nothing.iter().cloned());
        let made = self.made.iter();
        steps.extend(made.filter_map(|made| Some((made.key.clone(), made.step_record()?))));
        steps
    }

    pub(super) fn finish(&mut self) -> Result<Built, BuildError> {
        let stage = self.stages[self.plan.target].take().expect("it has ended");
        let mut draft = stage.draft;
        if !self.request.labels.is_empty() {
            let labels = draft.object("Labels");
            for (name, value) in &self.request.labels {
                labels.insert(name.clone(), value.as_str().into());
            }
        }
        let diff_ids: Option<Vec<Digest>> = draft.layers.iter().map(Layer::diff_id).collect();
        let diff_ids = diff_ids.expect("nothing waits to be read");
        let steps = self.all_steps();
        if self.request.inline_cache {
            draft.set_cache(cache_records(&of_layers(&steps, &diff_ids)));
        }
        let image = NewImage {
            config: draft.to_json(&diff_ids),
            diff_ids,
            names: self.request.names.clone(),
            annotations: self.request.annotations.clone(),
        };
        let vertex = self.new_vertex("exporting to image");
        let stored = self.store_finished(Some(&image));
        let shown = stored.as_ref().err().map(ToString::to_string);
        if let Ok(Some(stored)) = &stored {
            let mut said = format!("writing image {}\n", stored.id);
            for name in &image.names {
                said.push_str(&format!("naming to {name}\n"));
            }
            self.watcher.output(vertex, said.as_bytes());
        }
        self.watcher.end(vertex, shown.as_deref());
        Ok(Built {
            image: stored?.expect("an image was given"),
            steps,
            materials: std::mem::take(&mut self.materials).into_iter().collect(),
            diff_ids: image.diff_ids,
        })
    }

    /// What was done before something went wrong need not be done again.
    pub(super) fn keep_what_is_done(&mut self, error: &BuildError) {
        if !matches!(error, BuildError::Interrupted { .. }) {
            for seal in self.seals.drain(..) {
                if let Ok(report) = seal.job.wait() {
                    *seal.made.report.borrow_mut() = Some(report);
                }
            }
        }
        if let Err(error) = self.store_finished(None) {
            tracing::debug!(%error, "what was built so far is not kept");
        }
    }

    fn store_finished(
        &mut self,
        image: Option<&NewImage>,
    ) -> Result<Option<StoredImage>, BuildError> {
        let unnamed = self
            .made
            .iter()
            .filter(|made| made.place.borrow().is_some());
        let ready: Vec<&Rc<Made>> = unnamed
            .filter(|made| made.report.borrow().is_some())
            .collect();
        let mut steps = std::mem::take(&mut self.nothing);
        if ready.is_empty() && steps.is_empty() && image.is_none() {
            return Ok(None);
        }
        let finished: Vec<FinishedLayer> = ready
            .iter()
            .filter_map(|made| {
                Some(FinishedLayer {
                    name: made.directory.clone(),
                    report: made.report.borrow().clone()?,
                })
            })
            .collect();
        let of_layers = ready.iter();
        steps.extend(of_layers.filter_map(|made| Some((made.key.clone(), made.step_record()?))));
        let stored = self.engine.store_build(&finished, &steps, image)?;
        for made in ready {
            if let Some(place) = made.place.take() {
                place.leave();
            }
        }
        Ok(stored)
    }
}
