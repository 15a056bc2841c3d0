//! Subordinate ids and the two programs that put them into a map.

use std::path::Path;

use super::{Check, Finding, install};
use crate::runtime::idmap::{self, SubidRange};
use crate::runtime::subids::{MappingFault, mapping_fault};
use crate::sys::program;

/// What images expect: ids up to `nobody`'s 65534 and one spare.
const ENOUGH: u32 = 65536;
const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";

pub(super) fn subordinate_ids() -> Finding {
    let uid = nix::unistd::getuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    let name = user.map(|user| user.name);
    let text = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let (uids, gids) = (text(SUBUID), text(SUBGID));
    let own = |file: &str| idmap::subordinate_ids(Path::new(file), name.as_deref(), uid.as_raw());
    judge(&Ids {
        user: name.as_deref().unwrap_or("$USER"),
        uid: uid.as_raw(),
        files: [(SUBUID, &uids, own(SUBUID)), (SUBGID, &gids, own(SUBGID))],
    })
}

/// The two files with their texts and what they give to the user.
pub(super) struct Ids<'a> {
    pub user: &'a str,
    pub uid: u32,
    pub files: [(&'a str, &'a str, Vec<SubidRange>); 2],
}

pub(super) fn judge(ids: &Ids<'_>) -> Finding {
    let check = Check::SubordinateIds;
    let cure = {
        let texts = ids.files.iter().map(|(_, text, _)| *text);
        let first = first_free(texts);
        let last = first + ENOUGH - 1;
        let user = ids.user;
        format!("sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {user}")
    };
    for (file, text, ranges) in &ids.files {
        let count: u32 = ranges
            .iter()
            .fold(0, |sum, range| sum.saturating_add(range.size));
        if count == 0 {
            return Finding::limited(
                check,
                format!("{} has no line in {file}", ids.user),
                "containers have a single user id: programs that change to another user fail, files of an image belong to root",
            )
            .cured_by(cure);
        }
        if let Some(finding) = refused_by_helper(file, text, ids, ranges) {
            return finding;
        }
        if count < ENOUGH - 1 {
            return Finding::limited(
                check,
                format!("{file} gives {} only {count} ids", ids.user),
                "images that use higher ids can't be unpacked as they are (65536 are usual)",
            )
            .cured_by(cure);
        }
    }
    for (file, text, ranges) in &ids.files {
        if let Some(other) = overlapping(text, ids, ranges) {
            return Finding::limited(
                check,
                format!("ids of {} in {file} are also those of {other}", ids.user),
                "containers of both users could change each other's files; give each user a range of its own",
            )
            .cured_by(format!("sudoedit {file}"));
        }
    }
    let count: u32 = ids.files[0]
        .2
        .iter()
        .fold(0, |sum, range| sum.saturating_add(range.size));
    Finding::fine(check, format!("{} has {count} subordinate ids", ids.user))
}

/// What newuidmap reads otherwise than everybody else, or the kernel does not take.
fn refused_by_helper(
    file: &str,
    text: &str,
    ids: &Ids<'_>,
    ranges: &[SubidRange],
) -> Option<Finding> {
    let check = Check::SubordinateIds;
    if !text.ends_with('\n') {
        let found = format!("the last line of {file} does not end with a line feed");
        // Debian 12's still reads it, that of shadow 4.17 does not.
        let meaning =
            "newer versions of newuidmap can't read it, and then no container can be made";
        let cure = format!("echo | sudo tee -a {file}");
        return Some(Finding::limited(check, found, meaning).cured_by(cure));
    }
    let holds_own = |range: &SubidRange| {
        u64::from(ids.uid) >= u64::from(range.first)
            && u64::from(ids.uid) < u64::from(range.first) + u64::from(range.size)
    };
    if file == SUBUID && ranges.iter().any(holds_own) {
        let found = format!("{file} gives {} its own id {} once more", ids.user, ids.uid);
        let meaning = "the kernel takes no such map, so no container can be made";
        let cure = format!("sudoedit {file}");
        return Some(Finding::broken(check, found, meaning).cured_by(cure));
    }
    None
}

/// Lines as (owner, first, size); others are left out.
fn lines(text: &str) -> impl Iterator<Item = (&str, u32, u32)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().splitn(3, ':');
        let owner = fields.next()?;
        let first = fields.next()?.parse().ok()?;
        let size = fields.next()?.trim().parse().ok()?;
        Some((owner, first, size))
    })
}

fn overlapping<'a>(text: &'a str, ids: &Ids<'_>, ranges: &[SubidRange]) -> Option<&'a str> {
    let number = ids.uid.to_string();
    let overlaps = |first: u32, size: u32| {
        ranges.iter().any(|range| {
            let (ours, theirs) = (u64::from(range.first), u64::from(first));
            ours < theirs + u64::from(size) && theirs < ours + u64::from(range.size)
        })
    };
    lines(text)
        .filter(|(owner, ..)| *owner != ids.user && *owner != number)
        .find(|(_, first, size)| overlaps(*first, *size))
        .map(|(owner, ..)| owner)
}

/// The first multiple of 65536 above 100000 that lies behind everything given away, as useradd(8) chooses.
fn first_free<'a>(texts: impl Iterator<Item = &'a str>) -> u32 {
    let end = texts
        .flat_map(lines)
        .map(|(_, first, size)| first.saturating_add(size))
        .max()
        .unwrap_or(0);
    if end > u32::MAX - 2 * ENOUGH {
        100_000
    } else {
        end.max(100_000)
    }
}

pub(super) fn helpers() -> Finding {
    for name in ["newuidmap", "newgidmap"] {
        let Some(path) = program::find(name) else {
            return Finding::limited(
                Check::IdMapHelpers,
                format!("{name} is not installed"),
                "subordinate ids can't be used: containers have a single user id",
            )
            .cured_by(install("uidmap", "shadow-utils", "shadow", "shadow-uidmap"));
        };
        if let Some(finding) = judge_helper(&path) {
            return finding;
        }
    }
    Finding::fine(Check::IdMapHelpers, "newuidmap and newgidmap are installed")
}

/// The program has its right from the setuid bit of root or from a file capability, on a file system that honours both.
pub(super) fn judge_helper(path: &Path) -> Option<Finding> {
    let meaning = "subordinate ids can't be used: containers have a single user id";
    let program = path.display();
    let (found, cure) = match mapping_fault(path)? {
        MappingFault::NoRight => (
            format!("{program} has neither the setuid bit nor a file capability"),
            format!("sudo chown root {program} && sudo chmod u+s {program}"),
        ),
        MappingFault::NoSuidMount => (
            format!("{program} is on a file system mounted nosuid"),
            format!("sudo mount -o remount,suid \"$(findmnt -no TARGET -T {program})\""),
        ),
    };
    Some(Finding::limited(Check::IdMapHelpers, found, meaning).cured_by(cure))
}
