//! Files that builds have downloaded, so that what has not changed is not downloaded again: a file for each URL, a line of JSON and then the
//! bytes. Each is replaced whole, and believed only while its bytes have their digest. Asks no server.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::image::Digest;
use crate::paths::Paths;
use crate::registry::Validator;
use crate::sys::fs::random_name;

/// Of the line.
const HEAD_MAX: u64 = 64 << 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// Without credentials and query.
    pub shown: String,
    /// What the file is called.
    pub name: String,
    /// Seconds since 1970, as the server has it.
    pub time: u64,
    pub digest: Digest,
    pub validator: Validator,
}

/// One that is there; reading it reads the bytes.
pub(super) struct Kept {
    pub head: Head,
    path: PathBuf,
    file: BufReader<File>,
}

impl Read for Kept {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Kept {
    /// What is known of a URL.
    pub fn find(directory: &Path, url: &str) -> Option<Kept> {
        Kept::open(&place(directory, url))
    }

    fn open(path: &Path) -> Option<Kept> {
        let mut file = BufReader::new(File::open(path).ok()?);
        let mut line = String::new();
        file.by_ref().take(HEAD_MAX).read_line(&mut line).ok()?;
        Some(Kept {
            head: serde_json::from_str(&line).ok()?,
            path: path.to_owned(),
            file,
        })
    }

    /// It was of use: the least recently used go first.
    pub fn touch(&self) {
        let touched = self.file.get_ref().set_modified(SystemTime::now());
        if let Err(error) = touched {
            tracing::debug!(%error, "note the use of a download");
        }
    }

    /// It is not what it was.
    pub fn forget(self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "forget a download");
        }
    }
}

/// The URL may hold credentials: only its digest is a name.
fn place(directory: &Path, url: &str) -> PathBuf {
    directory.join(Digest::of(url.as_bytes()).hex())
}

/// Keeps a copy of what was downloaded to `from`. Without it the next build downloads again.
pub(super) fn keep(directory: &Path, url: &str, head: &Head, from: &Path) {
    let unfinished = directory.join(format!(".tmp-{}", random_name()));
    let kept = (|| {
        Paths::make(directory).map_err(io::Error::other)?;
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        let line = serde_json::to_string(head).map_err(io::Error::other)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        io::copy(&mut File::open(from)?, &mut file)?;
        file.sync_data()?;
        std::fs::rename(&unfinished, place(directory, url))
    })();
    if let Err(error) = kept {
        tracing::debug!(%error, "keep a download");
        // What is left of it is removed by `builder prune`.
        let _ = std::fs::remove_file(&unfinished);
    }
}

/// What a kept file is of, for whoever lists them.
pub(super) fn url_of(path: &Path) -> Option<String> {
    Kept::open(path).map(|kept| kept.head.shown)
}
