//! Processes made without exec: fork and clone3 of a single-threaded process, and the hygiene of what they inherit.
//!
//! Invariant `process/clone-once`: roles are cloned only from a process with one thread; a clone of a threaded one could
//! inherit a lock that nobody will release.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::signal::{SigSet, SigmaskHow};
use rustix::process::Pid;

use super::{pidfd, procfs};

/// What a fork gives to its two sides.
pub enum Forked {
    Parent(Pid),
    Child,
}

/// A cloned child: its pid as the caller's pid namespace sees it, and a pidfd.
pub struct Cloned {
    pub pid: Pid,
    pub pidfd: OwnedFd,
}

/// Forks the calling process, which must have one thread.
pub fn fork() -> io::Result<Forked> {
    refuse_threads()?;
    // SAFETY: the process has a single thread (checked above), so the child may allocate and lock as usual.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent(
            Pid::from_raw(pid).expect("fork gives a positive pid"),
        )),
    }
}

/// clone3(2) in the manner of fork, with namespace `flags` (CLONE_NEW*) and, where given, straight into a cgroup2 directory.
/// With CLONE_PARENT the child is the caller's sibling: its parent reaps it. `None` in the child.
pub fn clone3(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Option<Cloned>> {
    refuse_threads()?;
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_PIDFD as u64,
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        // A sibling takes over the caller's own; the kernel refuses to be told another.
        exit_signal: match flags & libc::CLONE_PARENT as u64 {
            0 => libc::SIGCHLD as u64,
            _ => 0,
        },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no stack is given and CLONE_VM is not among the flags, so this returns twice exactly like fork; the
    // process has a single thread; `pidfd` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    match pid {
        -1 => {
            let error = io::Error::last_os_error();
            // A filter cannot read what clone3 points to: docker's says that there is no such call.
            match (error.raw_os_error(), cgroup) {
                (Some(libc::ENOSYS), None) => clone(args.flags | args.exit_signal),
                _ => Err(error),
            }
        }
        0 => Ok(None),
        pid => {
            let pid = Pid::from_raw(pid as i32).expect("clone3 gives a positive pid");
            // SAFETY: CLONE_PIDFD stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Cloned { pid, pidfd }))
        }
    }
}

/// The same, but the child takes the caller's memory over, as it is, and the caller ends with status 0: nothing is copied, and
/// nothing is thrown away. Returns in the child, and in the caller if there is none. Nothing that was waiting for the caller's end to
/// be closed is closed before it: descriptors are copied as in a fork.
pub fn continue_in_clone(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<()> {
    refuse_threads()?;
    let mut args = CloneArgs {
        flags: flags | libc::CLONE_VM as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // The two share a stack for as long as both live: no handler may run on it meanwhile.
    let mask = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    // SAFETY: asks the kernel not to clear the C library's word for this thread's id when the caller ends: it is the child's then.
    unsafe { libc::syscall(libc::SYS_set_tid_address, std::ptr::null::<i32>()) };
    // SAFETY: the process has a single thread (checked above); `args` outlives the call.
    let cloned = unsafe { clone_and_end(&args) };
    mask.thread_set_mask()?;
    match cloned {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(-error as i32)),
    }
}

/// clone3(2), and _exit(2) in the caller: with no instruction between them that uses the stack or the memory both have. Returns 0 in
/// the child, the negative errno in a caller that has none.
///
/// # Safety
/// The process has one thread, and none of its signals has a handler that may run.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_end(args: &CloneArgs) -> isize {
    let result: isize;
    // SAFETY: with no stack given the child goes on with the caller's own stack pointer, and the caller, which jumps nowhere but to
    // its end, never uses it again.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jle 2f",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("rax") libc::SYS_clone3 => result,
            inlateout("rdi") std::ptr::from_ref(args) => _,
            in("rsi") size_of::<CloneArgs>(),
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The same.
///
/// # Safety
/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_end(args: &CloneArgs) -> isize {
    let result: isize;
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cmp x0, #0",
            "b.le 2f",
            "mov x0, #0",
            "mov x8, {exit}",
            "svc #0",
            "2:",
            exit = const libc::SYS_exit_group,
            inlateout("x0") std::ptr::from_ref(args) => result,
            in("x1") size_of::<CloneArgs>(),
            inlateout("x8") libc::SYS_clone3 => _,
        );
    }
    result
}

