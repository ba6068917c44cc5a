//! The `cosim` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    cosim::cli::main()
}
