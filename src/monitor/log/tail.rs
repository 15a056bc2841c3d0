//! Finds where the last lines of a log begin, reading backwards from its end: the cost is that of the lines wanted.

use std::io;
use std::os::unix::fs::FileExt;

use memchr::memrchr;

use super::entry::{Scratch, parse};
use super::reader::{LONGEST, Part};

/// Read at once; ten lines seldom need more.
const BLOCK: u64 = 32 * 1024;

/// Counts lines from the end.
struct Counter {
    left: u64,
    /// Nothing was seen yet: the last line counts although it may have no end.
    first: bool,
    scratch: Scratch,
}

impl Counter {
    /// Takes the entry before; `true`: it ends a line that is wanted no more.
    fn is_past(&mut self, line: &[u8]) -> bool {
        let Some(entry) = parse(line, &mut self.scratch) else {
            return false;
        };
        if !(entry.ends_line || std::mem::take(&mut self.first)) {
            return false;
        }
        self.first = false;
        if self.left == 0 {
            return true;
        }
        self.left -= 1;
        false
    }
}

/// The file (of those given newest first) and the offset in it where the last `lines` lines begin; `None`: there are no more.
pub(super) fn find(parts: &mut [Part], lines: u64) -> io::Result<Option<(usize, u64)>> {
    let mut counter = Counter {
        left: lines,
        first: true,
        scratch: Scratch::default(),
    };
    for (index, part) in parts.iter_mut().enumerate() {
        part.unpack()?;
        if let Some(offset) = find_in(part, &mut counter)? {
            return Ok(Some((index, offset)));
        }
    }
    Ok(None)
}

fn find_in(part: &Part, counter: &mut Counter) -> io::Result<Option<u64>> {
    let mut begin = part.length;
    let mut block = Vec::new();
    // The end of a line, with its newline, whose beginning is not read yet.
    let mut carried: Vec<u8> = Vec::new();
    while begin > 0 {
        let size = begin.min(BLOCK);
        begin -= size;
        block.resize(size as usize, 0);
        part.file.read_exact_at(&mut block, begin)?;
        block.append(&mut carried);
        // What follows the last newline of the file is still being written, or torn.
        let Some(last) = memrchr(b'\n', &block) else {
            if block.len() < LONGEST {
                carried.clone_from(&block);
            }
            continue;
        };
        let mut end = last + 1;
        while let Some(before) = memrchr(b'\n', &block[..end - 1]) {
            if counter.is_past(&block[before + 1..end - 1]) {
                return Ok(Some(begin + end as u64));
            }
            end = before + 1;
        }
        carried.extend_from_slice(&block[..end]);
    }
    let past = carried
        .strip_suffix(b"\n")
        .is_some_and(|line| counter.is_past(line));
    Ok(past.then_some(carried.len() as u64))
}
