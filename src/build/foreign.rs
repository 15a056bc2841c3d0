//! Whether commands of other architectures can run here: what the kernel's binfmt_misc hands to an emulator. Only reads.

use std::fs;

use super::dockerfile::{Dockerfile, Instruction};
use super::error::{BuildError, Place, StepError};
use super::plan::{Base, Plan};
use crate::image::Platform;

const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// Before anything is built: every stage that a `RUN` is in can run.
pub(super) fn check(
    file: &Dockerfile,
    plan: &Plan,
    wanted: Option<&Platform>,
) -> Result<(), BuildError> {
    let host = Platform::host();
    for number in &plan.needed {
        let stage = &file.stages[*number];
        let mut instructions = stage.instructions.iter();
        let run = instructions.find(|one| matches!(one.value, Instruction::Run(_)));
        let (Some(run), Some(platform)) = (run, platform_of(plan, *number, wanted)) else {
            continue;
        };
        if !runs(&host.architecture, &platform.architecture) {
            return Err(BuildError::Step {
                place: Box::new(Place::of(&file.source, run.location, &run.text)),
                source: StepError::Foreign {
                    platform: platform.to_string(),
                },
            });
        }
    }
    Ok(())
}

/// Of a stage, or of the one that it begins with; None: the host's.
fn platform_of(plan: &Plan, number: usize, wanted: Option<&Platform>) -> Option<Platform> {
    let (base, platform) = plan.bases[number].as_ref()?;
    match (platform, base) {
        (Some(platform), _) => Some(platform.clone()),
        (None, Base::Stage(earlier)) => platform_of(plan, *earlier, wanted),
        (None, _) => wanted.cloned(),
    }
}

fn runs(host: &str, architecture: &str) -> bool {
    let is_own = host == architecture || (host, architecture) == ("amd64", "386");
    // What nobody knows the number of may run.
    let Some(machine) = machine(architecture).filter(|_| !is_own) else {
        return true;
    };
    let entries = fs::read_dir(REGISTERED).into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.into_iter().any(|text| emulates(&text, machine))
}

/// `e_machine` of ELF, as its two bytes lie in the file.
fn machine(architecture: &str) -> Option<[u8; 2]> {
    Some(match architecture {
        "386" => [3, 0],
        "amd64" => [62, 0],
        "arm" => [40, 0],
        "arm64" => [183, 0],
        "loong64" => [2, 1],
        "mips64le" => [8, 0],
        "ppc64le" => [21, 0],
        "riscv64" => [243, 0],
        "s390x" => [0, 22],
        _ => return None,
    })
}

/// An entry of binfmt_misc that is in force and is for this machine's programs.
fn emulates(entry: &str, [first, second]: [u8; 2]) -> bool {
    let value = |key: &str| entry.lines().find_map(|line| line.strip_prefix(key));
    let of_machine = format!("{first:02x}{second:02x}");
    entry.lines().next() == Some("enabled")
        && value("offset ") == Some("0")
        && value("magic ").is_some_and(|magic| {
            magic.starts_with("7f454c46") && magic.get(36..40) == Some(&of_machine)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emulator_is_known_by_the_machine_of_its_programs() {
        let entry = "enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: POCF\noffset 0\n\
            magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        assert!(emulates(entry, [183, 0]));
        assert!(!emulates(entry, [40, 0]));
        assert!(!emulates(&entry.replace("enabled", "disabled"), [183, 0]));
        assert!(runs("amd64", "386") && runs("arm64", "arm64"));
    }
}
