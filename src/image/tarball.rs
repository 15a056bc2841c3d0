//! Archives that are no images: told by their content, whatever they are called, and unpacked into any directory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};

use super::compression::Decompressed;
use super::layer::LayerPath;
use super::unpack::{UnpackError, UnpackOptions, unpack_into};

const BLOCK: usize = 512;

/// Whether a file is a tar archive, plain or compressed. An empty file is none.
pub fn is_archive(file: &OwnedFd) -> io::Result<bool> {
    let mut file = File::from(file.try_clone()?);
    let mut block = [0; BLOCK];
    let found = match Decompressed::new(&mut file) {
        Ok(mut plain) => read_full(&mut plain, &mut block).unwrap_or(0),
        Err(_) => 0,
    };
    file.seek(SeekFrom::Start(0))?;
    Ok(found == BLOCK && has_checksum(&block))
}

/// Unpacks what [`is_archive`] said yes to, over what is in `root`.
pub fn unpack_archive(
    file: OwnedFd,
    root: impl AsFd,
    options: &UnpackOptions,
) -> Result<Vec<String>, UnpackError> {
    let plain = Decompressed::new(File::from(file)).map_err(|source| UnpackError::Io {
        operation: "read",
        path: LayerPath(Vec::new()),
        source,
    })?;
    Ok(unpack_into(plain, root.as_fd(), options)?.warnings)
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    Ok(length)
}

/// POSIX.1-1988: the sum of the header's bytes, its own field taken as blanks.
fn has_checksum(block: &[u8; BLOCK]) -> bool {
    let field = std::str::from_utf8(&block[148..156]).unwrap_or_default();
    let said = u32::from_str_radix(field.trim_matches(['\0', ' ']), 8);
    let mut sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    sum -= block[148..156]
        .iter()
        .map(|byte| u32::from(*byte))
        .sum::<u32>();
    sum += 8 * u32::from(b' ');
    said == Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::TarWriter;

    #[test]
    fn only_an_archive_is_one() {
        let mut tar = TarWriter::new();
        tar.file("name", 0o644, b"content");
        let tar = tar.finish();
        let block = tar[..BLOCK].try_into().expect("it has a block");
        assert!(has_checksum(block));
        assert!(!has_checksum(&[0; BLOCK]));
        assert!(!has_checksum(&[b'a'; BLOCK]));
    }
}
