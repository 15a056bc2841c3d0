//! `system check`: whether everything in the store is what it was when it was written, and what is done where it is not.

use std::collections::BTreeSet;
use std::time::Duration;

use super::remove::users_of;
use super::worker::RoleFailure;
use super::{Engine, EngineError};
use crate::container::{BrokenRecord, RecordRepair, Records};
use crate::image::{
    BrokenList, CheckDepth, DamagedImage, Digest, ImageCheck, LayerDir, ManifestLists, Reference,
    Store, Subject, Use,
};
use crate::registry::{KeptSignatures, Silent};

/// What `system check` is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckRequest {
    /// Do not read the contents of layers.
    pub quick: bool,
    pub repair: bool,
    /// With `repair`: containers of images that can't be had again go too.
    pub force: bool,
    /// Layers of no image and no container that are older count as damage.
    pub max: Option<Duration>,
}

/// What a check found and did, a line each.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    pub faults: Vec<String>,
    /// What nothing can be said of.
    pub notes: Vec<String>,
    pub repairs: Vec<String>,
    /// Faults that are still there.
    pub left: usize,
}

/// What is wrong now.
struct Findings {
    images: ImageCheck,
    records: Vec<crate::container::RecordFault>,
    /// Containers whose layers are gone, and the first of them.
    bereft: Vec<(String, LayerDir)>,
    lists: Vec<BrokenList>,
}

impl Findings {
    fn lines(&self) -> Vec<String> {
        let images = self.images.faults.iter().map(ToString::to_string);
        let records = self.records.iter().map(ToString::to_string);
        let bereft = self.bereft.iter().map(|(container, layer)| {
            format!("container {container}: layer {layer} is not in the store")
        });
        let lists = self.lists.iter().map(ToString::to_string);
        images.chain(records).chain(bereft).chain(lists).collect()
    }
}

impl Engine {
    /// Compares everything in the store with what was promised of it; with `repair` removes what is broken or fetches it
    /// again.
    pub fn check(&self, request: CheckRequest) -> Result<CheckReport, EngineError> {
        let store = self.images()?;
        self.sweep_all(&store)?;
        let findings = self.look(&store, request)?;
        let unverified = findings.images.unverified.iter();
        let mut report = CheckReport {
            faults: findings.lines(),
            notes: unverified
                .map(|layer| {
                    format!("layer {layer} cannot be verified: an older bryo has stored it")
                })
                .collect(),
            ..CheckReport::default()
        };
        report.left = report.faults.len();
        if !request.repair || report.faults.is_empty() {
            return Ok(report);
        }
        self.repair_records(&findings, &mut report);
        for list in &findings.lists {
            ManifestLists::new(&self.paths).put_away(list)?;
            report.repairs.push(format!("removed broken {list}"));
        }
        self.repair_images(&store, &findings, request.force, &mut report)?;
        self.sweep_all(&store)?;
        report.left = self.look(&store, request)?.lines().len();
        Ok(report)
    }

    /// What interrupted commands left is no damage.
    fn sweep_all(&self, store: &Store) -> Result<(), EngineError> {
        self.sweep_images(store)?;
        ManifestLists::new(&self.paths).sweep_killed()?;
        self.empty_trash()
    }

