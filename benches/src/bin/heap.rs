//! The load lab with an allocator that counts, for targets whose live heap is asked for.

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    throughline_benches::run(Some(|| {
        let so_far = COUNTING.stats();
        so_far.bytes_allocated.saturating_sub(so_far.bytes_deallocated)
    }))
}
