//! The name of the running role, in its trace and in `ps`, and the descriptor of that trace: what every forked role has to
//! carry on. Says nothing itself.

use std::ffi::{CString, c_char};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, OnceLock, PoisonError};

static ROLE: Mutex<String> = Mutex::new(String::new());
static TRACE: OnceLock<OwnedFd> = OnceLock::new();
static ARGUMENTS: OnceLock<Range<usize>> = OnceLock::new();

/// Where the first argument of `main` lies; the others follow it. `length`: of all, in bytes, terminators included.
pub fn keep_arguments(first: *const c_char, length: usize) {
    let start = first.expose_provenance();
    if start != 0 && length > 0 {
        let _ = ARGUMENTS.set(start..start + length);
    }
}

/// Names the role of this process, e.g. `monitor web`: in each line of the trace and, as `bryo: monitor web`, in `ps`. Called
/// by a forked role, and by nothing else: the words of its command line are gone after it.
pub fn set(name: &str) {
    let title = set_name(name);
    // A title that can't be set harms nobody.
    if let Some(place) = argument_area() {
        write_title(place, title.as_bytes());
    }
}

/// The name in the trace and, of its title, the 15 bytes that the kernel keeps as the thread's name.
fn set_name(name: &str) -> CString {
    *ROLE.lock().unwrap_or_else(PoisonError::into_inner) = name.to_owned();
    let mut title = format!("bryo: {name}").into_bytes();
    title.retain(|byte| *byte != 0);
    let title = CString::new(title).expect("zero bytes were removed");
    let _ = nix::sys::prctl::set_name(&title);
    title
}

/// Where this process's own arguments lie, terminators included: what `/proc/PID/cmdline` shows.
fn argument_area() -> Option<Range<usize>> {
    if let Some(known) = ARGUMENTS.get() {
        return Some(known.clone());
    }
    parse_argument_area(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Fields 48 and 49 of proc_pid_stat(5); zero where they may not be seen.
fn parse_argument_area(stat: &str) -> Option<Range<usize>> {
    let mut fields = stat.rsplit_once(')')?.1.split(' ').skip(46);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.trim_end().parse().ok()?;
    (start != 0 && start < end).then_some(start..end)
}

/// Puts the title where the arguments were, cut to their length, zeroes behind it: the last byte stays a terminator, or the
/// kernel would show the environment too.
fn write_title(place: Range<usize>, title: &[u8]) {
    let length = title.len().min(place.len() - 1);
    let target = std::ptr::with_exposed_provenance_mut::<u8>(place.start);
    // SAFETY: the kernel put this process's arguments at `place`, in the upper part of its stack, which is writable and
    // mapped for as long as it runs. A role has one thread, and nothing holds a reference into that memory: the standard
    // library reads it through raw pointers, and finds terminated strings there still.
    unsafe {
        std::ptr::copy_nonoverlapping(title.as_ptr(), target, length);
        std::ptr::write_bytes(target.add(length), 0, place.len() - length);
    }
}

/// The role's name; `cli` for a process that was given none.
pub fn get() -> String {
    let role = ROLE.lock().unwrap_or_else(PoisonError::into_inner);
    if role.is_empty() {
        "cli".to_owned()
    } else {
        role.clone()
    }
}

/// Hands over the descriptor that trace lines go to, for the rest of the program. The first call wins.
pub fn keep_trace(fd: OwnedFd) {
    let _ = TRACE.set(fd);
}

/// The descriptor that a role spares when it closes what it inherited; `None` when nothing is traced to a file.
pub fn trace_fd() -> Option<BorrowedFd<'static>> {
    TRACE.get().map(AsFd::as_fd)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn role_is_named_in_trace_and_ps() {
        // A thread of its own: the name set belongs to the thread, and the test runner's is not ours.
        std::thread::spawn(|| {
            super::set_name("monitor web");
            assert_eq!(super::get(), "monitor web");
            let comm = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            assert_eq!(comm, "bryo: monitor w\n");
            super::set_name("");
            assert_eq!(super::get(), "cli");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_title_is_cut_to_the_place_of_the_arguments_and_terminated() {
        for (title, expected) in [
            (&b"bryo: x"[..], b"bryo: x\0\0\0"),
            (b"bryo: monitor web", b"bryo: mon\0"),
        ] {
            let mut arguments = *b"bryo\0ps -a";
            let start = arguments.as_mut_ptr().expose_provenance();
            super::write_title(start..start + arguments.len(), title);
            assert_eq!(&arguments, expected);
        }
    }

    #[test]
    fn the_arguments_are_found_behind_a_name_with_parentheses() {
        let rest = "0 ".repeat(44);
        let stat = |start, end| format!("7 (a) b) S {rest}{start} {end} 9 9 0\n");
        assert_eq!(super::parse_argument_area(&stat(100, 120)), Some(100..120));
        assert_eq!(super::parse_argument_area(&stat(0, 0)), None);
        let own = super::argument_area().unwrap();
        let words = std::env::args_os().map(|word| word.len() + 1);
        assert_eq!(own.len(), words.sum::<usize>());
    }
}
