//! Kernel keyrings (keyrings(7)): what a process inherits of the user's secrets. Stores none.

use std::io;

/// keyctl(2), `linux/keyctl.h`.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Leaves the session keyring that was inherited for a new, empty one.
pub fn leave_session() -> io::Result<()> {
    let anonymous = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name is allowed and asks for an anonymous keyring; no memory is passed.
    match unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, anonymous) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    /// `KEYCTL_GET_KEYRING_ID` of `KEY_SPEC_SESSION_KEYRING`, without making one.
    fn session() -> i64 {
        let (get, session, create): (libc::c_long, libc::c_long, libc::c_long) = (0, -3, 0);
        // SAFETY: plain integers.
        unsafe { libc::syscall(libc::SYS_keyctl, get, session, create) }
    }

    #[test]
    fn the_session_keyring_is_another_one_afterwards() {
        // Keyrings belong to threads: the test runner keeps its own.
        let left = || super::leave_session().map(|()| session());
        let seen = std::thread::spawn(move || [left(), left()]).join().unwrap();
        match seen {
            [Ok(first), Ok(second)] => assert!(first > 0 && second > 0 && first != second),
            // No keys in this kernel, or a filter against them, or the user's quota is used up.
            [Err(error), _] | [_, Err(error)] => {
                let code = error.raw_os_error();
                let known = [libc::ENOSYS, libc::EPERM, libc::EDQUOT].map(Some);
                assert!(known.contains(&code), "{error}");
            }
        }
    }
}
