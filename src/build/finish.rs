//! The end of a build: the layers that were made get their names, and the image is made of them.

use std::rc::Rc;

use super::attest::Material;
use super::builder::{Builder, Seal};
use super::draft::Draft;
use super::error::BuildError;
use super::key::KeyBuilder;
use super::layers::{Layer, Made};
use crate::engine::{FinishedLayer, NewImage, StoredImage, WrittenLayer};
use crate::image::{Digest, StepRecord, cache_records};

/// What a build came to.
#[derive(Clone, Debug)]
pub struct Built {
    pub image: StoredImage,
    /// Of all stages that were built.
    pub steps: Vec<(Digest, StepRecord)>,
    /// What came from elsewhere, in order.
    pub materials: Vec<Material>,
    /// What the target's steps came to, whatever became of their layers.
    diff_ids: Vec<Digest>,
}

impl Built {
    /// Those that the image is made of.
    pub fn steps_of_image(&self) -> Vec<(Digest, StepRecord)> {
        of_layers(&self.steps, &self.diff_ids)
    }
}

fn of_layers(steps: &[(Digest, StepRecord)], diff_ids: &[Digest]) -> Vec<(Digest, StepRecord)> {
    let all = steps.iter();
    let own = all.filter(|(_, record)| diff_ids.contains(&record.layer));
    own.cloned().collect()
}

fn diff_ids_of(draft: &Draft) -> Vec<Digest> {
    let diff_ids: Option<Vec<Digest>> = draft.layers.iter().map(Layer::diff_id).collect();
    diff_ids.expect("nothing waits to be read")
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
        let mut of_steps = diff_ids_of(&draft);
        let mut diff_ids = of_steps.clone();
        if self.request.squash {
            self.squash(&mut draft, &of_steps)?;
            diff_ids = diff_ids_of(&draft);
            of_steps.extend(diff_ids.last().cloned());
        }
        let steps = self.all_steps();
        if self.request.inline_cache {
            draft.set_cache(cache_records(&of_layers(&steps, &diff_ids)));
        }
        let image = NewImage {
            config: draft.to_json(&diff_ids),
            diff_ids,
            names: self.request.names.clone(),
            annotations: self.request.annotations.clone(),
            docker_types: self.request.docker_types,
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
            diff_ids: of_steps,
        })
    }

    /// What the steps came to becomes one layer, unless that is known. No step, no layer.
    fn squash(&mut self, draft: &mut Draft, diff_ids: &[Digest]) -> Result<(), BuildError> {
        let is_base = |layer: &Layer| matches!(layer, Layer::Base { .. });
        let of_base = draft.layers.iter().filter(|layer| is_base(layer)).count();
        if draft.layers.len() == of_base {
            return Ok(());
        }
        let vertex = self.new_vertex("squashing layers");
        let (below, own) = diff_ids.split_at(of_base);
        let key = KeyBuilder::new("squash")
            .with_all(below.iter().map(Digest::as_str))
            .with_all(own.iter().map(Digest::as_str))
            .with(self.epoch_text())
            .finish();
        let known = self.store.step(&key).filter(|_| !self.request.ignore_cache);
        let id = Digest::of(&draft.to_json(diff_ids));
        let layer = match known {
            Some(record) => {
                self.watcher.cached(vertex);
                let layer = Layer::known(&record.layer);
                self.used.push((key, record));
                layer
            }
            None => {
                let made = self.squashed(draft, key);
                let shown = made.as_ref().err().map(ToString::to_string);
                self.watcher.end(vertex, shown.as_deref());
                made?
            }
        };
        draft.squash(&id, layer);
        Ok(())
    }

    fn squashed(&mut self, draft: &Draft, key: Digest) -> Result<Layer, BuildError> {
        let directories = |is_base: bool| {
            let layers = draft.layers.iter();
            let chosen = layers.filter(|layer| matches!(layer, Layer::Base { .. }) == is_base);
            chosen.filter_map(Layer::directory).collect::<Vec<_>>()
        };
        let place = self.store.begin_layer()?;
        let written = WrittenLayer {
            name: place.name().to_owned(),
            below: self.layer_paths(&directories(true)),
            root: self.layer_paths(draft.root().as_slice()).pop(),
            mount_points: Vec::new(),
            epoch: self.request.epoch,
            was_mounted: false,
        };
        let layers = self.layer_paths(&directories(false));
        let created = draft.created.clone();
        let made = Rc::new(Made::new(place, key, "squash".to_owned(), created));
        let job = self.engine.squash(written, layers)?;
        self.seals.push(Seal {
            made: Rc::clone(&made),
            job,
        });
        self.made.push(Rc::clone(&made));
        while !self.seals.is_empty() {
            self.wait()?;
        }
        Ok(Layer::Made(made))
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
