//! Where a file is cut: by its content, so that two versions of a file have most of their parts in common, wherever bytes were put in or
//! taken out. Pure.

/// No part is smaller, but for the last of a file, and none larger.
const LEAST: usize = 128 << 10;
const MOST: usize = 2 << 20;
/// A cut every 128 KiB beyond the least.
const MASK: u64 = ((1 << 17) - 1) << 47;

/// A number for every byte, of which the last 64 bytes make the hash: the "gear" of FastCDC.
static GEAR: [u64; 256] = gear();

/// Sebastiano Vigna's splitmix64.
const fn gear() -> [u64; 256] {
    let mut gear = [0; 256];
    let mut state: u64 = 0;
    let mut byte = 0;
    while byte < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[byte] = mixed ^ (mixed >> 31);
        byte += 1;
    }
    gear
}

#[derive(Default)]
pub(super) struct Cutter {
    hash: u64,
    length: usize,
}

impl Cutter {
    /// How many of these bytes belong to the part at work, and whether it ends with them.
    pub fn cut(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (at, byte) in bytes.iter().enumerate() {
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            self.length += 1;
            let is_end = self.length >= LEAST && self.hash & MASK == 0 || self.length == MOST;
            if is_end {
                *self = Cutter::default();
                return (at + 1, true);
            }
        }
        (bytes.len(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::default();
        let mut parts = vec![Vec::new()];
        while !bytes.is_empty() {
            // However they come.
            let (length, is_cut) = cutter.cut(&bytes[..bytes.len().min(70_001)]);
            if let Some(part) = parts.last_mut() {
                part.extend_from_slice(&bytes[..length]);
            }
            bytes = &bytes[length..];
            if is_cut {
                parts.push(Vec::new());
            }
        }
        parts
    }

    #[test]
    fn what_is_put_in_changes_few_parts() {
        let mut state = 7u64;
        let noise = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        let bytes: Vec<u8> = noise.take(8 << 20).collect();
        let before = parts(&bytes);
        assert_eq!(before.concat(), bytes);
        assert!((16..50).contains(&before.len()), "{}", before.len());
        let after = parts(&[&bytes[..1 << 20], b"put in", &bytes[1 << 20..]].concat());
        let other = after.iter().filter(|part| !before.contains(part)).count();
        assert!((1..4).contains(&other), "{other} of {}", after.len());
    }

    #[test]
    fn what_is_all_the_same_is_cut_too() {
        let parts = parts(&vec![0; 5 << 20]);
        assert!(parts.iter().all(|part| part.len() <= MOST));
        assert!(parts.len() >= 3);
    }
}
