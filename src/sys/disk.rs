//! Changes of the disk by a path of our own, each a point at which a test may strike. Says nothing of paths that others
//! have a say in: those go by descriptors (`sys::fs`).

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::fault;

pub fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    fault::at("make directory")?;
    fs::create_dir(path)
}

pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    fault::at("rename")?;
    fs::rename(from, to)
}

/// Makes the file and fills it: a crash may leave it made and empty, or half full.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    use std::io::Write;
    fault::at("make file")?;
    let mut file = File::create(path)?;
    fault::at("write file")?;
    file.write_all(bytes.as_ref())
}

pub fn create(path: impl AsRef<Path>) -> io::Result<File> {
    fault::at("make file")?;
    File::create(path)
}

pub fn sync(file: &File) -> io::Result<()> {
    fault::at("fsync file")?;
    file.sync_all()
}

pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    fault::at("make link")?;
    std::os::unix::fs::symlink(target, link)
}

pub fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    fault::at("remove file")?;
    fs::remove_file(path)
}

pub fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    fault::at("remove tree")?;
    fs::remove_dir_all(path)
}
