//! Rebuilds the binary when a bundled profile, model or scenario changes.

fn main() {
    for folder in ["hardware-profiles", "workloads/models", "workloads/scenarios"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
