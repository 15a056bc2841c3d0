//! The program: everything is in the library, so that tests and completions see the same definitions.

#![no_main]

bryo::entry!(bryo::cli::main);

// musl's own gives memory back to the kernel after nearly every use: sixty calls in a container's start.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
