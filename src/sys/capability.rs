//! Capability sets of the calling thread, as bit masks. Never which capabilities a container should have.

use std::io;

/// `_LINUX_CAPABILITY_VERSION_3`: two words per set.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Words {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The three sets that capset(2) changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Masks {
    pub effective: u64,
    pub permitted: u64,
    pub inheritable: u64,
}

/// capget(2) of the calling thread.
pub fn get() -> io::Result<Masks> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut words = [Words::default(); 2];
    // SAFETY: version 3 of the header makes the kernel write exactly two sets of words.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, words.as_mut_ptr()) };
    check(result)?;
    let join = |of: fn(&Words) -> u32| u64::from(of(&words[0])) | u64::from(of(&words[1])) << 32;
    Ok(Masks {
        effective: join(|words| words.effective),
        permitted: join(|words| words.permitted),
        inheritable: join(|words| words.inheritable),
    })
}

/// capset(2) of the calling thread; a capability leaves the ambient set with its permitted or inheritable bit.
pub fn set(masks: Masks) -> io::Result<()> {
    let header = Header {
        version: VERSION,
        pid: 0,
    };
    let words = [0, 32].map(|shift| Words {
        effective: (masks.effective >> shift) as u32,
        permitted: (masks.permitted >> shift) as u32,
        inheritable: (masks.inheritable >> shift) as u32,
    });
    // SAFETY: version 3 of the header makes the kernel read exactly two sets of words.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) })
}

/// The highest capability of the running kernel.
pub fn last() -> u8 {
    // Known numbers have no gaps, so halving finds the end in 6 calls.
    let (mut known, mut unknown) = (0, 64);
    while unknown - known > 1 {
        let middle = (known + unknown) / 2;
        match in_bounding(middle) {
            Some(_) => known = middle,
            None => unknown = middle,
        }
    }
    known
}

/// Whether the bounding set has it; `None` for a number that the kernel does not know.
pub fn in_bounding(number: u8) -> Option<bool> {
    match prctl(libc::PR_CAPBSET_READ, [number.into(), 0, 0, 0]) {
        Ok(answer) => Some(answer == 1),
        Err(_) => None,
    }
}

/// Removes everything that is not in `keep` from the bounding set. Needs `CAP_SETPCAP`.
pub fn limit_bounding(keep: u64) -> io::Result<()> {
    for number in (0..64u8).filter(|number| keep & (1 << number) == 0) {
        match prctl(libc::PR_CAPBSET_DROP, [number.into(), 0, 0, 0]) {
            Ok(_) => {}
            Err(error) => match in_bounding(number) {
                None => break,
                Some(true) => return Err(error),
                Some(false) => {}
            },
        }
    }
    Ok(())
}

/// Empties the ambient set.
pub fn clear_ambient() -> io::Result<()> {
    prctl(
        libc::PR_CAP_AMBIENT,
        [libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0, 0, 0],
    )
    .map(drop)
}

/// Whether a change of all uids from 0 keeps the permitted set (until the next execve).
pub fn keep_across_setuid(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, [keep.into(), 0, 0, 0]).map(drop)
}

/// `no_new_privs`: for good, and for all descendants.
pub fn set_no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, [1, 0, 0, 0]).map(drop)
}

fn prctl(option: libc::c_int, arguments: [u64; 4]) -> io::Result<libc::c_int> {
    let [a, b, c, d] = arguments;
    // SAFETY: every option used in this module takes numbers only.
    let result = unsafe { libc::prctl(option, a, b, c, d) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn check(result: libc::c_long) -> io::Result<()> {
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

    #[test]
    fn sets_read_are_the_ones_proc_shows() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let masks = get().unwrap();
        assert_eq!(masks.effective, field("CapEff:"));
        assert_eq!(masks.permitted, field("CapPrm:"));
        assert_eq!(masks.inheritable, field("CapInh:"));
    }

    #[test]
    fn last_is_the_one_the_kernel_names() {
        let named = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap();
        assert_eq!(last(), named.trim().parse::<u8>().unwrap());
    }

    /// Sets are per thread, so a thread of its own can lose them without harm to other tests.
    #[test]
    fn a_thread_can_give_its_sets_up() {
        let after = std::thread::spawn(|| {
            let before = get().unwrap();
            if before.permitted & (1 << 8) != 0 {
                limit_bounding(1).unwrap();
                assert_eq!((in_bounding(0), in_bounding(1)), (Some(true), Some(false)));
            }
            clear_ambient().unwrap();
            set(Masks::default()).unwrap();
            get().unwrap()
        });
        assert_eq!(after.join().unwrap(), Masks::default());
    }
}
