//! What a file was when it was looked at: whether it is still the same can be told without reading it.

use rustix::fs::Stat;

/// A file that was changed so short before may be changed again without another time.
const RACY_NANOSECONDS: i128 = 2_000_000_000;

/// Which file it is, how long, and when it was changed. Its content, owner, mode or attributes do not change without one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl Stamp {
    /// Bytes of one that is written down.
    pub const LENGTH: usize = 56;

    pub fn of(stat: &Stat) -> Stamp {
        let time = |seconds: i64, nanoseconds: u64| {
            i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
        };
        Stamp {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            changed: time(stat.st_ctime, stat.st_ctime_nsec),
        }
    }

    /// Whether a change since `moment` (of [`now`]) would show: the last one is long enough ago.
    pub fn is_settled(&self, moment: i128) -> bool {
        moment - self.modified.max(self.changed) > RACY_NANOSECONDS
    }

    pub fn put(&self, bytes: &mut Vec<u8>) {
        for number in [self.device, self.inode, self.size] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for time in [self.modified, self.changed] {
            bytes.extend_from_slice(&time.to_le_bytes());
        }
    }

    pub fn parse(bytes: &[u8; Stamp::LENGTH]) -> Stamp {
        let number = |at: usize| {
            let part = bytes[at..at + 8].try_into();
            u64::from_le_bytes(part.expect("eight bytes"))
        };
        let time = |at: usize| {
            let part = bytes[at..at + 16].try_into();
            i128::from_le_bytes(part.expect("sixteen bytes"))
        };
        Stamp {
            device: number(0),
            inode: number(8),
            size: number(16),
            modified: time(24),
            changed: time(40),
        }
    }
}

/// Nanoseconds since 1970.
pub fn now() -> i128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as i128)
}
