//! `xinhub-bench` once more, on the allocator that `xinhubd` has.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    xinhub_bench::main()
}
