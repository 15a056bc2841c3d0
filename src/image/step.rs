//! What the steps of builds came to: records in the cache directory, one per key, whose layers stay in the store for as long as
//! the record does. A record that is lost or damaged is a step that is done again.

use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::digest::Digest;
use super::remove::{RemoveImageError, Users};
use super::store::{Store, StoreError};
use crate::sys::{disk, fs};

/// Records are small: longer ones are not ours.
const MAX_RECORD: u64 = 64 << 10;

/// What is known of a step that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StepRecord {
    /// DiffID of the layer that it made.
    pub layer: Digest,
    /// RFC 3339: when it was done.
    pub created: String,
    /// Bytes of the layer's files.
    pub size: u64,
    /// What was done, for whoever looks at the cache.
    pub description: String,
}

/// Where an image's configuration says what steps came to whose layers it has.
pub const CACHE_FIELD: &str = "bryo.build-cache.v1";

/// Such a list has no more of them.
const MAX_RECORDS: usize = 10_000;

/// A record as it travels.
#[derive(Serialize, Deserialize)]
struct Travelling {
    key: Digest,
    #[serde(flatten)]
    record: StepRecord,
}

/// What a configuration says of these steps.
pub fn cache_records(steps: &[(Digest, StepRecord)]) -> Value {
    let records = steps.iter().map(|(key, record)| Travelling {
        key: key.clone(),
        record: record.clone(),
    });
    let records: Vec<Travelling> = records.collect();
    serde_json::to_value(records).expect("plain data always serialises")
}

/// What a configuration says; what cannot be read is none.
pub fn cache_records_of(document: &Map<String, Value>) -> Vec<(Digest, StepRecord)> {
    let listed = document.get(CACHE_FIELD).and_then(Value::as_array);
    let listed = listed.into_iter().flatten().take(MAX_RECORDS);
    listed
        .filter_map(|value| Travelling::deserialize(value).ok())
        .map(|one| (one.key, one.record))
        .collect()
}

/// A record with its key.
#[derive(Clone, Debug)]
pub struct KnownStep {
    pub key: Digest,
    pub record: StepRecord,
    pub last_used: SystemTime,
}

impl Store {
    fn step_path(&self, key: &Digest) -> PathBuf {
        self.steps.join(key.hex())
    }

    /// What the step with this key came to, if its layer is still there.
    pub fn step(&self, key: &Digest) -> Option<StepRecord> {
        let path = self.step_path(key);
        let record: StepRecord = self.read_record(&path, MAX_RECORD).ok()?;
        if !self.has_layer(&record.layer) {
            return None;
        }
        let used = std::fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = used {
            tracing::debug!(%error, "the step's last use was not noted");
        }
        Some(record)
    }

    /// Writes down what a step came to; its layer has its name already.
    pub fn remember_step(&self, key: &Digest, record: &StepRecord) -> Result<(), StoreError> {
        crate::paths::Paths::make(&self.steps)?;
        let json = serde_json::to_vec(record).expect("plain data always serialises");
        let path = self.step_path(key);
        let temporary = self
            .steps
            .join(format!("{}{}", fs::TEMPORARY_FILE, fs::random_name()));
        // No sync: after a crash of the machine a record that is empty or gone costs a step, no more.
        disk::write(&temporary, json)
            .and_then(|()| disk::rename(&temporary, &path))
            .map_err(StoreError::io("write", &path))
    }

    /// All that is known.
    pub fn steps(&self) -> Result<Vec<KnownStep>, StoreError> {
        let entries = match std::fs::read_dir(&self.steps) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(StoreError::io("list", &self.steps))?,
        };
        let known = entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let key = format!("sha256:{}", name.to_str()?).parse().ok()?;
            Some(KnownStep {
                key,
                record: self.read_record(&entry.path(), MAX_RECORD).ok()?,
                last_used: entry.metadata().and_then(|meta| meta.modified()).ok()?,
            })
        });
        Ok(known.collect())
    }

    /// Forgets steps, and removes their layers unless an image, a container or another step has them; `false`, and nothing is
    /// done, while somebody holds a [`Store::lease`]. Runs in the home namespace.
    pub fn forget_steps(
        &self,
        keys: &[Digest],
        users: Users<'_>,
    ) -> Result<bool, RemoveImageError> {
        if keys.is_empty() {
            return Ok(false);
        }
        let collected = {
            let _lock = self.lock_exclusive()?;
            if self.is_leased()? {
                return Ok(false);
            }
            let users = users().map_err(|source| RemoveImageError::Users { source })?;
            for key in keys {
                self.forget_step(key)?;
            }
            self.collect(users.iter().flat_map(|user| &user.layers))?
        };
        self.delete(collected.dead)?;
        Ok(true)
    }

    /// Forgets a step; its layer goes with the next collection unless an image has it.
    pub(super) fn forget_step(&self, key: &Digest) -> Result<(), StoreError> {
        let path = self.step_path(key);
        match disk::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}
