//! The readers that are fuzzed, on the seeds of their fuzzers.

#[path = "../../fuzz/src/lib.rs"]
mod readers;

use std::path::Path;

type Reader = fn(&[u8]);

const READERS: [(&str, Reader); 4] = [
    ("npy", readers::npy),
    ("safetensors", readers::safetensors),
    ("gguf", readers::gguf),
    ("yaml", readers::yaml),
];

#[test]
fn seeds_are_read_or_refused() {
    for (name, reader) in READERS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        let seeds = std::fs::read_dir(&folder).expect("a folder of seeds");
        let seeds: Vec<_> = seeds.map(|seed| seed.expect("readable").path()).collect();
        assert!(seeds.len() > 5, "{name} has too few seeds");
        for seed in seeds {
            let bytes = std::fs::read(&seed).expect("readable");
            reader(&bytes);
            for length in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
                reader(&bytes[..length]);
            }
        }
    }
}
