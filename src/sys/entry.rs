//! How the program begins and ends, in place of what the standard library does around `main`: that reads `/proc/self/maps` for
//! the guard page of a stack, which takes a twentieth of a container's start. Never what the program does.

use std::ffi::{c_char, c_int};
use std::io::Write;

use super::{process, role};

/// Defines the program's `main`, which runs `$run` and ends with the code it gives.
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
pub unsafe fn run(words: *const *const c_char, program: fn() -> u8) -> ! {
    open_standard_streams();
    ignore_broken_pipes();
    // SAFETY: the C library's array has at least its terminator, a null pointer.
    role::keep_arguments(unsafe { *words });
    let code = program();
    // Whoever reads it may have gone.
    let _ = std::io::stdout().flush();
    process::exit_now(c_int::from(code))
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
