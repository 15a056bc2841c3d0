//! The last program before the payload (`exec`), or its parent (`init`): so that nothing in a container has bryo as its executable.
//! Never a decision: what to run, as whom and where was settled before it started.
//!
//! argv = [mode, path, argv0, argument…]; environment as given. The mode is a word and the number of the error pipe, `exec3`:
//! closed by a successful execve, else it gets errno as four little-endian bytes. Mode `init3` forks first; the parent forwards
//! signals, reaps whatever is orphaned, and ends as its child does.
#![no_std]
#![no_main]

mod syscall;

use syscall::{call, exit, number, write_all};

const ENOENT: i32 = 2;
const ENOTDIR: i32 = 20;
const EINVAL: i32 = 22;
const SIG_BLOCK: usize = 0;
const SIG_SETMASK: usize = 2;
const SIGCHLD: i32 = 17;
const SIGTTIN: usize = 21;
const SIGTTOU: usize = 22;
/// All but ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS: a fault of ours must end us, not wait in a queue.
const FORWARDED: u64 =
    !((1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 10) | (1 << 30));

#[repr(C)]
struct Disposition {
    handler: usize,
    flags: usize,
    restorer: usize,
    mask: u64,
}

struct Payload {
    error_pipe: usize,
    path: *const u8,
    arguments: *const *const u8,
    environment: *const *const u8,
}

/// # Safety
/// `stack` is the stack pointer the kernel started the program with.
unsafe extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: `stack` comes from the entry point.
    let (count, vector) = unsafe { syscall::arguments(stack) };
    if count < 3 {
        exit(code(EINVAL));
    }
    // SAFETY: argv has `count` >= 3 pointers and a null, followed by the environment.
    let (mode, payload) = unsafe {
        let payload = Payload {
            error_pipe: number_in(*vector),
            path: *vector.add(1),
            arguments: vector.add(2),
            environment: vector.add(count + 1),
        };
        (**vector, payload)
    };
    close_on_exec(payload.error_pipe);
    match mode {
        b'i' => init(&payload),
        _ => execute(&payload),
    }
}

/// The number that ends a word.
///
/// # Safety
/// `word` ends in a null.
unsafe fn number_in(mut word: *const u8) -> usize {
    let mut number = 0;
    // SAFETY: the null is where this stops.
    unsafe {
        while *word != 0 {
            if (*word).is_ascii_digit() {
                number = number * 10 + usize::from(*word - b'0');
            }
            word = word.add(1);
        }
    }
    number
}

/// A seccomp profile may forbid fcntl: then errors are only told by the exit code, but no descriptor leaks.
fn close_on_exec(error_pipe: usize) {
    const F_SETFD: usize = 2;
    const FD_CLOEXEC: usize = 1;
    // SAFETY: takes no pointer.
    unsafe {
        if call(number::FCNTL, [error_pipe, F_SETFD, FD_CLOEXEC, 0, 0, 0]) < 0 {
            call(number::CLOSE, [error_pipe, 0, 0, 0, 0, 0]);
        }
    }
}

fn execute(payload: &Payload) -> ! {
    let vectors = [
        payload.path as usize,
        payload.arguments as usize,
        payload.environment as usize,
        0,
        0,
        0,
    ];
    // SAFETY: three null-terminated things from the kernel's own entry stack.
    fail(payload, -unsafe { call(number::EXECVE, vectors) } as i32)
}

fn fail(payload: &Payload, errno: i32) -> ! {
    write_all(payload.error_pipe, &errno.to_le_bytes());
    exit(code(errno))
}

/// Docker's exit codes: 127 for a program that is not there, 126 for one that cannot be run.
fn code(errno: i32) -> i32 {
    if errno == ENOENT || errno == ENOTDIR {
        127
    } else {
        126
    }
}

fn init(payload: &Payload) -> ! {
    let mut mask = 0;
    change_mask(SIG_BLOCK, FORWARDED, &mut mask);
    // SAFETY: clone as fork: no new stack, no tids.
    let child = unsafe { call(number::CLONE, [SIGCHLD as usize, 0, 0, 0, 0, 0]) } as i32;
    if child < 0 {
        fail(payload, -child);
    }
    if child == 0 {
        take_foreground();
        change_mask(SIG_SETMASK, mask, &mut 0);
        execute(payload);
    }
    // SAFETY: no pointer but a constant, null-terminated name (PR_SET_NAME is 15).
    unsafe {
        call(
            number::PRCTL,
            [15, c"bryo-init".as_ptr() as usize, 0, 0, 0, 0],
        );
        // 0-2 stay: programs write to /proc/1/fd/1.
        call(
            number::CLOSE_RANGE,
            [3, u32::MAX as usize, 0, 0, 0, 0],
        );
    }
    ignore_terminal_stops();
    reap_and_forward(child)
}

/// A group of its own, so that the terminal's signals reach the program once, from the terminal.
fn take_foreground() {
    const TIOCSPGRP: usize = 0x5410;
    // SAFETY: no pointers but one to a live integer; without a terminal TIOCSPGRP fails, which is fine.
    unsafe {
        call(number::SETPGID, [0; 6]);
        let group = call(number::GETPID, [0; 6]) as i32;
        call(
            number::IOCTL,
            [0, TIOCSPGRP, &raw const group as usize, 0, 0, 0],
        );
    }
}

fn ignore_terminal_stops() {
    let ignore = Disposition {
        handler: 1,
        flags: 0,
        restorer: 0,
        mask: 0,
    };
    for signal in [SIGTTIN, SIGTTOU] {
        // SAFETY: the kernel's layout of sigaction; the set has eight bytes.
        unsafe {
            call(
                number::RT_SIGACTION,
                [signal, &raw const ignore as usize, 0, 8, 0, 0],
            )
        };
    }
}

fn change_mask(how: usize, mask: u64, old: &mut u64) {
    // SAFETY: two live sets of eight bytes.
    unsafe {
        call(
            number::RT_SIGPROCMASK,
            [
                how,
                &raw const mask as usize,
                old as *mut u64 as usize,
                8,
                0,
                0,
            ],
        )
    };
}

fn reap_and_forward(child: i32) -> ! {
    let set = FORWARDED;
    loop {
        reap(child);
        // SAFETY: waits on a live set, wants neither details nor a timeout.
        let signal = unsafe {
            call(
                number::RT_SIGTIMEDWAIT,
                [&raw const set as usize, 0, 0, 8, 0, 0],
            )
        } as i32;
        if signal > 0 && signal != SIGCHLD {
            // SAFETY: takes no pointer.
            unsafe { call(number::KILL, [child as usize, signal as usize, 0, 0, 0, 0]) };
        }
    }
}

fn reap(child: i32) {
    const WNOHANG: usize = 1;
    loop {
        let mut status = 0i32;
        // SAFETY: the kernel writes one integer.
        let reaped = unsafe {
            call(
                number::WAIT4,
                [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0, 0],
            )
        } as i32;
        if reaped <= 0 {
            return;
        }
        if reaped == child {
            let signal = status & 0x7f;
            exit(if signal == 0 {
                (status >> 8) & 0xff
            } else {
                128 + signal
            });
        }
    }
}
