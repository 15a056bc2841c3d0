//! What a container's way out needs: the tun device and pasta.

use super::{Check, Finding, install, words};
use crate::sys::{network, program};

const MEANING: &str = "containers have no way out: only --network none and --network host work";

pub(super) fn tun() -> Finding {
    match network::try_tun() {
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
