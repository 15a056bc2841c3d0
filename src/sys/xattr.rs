//! Extended attributes of open files. Sets, gets and lists; which of them may be set is its callers' business.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;

/// Sets one attribute.
pub fn set(fd: impl AsFd, name: &[u8], value: &[u8]) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty())?)
}

/// The value of one attribute; `None` where it is not set or the file system has none.
pub fn get(fd: impl AsFd, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    // 64 KiB is the kernel's own limit for a value (XATTR_SIZE_MAX).
    let mut value = vec![0; 65536];
    match rustix::fs::fgetxattr(fd, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The names of all attributes; none where the file system has no attributes.
pub fn list(fd: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    // 64 KiB is the kernel's own limit for a list (XATTR_LIST_MAX).
    let mut names = vec![0; 65536];
    let length = match rustix::fs::flistxattr(fd, names.as_mut_slice()) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(errno) => return Err(errno.into()),
    };
    Ok(names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect())
}

/// Removes one attribute; one that is not there is fine.
pub fn remove(fd: impl AsFd, name: &[u8]) -> io::Result<()> {
    match rustix::fs::fremovexattr(fd, name) {
        Ok(()) | Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
