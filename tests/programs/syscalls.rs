//! Run inside a container: tries system calls and prints `forbidden NAME=ERRNO` or `allowed NAME=ERRNO` for each (0: it succeeded),
//! then its Seccomp, NoNewPrivs and Cap lines of /proc/self/status. Every call is made so that it does no harm where
//! nothing forbids it, and so that most of the forbidden ones would fail differently (or not at all) without a filter.
//!
//! Freestanding, as the programs of src/embedded: compile with `rustc` and the arguments of src/embedded/flags.rs.
#![no_std]
#![no_main]

#[path = "../../src/embedded/syscall.rs"]
mod syscall;

use syscall::{call, exit, number, write_all};

/// Name, number on x86_64, number on aarch64, arguments.
type Try = (&'static str, usize, usize, [usize; 6]);

const NONE: usize = usize::MAX;

/// Not in docker's default profile: EPERM, but clone3 (ENOSYS).
const FORBIDDEN: [Try; 32] = [
    ("acct", 163, 89, [1, 0, 0, 0, 0, 0]),
    ("add_key", 248, 217, [0; 6]),
    ("bpf", 321, 280, [NONE, 0, 0, 0, 0, 0]),
    ("clock_settime", 227, 112, [99, 0, 0, 0, 0, 0]),
    (
        "clone_newuser",
        56,
        220,
        [0x1000_0000 | 0x0001_0000, 0, 0, 0, 0, 0],
    ),
    ("clone3", 435, 435, [0; 6]),
    ("delete_module", 176, 106, [0; 6]),
    ("fanotify_init", 300, 262, [NONE, 0, 0, 0, 0, 0]),
    ("fsopen", 430, 430, [0; 6]),
    ("fspick", 433, 433, [NONE, 0, NONE, 0, 0, 0]),
    ("get_mempolicy", 239, 236, [0; 6]),
    ("init_module", 175, 105, [0; 6]),
    ("io_uring_enter", 426, 426, [NONE, 0, 0, 0, 0, 0]),
    ("io_uring_register", 427, 427, [NONE, 0, 0, 0, 0, 0]),
    ("io_uring_setup", 425, 425, [0; 6]),
    ("kcmp", 312, 272, [NONE, NONE, 0, 0, 0, 0]),
    ("kexec_load", 246, 104, [0, NONE, 0, NONE, 0, 0]),
    ("keyctl", 250, 219, [NONE, 0, 0, 0, 0, 0]),
    ("mbind", 237, 235, [1, 0, 0, 0, 0, 0]),
    ("mount", 165, 40, [0; 6]),
    ("move_pages", 279, 239, [NONE, 0, 0, 0, 0, 0]),
    ("open_by_handle_at", 304, 265, [NONE, 0, 0, 0, 0, 0]),
    ("open_tree", 428, 428, [NONE, 0, NONE, 0, 0, 0]),
    ("perf_event_open", 298, 241, [0; 6]),
    ("pivot_root", 155, 41, [0; 6]),
    ("request_key", 249, 218, [0; 6]),
    ("setns", 308, 268, [NONE, 0, 0, 0, 0, 0]),
    ("settimeofday", 164, 170, [0; 6]),
    ("socket_alg", 41, 198, [38, 5, 0, 0, 0, 0]),
    ("socket_vsock", 41, 198, [40, 1, 0, 0, 0, 0]),
    ("unshare", 272, 97, [0; 6]),
    ("userfaultfd", 323, 282, [NONE, 0, 0, 0, 0, 0]),
];

/// In the profile: anything but EPERM and ENOSYS.
const ALLOWED: [Try; 32] = [
    ("brk", 12, 214, [0; 6]),
    ("capget", 125, 90, [0; 6]),
    ("chroot", 161, 51, [0; 6]),
    ("clone_no_flags", 56, 220, [0x0001_0000, 0, 0, 0, 0, 0]),
    ("close", 3, 57, [NONE, 0, 0, 0, 0, 0]),
    ("dup", 32, 23, [NONE, 0, 0, 0, 0, 0]),
    ("epoll_create1", 291, 20, [NONE, 0, 0, 0, 0, 0]),
    ("fchownat", 260, 54, [NONE, 0, 0, 0, 0, 0]),
    ("fcntl", 72, 25, [NONE, 0, 0, 0, 0, 0]),
    ("fstat", 5, 80, [NONE, 0, 0, 0, 0, 0]),
    ("futex", 202, 98, [0; 6]),
    ("getcwd", 79, 17, [0; 6]),
    ("getpid", 39, 172, [0; 6]),
    ("getrandom", 318, 278, [0; 6]),
    ("io_setup", 206, 0, [0; 6]),
    ("ioctl", 16, 29, [NONE, 0, 0, 0, 0, 0]),
    ("kill_nothing", 62, 129, [0; 6]),
    ("lseek", 8, 62, [NONE, 0, 0, 0, 0, 0]),
    ("memfd_create", 319, 279, [0; 6]),
    ("mknodat", 259, 33, [NONE, 0, 0, 0, 0, 0]),
    ("mmap_nothing", 9, 222, [0; 6]),
    ("openat", 257, 56, [NONE, 0, 0, 0, 0, 0]),
    ("personality_query", 135, 92, [0xffff_ffff, 0, 0, 0, 0, 0]),
    ("pipe2", 293, 59, [0; 6]),
    ("prctl_dumpable", 157, 167, [3, 0, 0, 0, 0, 0]),
    ("ptrace", 101, 117, [0x7fff, 0x7fff_ffff, 0, 0, 0, 0]),
    ("read", 0, 63, [NONE, 0, 0, 0, 0, 0]),
    ("setgroups_none", 116, 159, [0; 6]),
    ("socket_inet", 41, 198, [2, 1, 0, 0, 0, 0]),
    ("socket_netlink", 41, 198, [16, 3, 0, 0, 0, 0]),
    ("socket_unix", 41, 198, [1, 1, 0, 0, 0, 0]),
    ("uname", 63, 160, [0; 6]),
];

unsafe extern "C" fn main(_: *const usize) -> ! {
    attempt(b"forbidden ", &FORBIDDEN);
    attempt(b"allowed ", &ALLOWED);
    exit(if print_status() { 0 } else { 1 })
}

fn attempt(word: &[u8], tries: &[Try]) {
    for (name, x86_64, aarch64, arguments) in tries {
        let number = if cfg!(target_arch = "aarch64") {
            *aarch64
        } else {
            *x86_64
        };
        // SAFETY: each call is made without memory of ours: null pointers, bad descriptors, or plain numbers.
        let result = unsafe { call(number, *arguments) };
        let errno = if (-4095..0).contains(&result) {
            -result as usize
        } else {
            0
        };
        write_all(1, word);
        write_all(1, name.as_bytes());
        write_all(1, b"=");
        let digits = [
            b'0' + (errno / 100 % 10) as u8,
            b'0' + (errno / 10 % 10) as u8,
            b'0' + (errno % 10) as u8,
        ];
        let zeroes = digits
            .iter()
            .take(2)
            .take_while(|digit| **digit == b'0')
            .count();
        write_all(1, digits.get(zeroes..).unwrap_or_default());
        write_all(1, b"\n");
    }
}

fn print_status() -> bool {
    let mut buffer = [0u8; 4096];
    const AT_FDCWD: usize = -100isize as usize;
    // SAFETY: a null-terminated path, and a buffer with its own length.
    let got = unsafe {
        let fd = call(
            number::OPENAT,
            [AT_FDCWD, c"/proc/self/status".as_ptr() as usize, 0, 0, 0, 0],
        );
        call(
            number::READ,
            [
                fd as usize,
                buffer.as_mut_ptr() as usize,
                buffer.len(),
                0,
                0,
                0,
            ],
        )
    };
    let text = buffer
        .get(..usize::try_from(got).unwrap_or(0))
        .unwrap_or_default();
    for line in text.split(|byte| *byte == b'\n') {
        if line.starts_with(b"Seccomp:")
            || line.starts_with(b"NoNewPrivs:")
            || line.starts_with(b"Cap")
        {
            write_all(1, line);
            write_all(1, b"\n");
        }
    }
    !text.is_empty()
}
