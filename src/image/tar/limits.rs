//! What an archive may cost. Pure.

/// What an archive may cost. The defaults hold for any real image and end bombs early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries, whiteouts included.
    pub entries: u64,
    /// Bytes of the uncompressed tar.
    pub bytes: u64,
    /// Bytes of one path: `PATH_MAX` without its NUL.
    pub path: u64,
    /// Parts of one path.
    pub depth: usize,
    /// Bytes of all paths that must be remembered until the end (directories, whiteouts).
    pub remembered: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            entries: 5_000_000,
            bytes: 1 << 42,
            path: 4095,
            depth: 512,
            remembered: 96 << 20,
        }
    }
}

impl Limits {
    /// The limits for an archive that came in `compressed` bytes: beyond 4 GiB at most 250 times as much, so that a few
    /// megabytes can't fill a disk.
    pub fn for_compressed(compressed: u64) -> Limits {
        let bytes = compressed.saturating_mul(250).max(4 << 30);
        Limits {
            bytes: bytes.min(Limits::default().bytes),
            ..Limits::default()
        }
    }
}