    fn look(&self, store: &Store, request: CheckRequest) -> Result<Findings, EngineError> {
        let used: Vec<LayerDir> = self
            .image_uses()?
            .into_iter()
            .flat_map(|u| u.layers)
            .collect();
        let depth = CheckDepth {
            quick: request.quick,
            oldest: request.max,
            parallel: std::thread::available_parallelism().map_or(1, usize::from),
        };
        let images = self.in_home("worker", || {
            let checked = store.check(depth, &used, &readable);
            checked.map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        let records = Records::new(&self.paths, &self.containers)
            .check()
            .map_err(EngineError::system("read the records"))?;
        let missing = |one: Use| {
            let gone = one
                .layers
                .into_iter()
                .find(|l| !store.layer_path(l).is_dir());
            gone.map(|layer| (one.container, layer))
        };
        let bereft = self.image_uses()?.into_iter().filter_map(missing).collect();
        Ok(Findings {
            images,
            records,
            bereft,
            lists: ManifestLists::new(&self.paths).check()?,
        })
    }

    fn repair_records(&self, findings: &Findings, report: &mut CheckReport) {
        let records = Records::new(&self.paths, &self.containers);
        for fault in &findings.records {
            let what = match &fault.subject {
                BrokenRecord::Container(id) => format!("container {id}"),
                BrokenRecord::OfContainer(id, file) => format!("{file} of container {id}"),
                BrokenRecord::Name(name) => format!("container name {name}"),
                BrokenRecord::Volume(name) => format!("the record of volume {name}"),
                BrokenRecord::Secret(name) => format!("secret {name}"),
            };
            report.repairs.push(match records.repair(&fault.subject) {
                Ok(RecordRepair::Removed) => format!("removed {what}"),
                Ok(RecordRepair::Rewritten) => format!("wrote {what} anew; its data is kept"),
                Ok(RecordRepair::Running) => format!("left {what}: it is running"),
                Err(error) => format!("left {what}: {error}"),
            });
        }
    }

    fn repair_images(
        &self,
        store: &Store,
        findings: &Findings,
        force: bool,
        report: &mut CheckReport,
    ) -> Result<(), EngineError> {
        let check = &findings.images;
        let uses = self.image_uses()?;
        let mut broken: BTreeSet<Subject> =
            check.faults.iter().map(|one| one.subject.clone()).collect();
        let mut damaged = check.damaged.clone();
        damaged.retain(|image| match keeper(image, &uses, force) {
            None => true,
            Some(reason) => {
                broken.retain(|part| !image.broken.contains(part));
                report
                    .repairs
                    .push(format!("left image {}: {reason}", image.id));
                false
            }
        });
        // A layer that only containers have is theirs.
        for one in &uses {
            let mine = |part: &Subject| matches!(part, Subject::Layer(l) if one.layers.contains(l));
            if one.running || (!force && damaged.iter().all(|image| image.id != one.image)) {
                broken.retain(|part| !mine(part));
            }
        }
        self.in_home("worker", || {
            let put_away = store.put_away(&broken);
            put_away.map_err(|error| RoleFailure::of(&error, Vec::new()))
        })?;
        let mut gone = Vec::new();
        for image in damaged {
            match self.fetch_again(store, &image) {
                Ok(Some(from)) => report.repairs.push(format!("fetched {from} again")),
                fetched => {
                    let why = fetched.err().map(|error| format!(" ({error})"));
                    let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
                    report.repairs.push(format!(
                        "removed image {} [{}]{}",
                        image.id,
                        names.join(", "),
                        why.unwrap_or_default()
                    ));
                    gone.push(image.id);
                }
            }
        }
        self.forget_images(store, &gone, force, report)?;
        forget_artifacts(store, report)?;
        for part in broken {
            if matches!(
                part,
                Subject::Blob(_)
                    | Subject::Stack(_)
                    | Subject::Layer(_)
                    | Subject::Kept(_)
                    | Subject::Signatures(_)
                    | Subject::Artifacts
            ) {
                report.repairs.push(format!("removed broken {part}"));
            }
        }
        Ok(())
    }

    /// The same image from where it came; `None` where that is not known.
    fn fetch_again(
        &self,
        store: &Store,
        image: &DamagedImage,
    ) -> Result<Option<String>, EngineError> {
        let Some(origin) = &image.origin else {
            return Ok(None);
        };
        self.pull(origin, None, &Silent)?;
        store.restore_names(&image.id, &image.names, origin)?;
        Ok(Some(origin.familiar()))
    }

    /// Images that can't be had again, and with `force` the containers that were made of them.
    fn forget_images(
        &self,
        store: &Store,
        gone: &[Digest],
        force: bool,
        report: &mut CheckReport,
    ) -> Result<(), EngineError> {
        for record in self.containers.all()? {
            let image = record.config().ok().and_then(|c| c.image_id.parse().ok());
            if force && image.is_some_and(|id: Digest| gone.contains(&id)) {
                self.remove(&record, true, false)?;
                report
                    .repairs
                    .push(format!("removed container {}", record.id));
            }
        }
        let users = || users_of(&self.containers);
        self.in_home("worker", || {
            let forgotten = store
                .forget(gone)
                .map_err(|e| RoleFailure::of(&e, Vec::new()));
            forgotten?;
            let collected = store.collect_garbage(&users);
            collected
                .map(drop)
                .map_err(|error| RoleFailure::of(&error, Vec::new()))
        })
    }
}

/// Those that lack something now: where they came from is asked by whoever wants them again.
fn forget_artifacts(store: &Store, report: &mut CheckReport) -> Result<(), EngineError> {
    let incomplete: Vec<Reference> = store.incomplete_artifacts()?;
    for name in &incomplete {
        let name = name.familiar();
        report.repairs.push(format!("removed artifact {name}"));
    }
    match incomplete.is_empty() {
        true => Ok(()),
        false => Ok(store.remove_artifacts(&incomplete)?),
    }
}

/// A record of signatures that a policy can judge.
fn readable(bytes: &[u8]) -> Result<(), String> {
    let parsed = serde_json::from_slice::<KeptSignatures>(bytes);
    parsed.map(drop).map_err(|error| error.to_string())
}

/// Why an image is left as it is.
fn keeper(image: &DamagedImage, uses: &[Use], force: bool) -> Option<String> {
    let user = |running: bool| {
        let mut of_image = uses.iter().filter(|one| one.image == image.id);
        of_image.find(|one| one.running || !running)
    };
    if let Some(one) = user(true).filter(|_| !force) {
        return Some(format!(
            "container {} is running, stop it first",
            one.container
        ));
    }
    if let Some(one) = user(false).filter(|_| !force && image.origin.is_none()) {
        return Some(format!(
            "container {} uses it, and it can't be fetched again: --force removes both",
            one.container
        ));
    }
    None
}
