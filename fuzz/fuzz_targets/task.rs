#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| incidentgate_fuzz::task(data));
