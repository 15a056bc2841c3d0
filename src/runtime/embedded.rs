//! The two freestanding programs that `build.rs` compiles from `src/embedded`. Never runs them.

/// Executes the payload, or reaps for it; its protocol is described in `src/embedded/stub.rs`.
pub static STUB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stub"));

/// The only program of the embedded `hello` image.
pub static HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_small_static_executables() {
        for program in [STUB, HELLO] {
            assert_eq!(&program[..4], b"\x7fELF");
            assert_eq!(program[16], 2, "ET_EXEC: nothing to relocate");
            assert!(program.len() < 8192, "{} bytes", program.len());
        }
    }
}
