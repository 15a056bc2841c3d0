//! What nearly every container has below /proc, /dev and /sys, mounted before it is known what the container is: a thread of its init
//! does it while init waits for its launch and mounts the root. A launch that wants something else there gets all of it anew.
//! Never what depends on an image.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};

use nix::sched::CloneFlags;
use oci_spec::runtime::{LinuxBuilder, SpecBuilder};
use rustix::fs::{Mode, OFlags};

use super::defaults::{self, MountChoice};
use super::home;
use super::mounts::{DEVICES, Mounts};
use super::plan::{self, Extras, SetupStep};
use super::spec::{Places, processors};
use crate::sys::{mount, namespace, network, process};

/// What is mounted at each of them moves as one.
const TOPS: [&str; 3] = ["/proc", DEVICES, "/sys"];

/// More than mounting needs.
const STACK: usize = 256 << 10;

/// Mounts in the making.
pub struct Stage {
    directory: PathBuf,
    thread: JoinHandle<Vec<Tree>>,
}

/// One of the tops, with everything below it.
struct Tree {
    top: &'static str,
    mount: OwnedFd,
    /// What made it, in the plan's order.
    steps: Vec<SetupStep>,
}

/// What is to be done about a step of the plan.
pub enum Course {
    Execute,
    Done,
    /// Moved to where the step wants it, with all that belongs to it.
    Graft(OwnedFd),
}

impl Stage {
    /// In init, which is alone in its namespaces. `directory` has places for the tops, and is nobody's root.
    pub fn begin(directory: PathBuf) -> io::Result<Stage> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(&directory, flags, Mode::empty())?;
        // What is mounted shows the namespaces of whoever mounts it.
        namespace::leave(CloneFlags::CLONE_NEWCGROUP)?;
        mount::isolate_propagation()?;
        network::bring_up("lo")?;
        process::share_heap();
        let thread = Builder::new().stack_size(STACK);
        let thread = thread.spawn(move || set(root))?;
        Ok(Stage { directory, thread })
    }

    /// What it did of what a plan begins with.
    pub fn has_done(step: &SetupStep) -> bool {
        matches!(
            step,
            SetupStep::CgroupNamespace | SetupStep::Loopback | SetupStep::IsolatedMounts
        )
    }

    /// Waits for the thread, and says for each step of the plan what remains of it. What the plan wants otherwise is taken off.
    pub fn finish(self, plan: &[SetupStep]) -> Vec<Course> {
        let mut trees = self.thread.join().unwrap_or_default();
        let course = |step| match Stage::has_done(step) {
            true => Course::Done,
            false => Course::Execute,
        };
        let mut courses: Vec<Course> = plan.iter().map(course).collect();
        for top in TOPS {
            let tree = trees.iter().position(|tree| tree.top == top);
            let tree = tree.map(|tree| trees.swap_remove(tree));
            match tree.and_then(|tree| Some((tree.places(plan)?, tree.mount))) {
                Some((places, mount)) => {
                    for place in &places {
                        courses[*place] = Course::Done;
                    }
                    courses[places[0]] = Course::Graft(mount);
                }
                // Or what is left of one that failed. Else a bind of what is above would show it.
                None => {
                    let _ = mount::detach(&self.directory.join(top.trim_start_matches('/')));
                }
            }
        }
        courses
    }
}

impl Tree {
    /// Where the plan has its steps; `None` if it lacks one, or has others that an order matters with.
    fn places(&self, plan: &[SetupStep]) -> Option<Vec<usize>> {
        let mut steps = self.steps.iter().peekable();
        let mut places = Vec::with_capacity(self.steps.len());
        for (number, step) in plan.iter().enumerate() {
            if steps.next_if_eq(&step).is_some() {
                places.push(number);
            } else if self.top != DEVICES
                && target(step).is_some_and(|path| path.starts_with(self.top))
            {
                return None;
            }
        }
        steps.next().is_none().then_some(places)
    }
}

/// The thread. A top that something is wrong with is left out.
fn set(root: OwnedFd) -> Vec<Tree> {
    let Ok(steps) = usual() else {
        return Vec::new();
    };
    let mut mounts = Mounts::below(root);
    let mut trees = Vec::new();
    for top in TOPS {
        let below = |step: &&SetupStep| target(step).is_some_and(|path| path.starts_with(top));
        let steps: Vec<SetupStep> = steps.iter().filter(below).cloned().collect();
        match execute(&mut mounts, &steps) {
            Ok(Some(mount)) => trees.push(Tree { top, mount, steps }),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, top, "it is not mounted beforehand"),
        }
    }
    trees
}

