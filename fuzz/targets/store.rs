//! The target `store`: see the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throughline_fuzz::store(data));
