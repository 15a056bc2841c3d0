//! Loading a seccomp filter into the calling thread. Never what a filter allows.

use std::io;

/// One classic BPF instruction: `struct sock_filter` of linux/filter.h.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    pub constant: u32,
}

#[repr(C)]
struct Filter {
    length: u16,
    instructions: *const Instruction,
}

/// `SECCOMP_FILTER_FLAG_*` of linux/seccomp.h.
pub mod flag {
    pub const TSYNC: u32 = 1;
    pub const LOG: u32 = 2;
    pub const SPEC_ALLOW: u32 = 4;
    pub const WAIT_KILLABLE_RECV: u32 = 32;
}

/// seccomp(2) with `SECCOMP_SET_MODE_FILTER`. Needs `no_new_privs`, or `CAP_SYS_ADMIN` in the thread's user namespace: without
/// `no_new_privs` load it before the capabilities go.
pub fn load(instructions: &[Instruction], flags: u32) -> io::Result<()> {
    let length = u16::try_from(instructions.len())
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let filter = Filter {
        length,
        instructions: instructions.as_ptr(),
    };
    // SAFETY: the kernel copies `length` instructions from a live slice, and checks every one of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const filter,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const fn instruction(code: u16, jump_true: u8, jump_false: u8, constant: u32) -> Instruction {
        Instruction {
            code,
            jump_true,
            jump_false,
            constant,
        }
    }

    /// getppid fails with 77, the rest is allowed.
    fn filter() -> [Instruction; 4] {
        [
            instruction(0x20, 0, 0, 0),
            instruction(0x15, 0, 1, libc::SYS_getppid as u32),
            instruction(0x06, 0, 0, 0x0005_0000 | 77),
            instruction(0x06, 0, 0, 0x7fff_0000),
        ]
    }

    /// A filter belongs to its thread, so a thread of its own can take one without harm to other tests.
    #[test]
    fn filter_binds_the_thread_that_loads_it() {
        let errno = std::thread::spawn(|| {
            crate::sys::capability::set_no_new_privileges().unwrap();
            load(&filter(), flag::SPEC_ALLOW).unwrap();
            // SAFETY: takes no argument.
            let result = unsafe { libc::syscall(libc::SYS_getppid) };
            (result, io::Error::last_os_error().raw_os_error())
        });
        assert_eq!(errno.join().unwrap(), (-1, Some(77)));
        assert!(std::os::unix::process::parent_id() > 0);
    }

    #[test]
    fn kernel_refuses_a_filter_without_an_end() {
        let error = std::thread::spawn(|| {
            crate::sys::capability::set_no_new_privileges().unwrap();
            load(&[instruction(0x20, 0, 0, 0)], 0).unwrap_err()
        });
        assert_eq!(error.join().unwrap().raw_os_error(), Some(libc::EINVAL));
    }
}
