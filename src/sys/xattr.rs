//! Extended attributes of open files. Sets, gets and lists; which of them may be set is its callers' business.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

/// Sets one attribute.
pub fn set(fd: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())?)
}

/// Nearly all lists and values fit into so much: it costs nothing, where the most that the kernel allows (64 KiB, XATTR_SIZE_MAX and
/// XATTR_LIST_MAX) would be cleared for each file.
const USUAL: usize = 512;
const MOST: usize = 65536;

/// What `read` gives, in a buffer that is large enough.
fn sized(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = [0; USUAL];
    match read(&mut buffer) {
        Ok(length) => Ok(buffer[..length].to_vec()),
        Err(Errno::RANGE) => {
            let mut buffer = vec![0; MOST];
            let length = read(&mut buffer)?;
            buffer.truncate(length);
            Ok(buffer)
        }
        Err(errno) => Err(errno),
    }
}

/// The value of one attribute; `None` where it is not set or the file system has none.
pub fn get(fd: impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    match sized(|buffer| rustix::fs::fgetxattr(&fd, name, buffer)) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The names of all attributes; none where the file system has no attributes.
pub fn list(fd: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let names = match sized(|buffer| rustix::fs::flistxattr(&fd, buffer)) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP) => Vec::new(),
        Err(errno) => return Err(errno.into()),
    };
    Ok(names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// Removes one attribute; one that is not there is fine.
pub fn remove(fd: impl AsFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::fremovexattr(fd, name) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn long_values_and_lists_are_whole() {
        let path = std::env::temp_dir().join(format!("bryo-xattr-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let long = vec![b'v'; USUAL + 1];
        set(&file, b"user.long", &long).unwrap();
        for number in 0..40 {
            set(&file, format!("user.number-{number:02}").as_bytes(), b"").unwrap();
        }
        assert_eq!(get(&file, b"user.long").unwrap(), Some(long));
        assert_eq!(get(&file, b"user.number-00").unwrap(), Some(Vec::new()));
        assert_eq!(get(&file, b"user.none").unwrap(), None);
        let names = list(&file).unwrap();
        assert_eq!(
            names
                .iter()
                .filter(|name| name.starts_with(b"user."))
                .count(),
            41
        );
    }
}