/// Gives the mount that the others are below.
fn execute(mounts: &mut Mounts, steps: &[SetupStep]) -> io::Result<Option<OwnedFd>> {
    let mut first = None;
    for step in steps {
        match step {
            SetupStep::FileSystem(wanted) => {
                let made = mounts.file_system(wanted)?;
                first = first.or(made);
            }
            SetupStep::Device(name) => mounts.device(name)?,
            SetupStep::Symlink { link, target } => mounts.link(link, target)?,
            SetupStep::ReadOnly(path) => mounts.make_read_only(path)?,
            SetupStep::Masked(path) => mounts.mask(path)?,
            SetupStep::Sysctl { key, value } => mounts.write_sysctl(key, value)?,
            _ => {}
        }
    }
    Ok(mounts.devices.take().or(first))
}

/// The steps of a container of which nothing special is wanted.
fn usual() -> Result<Vec<SetupStep>, plan::PlanError> {
    let linux = LinuxBuilder::default()
        .masked_paths(defaults::masked_paths(processors()))
        .readonly_paths(defaults::read_only_paths())
        .sysctl(defaults::sysctls(Places::default()))
        .build();
    let mounts = defaults::mounts(MountChoice {
        places: Places::default(),
        writable_sys: false,
        single_id: home::is_single_id(),
        shm_size: defaults::SHM_SIZE,
    });
    let spec = SpecBuilder::default()
        .mounts(mounts)
        .linux(linux.expect("it has no required field"))
        .build();
    let spec = spec.expect("a specification has no required field");
    plan::plan(&spec, &Extras::default())
}

/// The path that a step is about, where it mounts or changes something there.
fn target(step: &SetupStep) -> Option<&Path> {
    match step {
        SetupStep::FileSystem(mount) => Some(&mount.target),
        SetupStep::Bind(bind) => Some(&bind.target),
        SetupStep::Device(path) => Some(Path::new(path)),
        SetupStep::Symlink { link, .. } => Some(Path::new(link)),
        SetupStep::SharedMemory => Some(Path::new("/dev/shm")),
        SetupStep::Masked(path) | SetupStep::ReadOnly(path) => Some(path),
        SetupStep::Sysctl { .. } => Some(Path::new("/proc/sys")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::super::plan::BindMount;
    use super::*;

    fn trees() -> Vec<Tree> {
        let steps = usual().expect("the usual steps can be planned");
        let tree = |top| {
            let below = |step: &&SetupStep| target(step).is_some_and(|path| path.starts_with(top));
            Tree {
                top,
                mount: File::open("/dev/null").expect("it is there").into(),
                steps: steps.iter().filter(below).cloned().collect(),
            }
        };
        TOPS.map(tree).into()
    }

    fn plan_with(more: &[SetupStep]) -> Vec<SetupStep> {
        let mut steps = usual().expect("the usual steps can be planned");
        let end = steps.len() - 1;
        steps.splice(end..end, more.iter().cloned());
        steps
    }

    fn bind(target: &str) -> SetupStep {
        SetupStep::Bind(BindMount {
            source: "/tmp".into(),
            target: target.into(),
            attributes: mount::Attributes::default(),
            propagation: None,
            engine: false,
            subpath: PathBuf::new(),
            chown: false,
        })
    }

    #[test]
    fn of_a_usual_plan_nothing_is_left_to_do_below_the_tops() {
        let plan = plan_with(&[]);
        let mut left = vec![true; plan.len()];
        for tree in trees() {
            for place in tree.places(&plan).expect("every tree fits") {
                left[place] = false;
            }
        }
        let left = plan.iter().zip(left).filter(|(_, left)| *left);
        let left: Vec<&SetupStep> = left.map(|(step, _)| step).collect();
        assert_eq!(left.iter().find(|step| target(step).is_some()), None);
        assert!(left.contains(&&SetupStep::Root) && left.contains(&&SetupStep::Pivot));
    }

    #[test]
    fn what_is_wanted_otherwise_is_made_anew() {
        let fits = |plan: &[SetupStep]| {
            let fitting = trees()
                .into_iter()
                .filter(|tree| tree.places(plan).is_some());
            fitting.map(|tree| tree.top).collect::<Vec<_>>()
        };
        assert_eq!(fits(&plan_with(&[bind("/proc/cpuinfo")])), ["/dev", "/sys"]);
        assert_eq!(
            fits(&plan_with(&[bind("/sys/firmware")])),
            ["/proc", "/dev"]
        );
        assert_eq!(
            fits(&plan_with(&[bind("/dev/video0"), bind("/etc/hosts")])),
            TOPS
        );
        let sysctl = SetupStep::Sysctl {
            key: "net.ipv4.ip_forward".to_owned(),
            value: "1".to_owned(),
        };
        assert_eq!(fits(&plan_with(&[sysctl])), ["/dev", "/sys"]);
        let mut other = plan_with(&[]);
        other.retain(|step| target(step) != Some(Path::new("/dev/shm")));
        assert_eq!(fits(&other), ["/proc", "/sys"]);
    }
}
