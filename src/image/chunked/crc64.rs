//! CRC-64 of ISO 3309, which tar-split has of every file. Pure.

/// x^64 + x^4 + x^3 + x + 1, its bits turned round.
const POLYNOMIAL: u64 = 0xD800_0000_0000_0000;

/// `TABLES[n][byte]`: what a byte does that is followed by `n` others.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL * (crc & 1));
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[n - 1][byte];
            tables[n][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

pub(super) struct Crc64(u64);

impl Crc64 {
    pub fn new() -> Crc64 {
        Crc64(!0)
    }

    pub fn update(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            let word = self.0 ^ u64::from_le_bytes(*eight);
            let bytes = word.to_le_bytes().into_iter().rev();
            let each = bytes.zip(&TABLES);
            self.0 = each.fold(0, |crc, (byte, table)| crc ^ table[usize::from(byte)]);
        }
        for byte in rest {
            let low = (self.0 as u8) ^ byte;
            self.0 = (self.0 >> 8) ^ TABLES[0][usize::from(low)];
        }
    }

    /// Most significant byte first.
    pub fn sum(&self) -> [u8; 8] {
        (!self.0).to_be_bytes()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value() {
        // CRC-64/GO-ISO of the catalogue of parametrised CRC algorithms.
        for cut in 0..9 {
            let mut crc = Crc64::new();
            crc.update(&b"123456789"[..cut]);
            crc.update(&b"123456789"[cut..]);
            assert_eq!(crc.sum(), 0xb909_56c7_75a4_1001_u64.to_be_bytes());
        }
    }
}
