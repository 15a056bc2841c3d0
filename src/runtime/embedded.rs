//! The two freestanding programs that `build.rs` compiles from `src/embedded`. Never runs them.

/// Executes the payload, or reaps for it; its protocol is described in `src/embedded/stub.rs`.
pub static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

/// The only program of the embedded `hello` image.
pub static HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::path::PathBuf;
    use std::process::{Command, Output};

    use super::*;

    struct Program(PathBuf);

    impl Program {
        fn new(name: &str, bytes: &[u8]) -> Program {
            let path =
                std::env::temp_dir().join(format!("bryo-test-{name}-{}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            Program(path)
        }

        /// A child of another test may still hold the file open for writing, for the moment before it executes.
        fn run(&self, arg0: &str, arguments: &[&str]) -> Output {
            loop {
                match Command::new(&self.0).arg0(arg0).args(arguments).output() {
                    Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                        std::thread::yield_now()
                    }
                    result => return result.unwrap(),
                }
            }
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn programs_are_small_static_executables() {
        for program in [STUB, HELLO] {
            assert_eq!(&program[..4], b"\x7fELF");
            assert_eq!(program[16], 2, "ET_EXEC: nothing to relocate");
            assert!(program.len() < 8192, "{} bytes", program.len());
        }
    }

    #[test]
    fn stub_ends_as_the_payload_does_in_both_modes() {
        let stub = Program::new("stub", STUB);
        for mode in ["exec3", "init3"] {
            let code = |path, script| stub.run(mode, &[path, "sh", "-c", script]).status.code();
            assert_eq!(code("/bin/sh", "exit 7"), Some(7), "{mode}");
            assert_eq!(code("/no/such/program", ""), Some(127), "{mode}");
            assert_eq!(code("/etc/passwd", ""), Some(126), "{mode}");
        }
        assert_eq!(
            stub.run("init3", &["/bin/sh", "sh", "-c", "kill -9 $$"])
                .status
                .code(),
            Some(137)
        );
        let forwarded = "trap 'exit 33' TERM; kill -TERM $PPID; while :; do sleep 0.01; done";
        assert_eq!(
            stub.run("init3", &["/bin/sh", "sh", "-c", forwarded])
                .status
                .code(),
            Some(33)
        );
    }

    #[test]
    fn stub_hands_over_arguments_and_environment() {
        let stub = Program::new("arguments", STUB);
        let output = stub.run(
            "exec3",
            &[
                "/bin/sh",
                "name",
                "-c",
                "echo $0 $1 ${PATH:+path}",
                "zero",
                "one",
            ],
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "zero one path\n");
    }

    #[test]
    fn hello_names_what_it_sees() {
        let output = Program::new("hello", HELLO).run("hello", &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        for wanted in [
            "Hello from bryo!",
            host.trim(),
            " /etc",
            "uid map   0 -> ",
            "bryo run -it debian bash",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(output.status.success());
    }
}
