//! What a container's way out needs: the tun device and pasta.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::{Check, Finding, install, words};
use crate::sys::program;

const MEANING: &str = "containers have no way out: only --network none and --network host work";

pub(super) fn tun() -> Finding {
    let opened = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    let opened = opened.and_then(|device| {
        // Documentation/admin-guide/devices.txt: 10, 200.
        match device.metadata()?.rdev() == rustix::fs::makedev(10, 200) {
            true => Ok(()),
            false => Err(io::Error::other("it is not the tun device")),
        }
    });
    match opened {
        Ok(()) => Finding::fine(Check::Tun, "/dev/net/tun can be opened"),
        Err(error) => {
            let found = format!("/dev/net/tun can't be opened: {}", words(&error));
            Finding::limited(Check::Tun, found, MEANING)
                .cured_by("sudo modprobe tun && sudo chmod 0666 /dev/net/tun")
        }
    }
}

pub(super) fn pasta() -> Finding {
    match program::find("pasta") {
        Some(path) => Finding::fine(Check::Pasta, path.display().to_string()),
        None => Finding::limited(Check::Pasta, "pasta is not installed", without_pasta())
            .cured_by(install("passt", "passt", "passt", "passt")),
    }
}

fn without_pasta() -> &'static str {
    match program::find("slirp4netns") {
        Some(_) => "slirp4netns, which is slower, connects containers",
        None => MEANING,
    }
}
