//! Compiles the freestanding programs of `src/embedded` into `OUT_DIR`. Never touches anything else.

#[path = "src/embedded/flags.rs"]
mod flags;

use std::env;
use std::path::Path;
use std::process::Command;

use flags::Linker;

const PROGRAMS: [&str; 2] = ["stub", "hello"];
const SOURCES: &str = "src/embedded";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCES}");
    let out = variable("OUT_DIR");
    for program in PROGRAMS {
        compile(program, Path::new(&out));
    }
    // A program that is relocated when it starts has 270 KiB of pages of its own before main, and every monitor, a fork
    // of it, keeps them. Linked at a fixed address they stay the file's, shared by all monitors.
    println!("cargo::rustc-link-arg-bins=-no-pie");
    link_unwinder_statically(Path::new(&out));
}

/// The standard library asks for the shared unwinder, which is a tenth of the loader's work and never runs: a panic aborts.
/// The linker finds a script of that name first, as it does for the shared one, and takes the compiler's archive. Where
/// there is no archive the shared library stays.
fn link_unwinder_statically(out: &Path) {
    let driver = env::var("RUSTC_LINKER").unwrap_or_else(|_| "cc".to_owned());
    let archives = ["libgcc_eh.a", "libgcc.a"].map(|name| {
        let asked = Command::new(&driver)
            .arg(format!("-print-file-name={name}"))
            .output();
        let answer = String::from_utf8_lossy(&asked.ok()?.stdout)
            .trim()
            .to_owned();
        Path::new(&answer).is_absolute().then_some(answer)
    });
    let ([Some(unwinder), Some(runtime)], "gnu") = (archives, &*variable("CARGO_CFG_TARGET_ENV"))
    else {
        return;
    };
    let directory = out.join("link");
    let script = format!("GROUP ( {unwinder} {runtime} )\n");
    let written = std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(directory.join("libgcc_s.so"), script));
    if written.is_ok() {
        println!("cargo::rustc-link-search=native={}", directory.display());
    }
}

/// Tries each linker that may exist; the programs need none of the target's libraries, so any that knows the format will do.
fn compile(program: &str, out: &Path) {
    let target = variable("TARGET");
    let configured = env::var("RUSTC_LINKER").ok();
    let cross = format!("{}-gcc", target.replace("-unknown-", "-"));
    let mut linkers = Vec::new();
    linkers.extend(configured.as_deref().map(|name| Linker::Driver(Some(name))));
    if target == variable("HOST") {
        linkers.push(Linker::Driver(None));
    } else {
        linkers.push(Linker::Driver(Some(&cross)));
    }
    linkers.push(Linker::Bare("rust-lld"));

    // musl's targets bring objects with a start of their own.
    let musl = variable("CARGO_CFG_TARGET_ENV") == "musl";
    let mut failures = String::new();
    for linker in linkers {
        let result = Command::new(variable("RUSTC"))
            .args(flags::arguments(linker))
            .args(musl.then_some("-Clink-self-contained=no"))
            .args(["--target", &target, "--crate-name", program])
            .arg("-o")
            .arg(out.join(program))
            .arg(Path::new(SOURCES).join(program).with_extension("rs"))
            .output();
        match result {
            Ok(output) if output.status.success() => return,
            Ok(output) => failures.push_str(&String::from_utf8_lossy(&output.stderr)),
            Err(error) => failures.push_str(&format!("rustc: {error}\n")),
        }
    }
    panic!("cannot build the embedded program {program} for {target}:\n{failures}");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is set by cargo for build scripts"))
}
