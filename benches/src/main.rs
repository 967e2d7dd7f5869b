//! The load lab; see the crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_benches::run(None)
}
