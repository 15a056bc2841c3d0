//! How the program begins and ends, in place of what the standard library does around `main`: that reads `/proc/self/maps` for
//! the guard page of a stack, which takes a twentieth of a container's start. Never what the program does.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;

use super::{process, role};

/// Defines the program's `main`, which runs `$run` with its words and ends with the code it gives.
#[macro_export]
macro_rules! entry {
    ($run:path) => {
        // SAFETY: no other `main` is linked: the crate that uses this says `no_main`. The C library calls it once.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn main(
            _: std::ffi::c_int,
            words: *const *const std::ffi::c_char,
        ) -> ! {
            // SAFETY: as the C library has called it.
            unsafe { $crate::sys::entry::run(words, $run) }
        }
    };
}

/// Runs the program.
///
/// # Safety
/// `words` are the arguments of `main`, as the C library gives them.
pub unsafe fn run(words: *const *const c_char, program: fn(Vec<OsString>) -> u8) -> ! {
    open_standard_streams();
    ignore_broken_pipes();
    // SAFETY: as the C library gives them.
    let words = unsafe { arguments(words) };
    let code = program(words);
    // Whoever reads it may have gone.
    let _ = std::io::stdout().flush();
    process::exit_now(c_int::from(code))
}

/// The standard library has them only where the C library gives them to whatever runs before `main`, which musl does not.
///
/// # Safety
/// `words` are the arguments of `main`, as the C library gives them.
unsafe fn arguments(words: *const *const c_char) -> Vec<OsString> {
    let mut found = Vec::new();
    let mut bytes = 0;
    loop {
        // SAFETY: the array ends with a null pointer, and each word before it is a terminated string.
        let word = unsafe { words.add(found.len()).read() };
        if word.is_null() {
            break;
        }
        // SAFETY: as above.
        let word = unsafe { CStr::from_ptr(word) }.to_bytes();
        bytes += word.len() + 1;
        found.push(OsString::from_vec(word.to_owned()));
    }
    // SAFETY: the array has at least its terminator.
    role::keep_arguments(unsafe { words.read() }, bytes);
    found
}

/// A descriptor below 3 that is closed would be given to the next file that is opened, and take the program's output.
fn open_standard_streams() {
    let closed = |fd| {
        // SAFETY: plain integers.
        unsafe { libc::fcntl(fd, libc::F_GETFD) == -1 }
    };
    while (0..3).any(closed) {
        // SAFETY: a terminated string; the descriptor is meant to stay open.
        if unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) } == -1 {
            process::exit_now(125);
        }
    }
}

/// A reader that goes away is an error of the write, not the program's death.
fn ignore_broken_pipes() {
    // SAFETY: an ignored signal runs no code.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