/// The same by a copy.
///
/// # Safety
/// The process has one thread.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_and_end(args: &CloneArgs) -> isize {
    let mut copying = *args;
    copying.flags &= !(libc::CLONE_VM as u64);
    // SAFETY: as for `clone3`.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw mut copying, size_of::<CloneArgs>()) } {
        0 => 0,
        -1 => {
            -(io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO) as isize)
        }
        _ => exit_now(0),
    }
}

/// The same by clone(2), which has the signal among the flags.
fn clone(flags: u64) -> io::Result<Option<Cloned>> {
    let mut pidfd: RawFd = -1;
    // SAFETY: as for clone3; with CLONE_PIDFD the third argument is where the descriptor is stored, the others are not used.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => {
            let pid = Pid::from_raw(pid as i32).expect("clone gives a positive pid");
            // SAFETY: CLONE_PIDFD stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Some(Cloned { pid, pidfd }))
        }
    }
}

/// Whether this process was root when it began. Asks nothing of the kernel.
pub fn began_as_root() -> bool {
    // SAFETY: reads what the kernel left in this process's memory.
    unsafe { libc::getauxval(libc::AT_EUID) == 0 }
}

/// linux/sched.h; libc's constant of this name does not fit its type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of linux/sched.h, version 2 (with `cgroup`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The link count of `/proc/self/task` is two more than the number of threads; cheaper than reading `status`.
fn refuse_threads() -> io::Result<()> {
    match rustix::fs::stat("/proc/self/task") {
        Ok(task) if task.st_nlink > 3 => Err(io::Error::other(
            "refusing to clone a process that has threads",
        )),
        _ => Ok(()),
    }
}

/// Ends the process at once, running neither destructors nor exit handlers: the end of every forked role.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from 3 up that is not in `keep`.
pub fn close_all_except(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd() as u32)
        .filter(|fd| *fd > 2)
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = fd + 1;
    }
    close_range(first, u32::MAX)
}

fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: the callers are roles after a fork, which own every descriptor they inherited and keep none of these in
    // an owning type.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Points descriptor `target` at what `source` is; the new descriptor survives exec. Nothing that is used again may be there.
