//! A tar writer for what bryo itself makes: plain files and directories with short names, the same bytes every time.

use super::header::BLOCK;

/// Collects an archive in memory.
#[derive(Debug, Default)]
pub struct TarWriter {
    bytes: Vec<u8>,
}

impl TarWriter {
    pub fn new() -> TarWriter {
        TarWriter::default()
    }

    /// Adds a file owned by root, changed at 0. The path is a literal of ours and fits the header.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.header(path, mode, b'0', content.len() as u64);
        self.bytes.extend_from_slice(content);
        let padded = self.bytes.len().next_multiple_of(BLOCK);
        self.bytes.resize(padded, 0);
    }

    /// Adds a directory owned by root.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.header(path, mode, b'5', 0);
    }

    /// The archive with its end marker.
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, path: &str, mode: u32, kind: u8, size: u64) {
        let mut block = [0u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            block[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, &path[..path.len().min(100)]);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        put(148, "        ");
        put(257, "ustar\u{0}00");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&block);
    }
}
