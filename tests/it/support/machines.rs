//! Bundled devices, and the same with every rate scaled.

use cosim::cost::Estimator;
use cosim::dtype::Scheme;
use cosim::hardware::{Fidelity, Hardware, Machine, bundled, load};
use cosim::tensor::Step;
use std::sync::LazyLock;

/// Every bundled profile, checked.
pub static ALL: LazyLock<Vec<Hardware>> = LazyLock::new(|| {
    let load = |id| load(id, &bundled::source).expect("bundled profiles are good");
    bundled::ids().into_iter().map(load).collect()
});

/// A bundled device.
pub fn machine(id: &str, fidelity: Fidelity) -> Machine {
    let hardware = ALL.iter().find(|h| h.id.as_ref() == id).expect("bundled");
    Machine::compile(hardware, fidelity)
}

/// Factors on a device's rates.
#[derive(Debug, Clone, Copy)]
pub struct Factors {
    pub matrix: f64,
    pub vector: f64,
    pub special: f64,
    pub dram: f64,
    pub inner_levels: f64,
}

impl Factors {
    /// The same factor on everything.
    pub fn uniform(k: f64) -> Self {
        Self { matrix: k, vector: k, special: k, dram: k, inner_levels: k }
    }
}

/// The same device with its rates multiplied.
pub fn scaled(hardware: &Hardware, k: Factors) -> Hardware {
    let mut hardware = hardware.clone();
    hardware.matrix.values_mut().for_each(|peak| peak.value = peak.value * k.matrix);
    hardware.sparse.values_mut().for_each(|peak| peak.value = peak.value * k.matrix);
    hardware.vector.values_mut().for_each(|peak| peak.value = peak.value * k.vector);
    hardware.special.iter_mut().for_each(|peak| peak.value = peak.value * k.special);
    for level in &mut hardware.levels {
        let factor = if level.name.as_ref() == "dram" { k.dram } else { k.inner_levels };
        level.bandwidth.iter_mut().for_each(|b| b.value = b.value * factor);
    }
    hardware
}

/// Whether the device has the engines that a scheme computes in.
pub fn runs(machine: &Machine, scheme: &Scheme) -> bool {
    machine.matrix(scheme.projection).is_ok() && machine.matrix(scheme.high).is_ok()
}

/// Seconds of one step, kernel by kernel.
pub fn step_time(
    plan: &cosim::mapping::Plan,
    machine: &Machine,
    estimator: &Estimator<'_>,
    step: &Step,
) -> f64 {
    let launch = machine.kernel_launch.value.get();
    let kernels = plan.kernels.iter();
    kernels.map(|k| (estimator.kernel(k, step).longest() + launch) * k.count as f64).sum()
}