pub fn install_fd(source: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if source.as_raw_fd() == target {
        return rustix::io::fcntl_setfd(source, rustix::io::FdFlags::empty())
            .map_err(io::Error::from);
    }
    // SAFETY: the callers replace standard streams, or are about to execute a program whose descriptors these will be.
    match unsafe { libc::dup2(source.as_raw_fd(), target) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// A copy of the descriptor `number` if the calling process was born with it: all that it opens itself are close-on-exec.
pub fn inherited(number: RawFd) -> io::Result<Option<OwnedFd>> {
    if number < 0 {
        return Ok(None);
    }
    // SAFETY: nothing is closed through it, and nobody else can close it meanwhile: the process has one thread.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match rustix::io::fcntl_getfd(fd) {
        Ok(flags) if !flags.contains(rustix::io::FdFlags::CLOEXEC) => above(fd, 3).map(Some),
        Ok(_) | Err(rustix::io::Errno::BADF) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A copy, close-on-exec, whose number is `lowest` or higher.
pub fn above(fd: BorrowedFd<'_>, lowest: RawFd) -> io::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, lowest).map_err(io::Error::from)
}

/// Opens `/dev/null` as descriptors 0 to 2: a background role that kept stdout would hang every `$(bryo …)`.
pub fn detach_standard_streams() -> io::Result<()> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")?;
    for target in 0..3 {
        install_fd(std::os::fd::AsFd::as_fd(&null), target)?;
    }
    Ok(())
}

/// Ends all processes of this pid namespace but the caller, which is its PID 1, and reaps them; elsewhere the caller's children.
pub fn end_all_others() {
    loop {
        if rustix::process::getpid() == Pid::INIT {
            let all = nix::unistd::Pid::from_raw(-1);
            let _ = nix::sys::signal::kill(all, nix::sys::signal::Signal::SIGKILL);
        } else {
            // Those too that the end of others has made its children.
            for child in children(0) {
                let pid = nix::unistd::Pid::from_raw(child.pid);
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            }
        }
        match rustix::process::wait(rustix::process::WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Makes the caller the parent of what its children leave behind, as PID 1 of a pid namespace is.
pub fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(io::Error::from)
}

/// The caller's children but `except`, as the host's procfs names them; none where the kernel does not list children
/// (CONFIG_PROC_CHILDREN).
pub fn children(except: i32) -> Vec<ProcessName> {
    let numbers = child_pids().into_iter().filter(|pid| *pid != except);
    numbers
        .filter_map(|pid| ProcessName::of(pid).ok())
        .collect()
}

fn child_pids() -> Vec<i32> {
    let text = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The pid, in the caller's own pid namespace, of its only child; `None` if it has another number of them, or where the
/// kernel does not list children.
pub fn only_child() -> Option<Pid> {
    let [child] = child_pids()[..] else {
        return None;
    };
    // procfs counts as the host does; the last number is the innermost.
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))?;
    Pid::from_raw(line.split_whitespace().next_back()?.parse().ok()?)
}

/// As many open descriptors as this user may have: a walk through many layers at once holds one for each.
pub fn allow_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // With fewer it still works for most.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}

/// Gives freed memory back to the kernel: a role forked from the cli would otherwise carry the parser's garbage.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim has no preconditions.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Executes the program behind `program` (execveat with AT_EMPTY_PATH). Returns only on failure.
pub fn execute(
    program: BorrowedFd<'_>,
    args: &[std::ffi::CString],
    env: &[std::ffi::CString],
) -> io::Error {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: both arrays end in NULL and point at C strings that outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

fn pointers(strings: &[std::ffi::CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

/// A process as the host's procfs names it: pid and start time (clock ticks since boot) together never repeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ProcessName {
    pub pid: i32,
    pub start: u64,
}

impl ProcessName {
    /// The calling process, with its pid as the mounted procfs sees it (a role in a pid namespace of its own differs).
    pub fn own() -> io::Result<ProcessName> {
        ProcessName::read("/proc/self/stat")
    }

    /// The process that has this pid now.
    pub fn of(pid: i32) -> io::Result<ProcessName> {
        ProcessName::read(&format!("/proc/{pid}/stat"))
    }

    /// A pidfd, if the process still is the one named.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Ok(None);
        };
        let fd = match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
            Ok(fd) => fd,
            // The number is free, or a thread's of another process now (EINVAL, since Linux 6.9 ENOENT).
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match ProcessName::of(self.pid) {
            Ok(now) if now == *self => Ok(Some(fd)),
            _ => Ok(None),
        }
    }

    /// The same for a process of the caller's own pid namespace, which may be another than that of the mounted procfs: names are
    /// of the latter, pids of the former.
    pub fn open_here(&self) -> io::Result<Option<OwnedFd>> {
        let pids = |pid| procfs::status(pid).map(|status| status.numbers("NSpid"));
        let depth = pids(ProcessName::own()?.pid)?.len();
        let pid = pids(self.pid)?.get(depth.saturating_sub(1)).copied();
        let Some(pid) = pid.and_then(|pid| Pid::from_raw(pid as i32)) else {
            return Ok(None);
        };
        let fd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
        Ok((pidfd::host_pid(fd.as_fd())? == self.pid).then_some(fd))
    }

    /// The pid of its parent (field 4 of proc_pid_stat(5)).
    pub fn parent(&self) -> io::Result<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let field = stat.rsplit_once(')').and_then(|(_, rest)| {
            let mut fields = rest.split(' ');
            fields.nth(2)?.parse().ok()
        });
        field.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
    }

    fn read(path: &str) -> io::Result<ProcessName> {
        let stat = procfs::text(path)?;
        parse_stat(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unexpected /proc/PID/stat"))
    }
}

/// Fields 1 and 22 of proc_pid_stat(5); the command name in field 2 may hold blanks and parentheses.
fn parse_stat(stat: &str) -> Option<ProcessName> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    let start = stat.rsplit_once(')')?.1.split(' ').nth(20)?.parse().ok()?;
    Some(ProcessName { pid, start })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "77 (a) b (c)) S 1 77 77 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2 3";
        assert_eq!(
            parse_stat(stat),
            Some(ProcessName {
                pid: 77,
                start: 4711
            })
        );
    }

    #[test]
    fn a_process_name_opens_only_the_same_process() {
        let own = ProcessName::own().expect("procfs is mounted");
        assert!(own.open().expect("pidfd_open works").is_some());
        let other = ProcessName {
            start: own.start + 1,
            ..own
        };
        assert!(other.open().expect("pidfd_open works").is_none());
    }

    #[test]
    fn a_number_that_a_thread_has_now_names_no_process() {
        let thread = std::thread::spawn(|| {
            let pid = rustix::thread::gettid().as_raw_nonzero().get();
            let gone = ProcessName { pid, start: 1 };
            gone.open().expect("it is no error").is_none()
        });
        assert!(thread.join().expect("it does not panic"));
    }
}
