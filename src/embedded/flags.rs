//! How the freestanding programs are compiled: the one place for the flags, included by `build.rs` and by the test suite
//! (`#[path]`), which compiles `tests/programs/*.rs` the same way. Never a decision about which linker exists.

/// Who links: a C compiler's driver, or a bare linker of the GNU family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Linker<'a> {
    /// `cc`-like; `None` is rustc's default for the target.
    Driver(Option<&'a str>),
    /// `ld`-like, `rust-lld` for one.
    Bare(&'a str),
}

/// Arguments for `rustc`, without source, output and target.
pub fn arguments(linker: Linker) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--crate-type=bin",
        "--edition=2024",
        "-Cpanic=abort",
        "-Copt-level=s",
        "-Ccodegen-units=1",
        "-Cdebuginfo=0",
        "-Clto=fat",
        "-Cstrip=symbols",
        // Fixed address and no interpreter: nothing has to relocate the program, there is no libc in it to do so.
        "-Crelocation-model=static",
        "-Ctarget-feature=+crt-static",
        // No unwinding, no tables for it: half of the size.
        "-Cforce-unwind-tables=no",
    ]
    .map(String::from)
    .to_vec();
    // Text and data share a page of the file (noseparate-code), else it has three; in memory they stay apart even where
    // pages have 64 kB (aarch64).
    let options = [
        "--build-id=none",
        "--no-eh-frame-hdr",
        "-znoseparate-code",
        "-zmax-page-size=65536",
        "-znognustack",
    ];
    match linker {
        Linker::Driver(name) => {
            arguments.extend(name.map(|name| format!("-Clinker={name}")));
            let driver = ["-nostartfiles", "-nostdlib", "-static", "-no-pie"];
            arguments.extend(driver.map(|option| format!("-Clink-arg={option}")));
            let options = options.iter().filter(|option| **option != "-znognustack");
            arguments.extend(options.map(|option| format!("-Clink-arg=-Wl,{option}")));
        }
        Linker::Bare(name) => {
            arguments.extend([format!("-Clinker={name}"), "-Clinker-flavor=ld.lld".into()]);
            arguments.extend(options.iter().map(|option| format!("-Clink-arg={option}")));
        }
    }
    arguments
}
