//! The program of the embedded `hello` image: greets, says what a container sees, and what to type next.
//! Never needs anything of the image but itself; what it can't read it says so.
#![no_std]
#![no_main]

mod syscall;

use syscall::{call, exit, number};

const STDOUT: usize = 1;
const AT_FDCWD: usize = -100isize as usize;
const O_DIRECTORY: usize = if cfg!(target_arch = "aarch64") {
    0o40000
} else {
    0o200000
};
const NAME_FIELD: usize = 65;

/// One write for the whole greeting, so that lines of two containers do not mix.
struct Text {
    bytes: [u8; 4096],
    length: usize,
}

impl Text {
    fn add(&mut self, more: &[u8]) {
        for byte in more {
            if let Some(free) = self.bytes.get_mut(self.length) {
                *free = *byte;
                self.length += 1;
            }
        }
    }

    fn number(&mut self, mut number: usize) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            if let Some(digit) = digits.get_mut(at) {
                *digit = b'0' + (number % 10) as u8;
            }
            number /= 10;
            if number == 0 || at == 0 {
                break;
            }
        }
        self.add(digits.get(at..).unwrap_or_default());
    }

    /// Entries of `/`; unsorted, as the kernel has them.
    fn root_entries(&mut self) {
        let mut buffer = [0u8; 2048];
        let Some(fd) = open(c"/", O_DIRECTORY) else {
            return self.add(b"(cannot be read)");
        };
        loop {
            // SAFETY: the kernel writes at most the buffer's length.
            let got = unsafe {
                call(
                    number::GETDENTS64,
                    [fd, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0],
                )
            };
            if got <= 0 {
                return;
            }
            self.entries(buffer.get(..got as usize).unwrap_or_default());
        }
    }

    /// Records of linux_dirent64: inode 8, offset 8, length 2, type 1, name with its null.
    fn entries(&mut self, mut records: &[u8]) {
        while let [
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            _,
            low,
            high,
            _,
            name @ ..,
        ] = records
        {
            let name = until_null(name);
            if name != b"." && name != b".." {
                self.add(b" /");
                self.add(name);
            }
            let length = usize::from(u16::from_le_bytes([*low, *high])).max(1);
            records = records.get(length..).unwrap_or_default();
        }
    }

    fn hostname(&mut self) {
        let mut names = [0u8; NAME_FIELD * 6];
        // SAFETY: struct utsname is six fields of 65 bytes.
        unsafe { call(number::UNAME, [names.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) };
        self.add(until_null(
            names.get(NAME_FIELD..2 * NAME_FIELD).unwrap_or_default(),
        ));
    }

    /// The map's lines as `first inside -> first outside (count)`.
    fn uid_map(&mut self) {
        let mut buffer = [0u8; 1024];
        let Some(fd) = open(c"/proc/self/uid_map", 0) else {
            return self.add(b" (no /proc here)");
        };
        // SAFETY: the kernel writes at most the buffer's length.
        let got = unsafe {
            call(
                number::READ,
                [fd, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0],
            )
        };
        let text = buffer
            .get(..usize::try_from(got).unwrap_or(0))
            .unwrap_or_default();
        let mut separator: &[u8] = b" ";
        for line in text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let mut fields = line
                .split(|byte| *byte == b' ')
                .filter(|field| !field.is_empty());
            if let (Some(inside), Some(outside), Some(count)) =
                (fields.next(), fields.next(), fields.next())
            {
                for part in [separator, inside, b" -> ", outside, b" (", count, b")"] {
                    self.add(part);
                }
                separator = b", ";
            }
        }
    }
}

fn until_null(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn open(path: &core::ffi::CStr, flags: usize) -> Option<usize> {
    // SAFETY: a null-terminated constant; the process ends soon, so nothing closes it.
    let fd = unsafe {
        call(
            number::OPENAT,
            [AT_FDCWD, path.as_ptr() as usize, flags, 0, 0, 0],
        )
    };
    usize::try_from(fd).ok()
}

/// # Safety
/// Called once, by the entry point.
unsafe extern "C" fn main(_: *const usize) -> ! {
    let mut text = Text {
        bytes: [0; 4096],
        length: 0,
    };
    text.add(b"Hello from bryo!\n\n");
    text.add(b"This program runs in a container of its own, without root and without a daemon. What it sees:\n");
    text.add(b"  pid       ");
    // SAFETY: takes no pointer.
    text.number(unsafe { call(number::GETPID, [0; 6]) } as usize);
    text.add(b"\n  hostname  ");
    text.hostname();
    text.add(b"\n  root     ");
    text.root_entries();
    text.add(b"\n  uid map  ");
    text.uid_map();
    text.add(
        b"\n\nTry next:\n\
        \x20 bryo run -it debian bash           a shell in Debian\n\
        \x20 bryo run -d -p 8080:80 nginx       a web server on http://localhost:8080\n\
        \x20 bryo doctor                        what this host offers, and what it lacks\n",
    );
    let written = syscall::write_all(STDOUT, text.bytes.get(..text.length).unwrap_or_default());
    exit(if written { 0 } else { 1 })
}
