//! Tables of measurements that the tests carry, and the bundled calibrations.

use super::Desk;
use cosim::mapped::calibration::{self, Calibration};

/// The tables of kernels.
pub const OPS: [&str; 5] =
    ["gemm", "attention_prefill", "attention_decode", "elementwise", "collectives"];

/// The rows of a bundled table.
pub fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/measured/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A desk with all tables of kernels.
pub fn desk() -> Desk {
    let desk = Desk::new();
    for op in OPS {
        desk.write(&format!("{op}.csv"), fixture(&format!("{op}.csv")).as_bytes());
    }
    desk
}

/// The bundled calibration of a device under a stack.
pub fn calibrated(hardware: &str, stack: &str) -> Calibration {
    let all = calibration::bundled::all().expect("all check");
    let found = all.into_iter().find(|c| c.hardware == hardware && c.stack == stack);
    found.unwrap_or_else(|| panic!("{hardware} under {stack} is bundled"))
}
