//! `xinhub-bench`, on the system's allocator.

use std::process::ExitCode;

fn main() -> ExitCode {
    xinhub_bench::main()
}
