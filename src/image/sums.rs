//! What the bytes of a layer's archive come to as they pass by: the DiffID and, at a hundredth of its cost, a CRC-32. The latter tells
//! damage of the store from a layer that is as it was unpacked; it proves nothing to anybody else.

use libdeflater::Crc;
use sha2::{Digest as _, Sha256};

use super::digest::Digest;

/// Both of them.
#[derive(Default)]
pub(super) struct Sums {
    hasher: Sha256,
    crc: Crc,
}

impl Sums {
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.crc.update(bytes);
    }

    pub fn finish(self) -> (Digest, u32) {
        let digest = Digest::from_hash(self.hasher.finalize().as_slice());
        (digest, self.crc.sum())
    }
}

/// What an archive that is given back is compared with.
pub(super) enum Expected {
    /// The DiffID; the CRC-32 is found out with it.
    Digest(Box<Sums>),
    /// What was found out when it was unpacked: a CRC-32, and the length.
    Crc { found: Crc, crc: u32, length: u64 },
}

impl Expected {
    pub fn digest() -> Expected {
        Expected::Digest(Box::default())
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Expected::Digest(sums) => sums.update(bytes),
            Expected::Crc { found, .. } => found.update(bytes),
        }
    }
}
