//! The target `auth`: see the function.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| throughline_fuzz::auth(data));
