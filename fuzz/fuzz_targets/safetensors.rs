#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cosim_fuzz::safetensors(data));
