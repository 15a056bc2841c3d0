//! Whether layers can be stacked where the store is: overlay, the file system, fuse.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::probe::{Outcome, Step, in_new_namespace};
use super::{Check, Finding, install, words};
use crate::sys::{self, mount, program};

/// The store, or the directory that exists and will hold it.
pub(super) fn existing(store: &Path) -> PathBuf {
    let found = store.ancestors().find(|path| path.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

pub(super) fn overlay(store: &Path) -> Finding {
    let place = existing(store);
    let scratch = place.join(format!(".doctor-{}", std::process::id()));
    let made = ["lower", "upper", "work", "merged"]
        .iter()
        .try_for_each(|name| fs::create_dir_all(scratch.join(name)));
    let outcome = match made {
        Ok(()) => in_new_namespace(|| mount_in(&scratch)),
        Err(source) => Outcome::Untried { source },
    };
    // The kernel leaves a directory without any right in "work"; its owner may still remove it, as it is empty.
    let _ = fs::remove_dir(scratch.join("work/work"));
    let _ = fs::remove_dir_all(&scratch);
    judge_overlay(&place, &outcome, program::find("fuse-overlayfs").as_deref())
}

/// As containers do it: by the new interface, else with short names from the working directory.
fn mount_in(scratch: &Path) -> io::Result<()> {
    let (lower, upper, work) = (
        scratch.join("lower"),
        scratch.join("upper"),
        scratch.join("work"),
    );
    let overlay = mount::Overlay {
        lower: &[lower],
        upper: &upper,
        work: &work,
        volatile: false,
    };
    match mount::create_overlay(&overlay) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            std::env::set_current_dir(scratch)?;
            let options = c"lowerdir=lower,upperdir=upper,workdir=work,userxattr";
            mount::mount_overlay_by_names(Path::new("merged"), options)
        }
        Err(error) => Err(error),
    }
}

pub(super) fn judge_overlay(place: &Path, outcome: &Outcome, fuse: Option<&Path>) -> Finding {
    let check = Check::Overlay;
    let shown = place.display();
    let source = match outcome {
        Outcome::Done => {
            return Finding::fine(check, format!("overlay can be mounted on {shown}"));
        }
        Outcome::Failed {
            step: Step::Job,
            source,
        } => source,
        Outcome::Failed { .. } => {
            let found = "no attempt could be made without user namespaces";
            return Finding::limited(check, found, "see user-namespaces");
        }
        Outcome::Untried { source } => {
            let found = format!("no attempt could be made in {shown}: {}", words(source));
            return Finding::limited(check, found, "how layers are stacked is unknown");
        }
    };
    let found = format!("overlay can't be mounted on {shown}: {}", words(source));
    if fuse.is_some() {
        return Finding::limited(check, found, "fuse-overlayfs is used, which is slower");
    }
    Finding::limited(
        check,
        found,
        "each container gets a copy of its image, which takes time and disk, as fuse-overlayfs is not installed",
    )
    .cured_by(install(
        "fuse-overlayfs",
        "fuse-overlayfs",
        "fuse-overlayfs",
        "fuse-overlayfs",
    ))
    .cured_by("sudo modprobe overlay")
}

pub(super) fn store(store: &Path) -> Finding {
    let place = existing(store);
    let magic = match rustix::fs::statfs(&place) {
        Ok(stat) => sys::fs::file_system_type(&stat),
        Err(error) => {
            let (place, error) = (place.display(), words(&error.into()));
            let found = format!("the file system of {place} can't be asked: {error}");
            return Finding::limited(Check::Store, found, "images may not be kept");
        }
    };
    let writable = rustix::fs::access(&place, rustix::fs::Access::WRITE_OK).is_ok();
    judge_store(&place, magic, writable)
}

/// File systems by the number that statfs(2) gives.
pub(super) fn judge_store(place: &Path, magic: u64, writable: bool) -> Finding {
    let check = Check::Store;
    let shown = place.display();
    if !writable {
        let found = format!("{shown} can't be written");
        return Finding::broken(check, found, "images and containers have no place")
            .cured_by(format!("sudo chown \"$(id -u):$(id -g)\" {shown}"));
    }
    let move_it = "export XDG_DATA_HOME=/path/on/a/local/disk";
    match magic {
        0x0102_1994 | 0x8584_58f6 => Finding::limited(
            check,
            format!("{shown} is on tmpfs"),
            "images and containers take memory, and are gone after the next boot",
        )
        .cured_by(move_it),
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b | 0x0102_1997 | 0x00c3_6400 => {
            Finding::limited(
                check,
                format!("{shown} is on a network file system"),
                "files of other user ids can't be made there, and overlay may not work",
            )
            .cured_by(move_it)
        }
        sys::fs::OVERLAY_MAGIC => Finding::limited(
            check,
            format!("{shown} is on an overlay (inside another container?)"),
            "layers are stacked by fuse-overlayfs or, without that and /dev/fuse, each container gets a copy of its image",
        )
        .cured_by(format!("run the container around with a volume there: -v {shown}")),
        _ => Finding::fine(check, format!("{shown} is on a local disk")),
    }
}

pub(super) fn fuse() -> Finding {
    let check = Check::Fuse;
    let meaning =
        "where overlay doesn't work, and for --userns keep-id, nothing can take its place";
    if let Err(error) = crate::runtime::fuse::open_device() {
        let found = format!("/dev/fuse can't be opened: {}", words(&error));
        return Finding::limited(check, found, meaning)
            .cured_by("sudo modprobe fuse && sudo chmod 0666 /dev/fuse");
    }
    match program::find("fuse-overlayfs") {
        Some(path) => Finding::fine(check, format!("/dev/fuse and {}", path.display())),
        None => {
            Finding::limited(check, "fuse-overlayfs is not installed", meaning).cured_by(install(
                "fuse-overlayfs",
                "fuse-overlayfs",
                "fuse-overlayfs",
                "fuse-overlayfs",
            ))
        }
    }
}
