//! A device with the parameters that its kernels take under a software stack.

use crate::dtype::{Compute, Format};
use crate::mapped::calibration::{Fitted, Tuned, Tuning, Wanted};
use crate::mapped::{Chip, Exchange, Kind};
use crate::provenance::Basis;

/// The elementwise operators whose parameters every stream takes, the first that a stack was measured with.
const STREAMS: [&str; 2] = ["quant_bf16_to_fp8", "add_rmsnorm"];
/// The kernels that sum over devices, the first that a stack was measured with.
const SUMS: [&str; 2] = ["custom", "nccl"];
/// Formats of products.
const PRODUCTS: [&str; 7] = ["bf16", "fp8", "w8a8_int8", "nvfp4", "fp32", "w8a16", "w4a16"];

/// Parameters, and the format that they are of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) format: &'static str,
    pub(super) tuned: Tuned,
}

/// An exchange, in the order of [`Exchange::NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    Gathered,
    Scattered,
    Dealt,
}

/// A device with the parameters that its kernels take under a stack; `None` where nothing is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Silicon {
    /// The software stack; any where it is empty.
    pub stack: String,
    /// Its figures.
    pub chip: Chip,
    products: [Option<Known>; PRODUCTS.len()],
    grouped: [Option<Known>; PRODUCTS.len()],
    /// Of a 16-bit cache, and of an 8-bit one.
    prefill: [Option<Known>; 2],
    decode: [Option<Known>; 2],
    pub(super) stream: Option<Known>,
    pub(super) sum: Option<Known>,
    exchanges: [Option<Known>; 3],
    pub(super) host: Option<Tuned>,
    pub(super) whole: Option<Known>,
    pub(super) apart: Option<Tuned>,
}

/// Place of a product's format, by what multiplies it and the bytes of a weight.
const fn narrow(compute: Compute, weight: f64) -> usize {
    match compute {
        Compute::Exact(Format::Fp8E4m3 | Format::Fp8E5m2) => 1,
        Compute::Exact(Format::Int8) => 2,
        Compute::Exact(Format::Fp4E2m1) => 3,
        Compute::Exact(Format::Fp32 | Format::Tf32) => 4,
        _ if weight > 1.5 => 0,
        _ if weight > 0.9 => 5,
        _ => 6,
    }
}

impl Silicon {
    /// The parameters of every kind and format on a device whose figures may have been changed: `chip` as it is
    /// mapped onto, `plain` as it is sold, which says what it takes. Formats that no device was measured in take
    /// the parameters of 16-bit floats, as derived (A149).
    pub fn new(hardware: &str, stack: &str, (chip, plain): (Chip, &Chip), tuning: &Tuning) -> Self {
        let wanted = |kind, format| Wanted { hardware, stack, kind, format };
        let edited = chip != *plain;
        let get = |kind, format: &'static str| {
            let mut tuned = tuning.get(plain, wanted(kind, format));
            if edited && tuned.basis == Basis::Calibrated {
                tuned.interval = tuning.unseen(wanted(kind, format));
                tuned.origin += ", for other figures than this device has";
            }
            tuned.basis = if edited { tuned.basis.max(Basis::Derived) } else { tuned.basis };
            (tuned.basis != Basis::Assumed).then_some(Known { format, tuned })
        };
        // The format's own parameters where they were measured on the device, else those of 16-bit floats that
        // were, else what other devices tell of either.
        let of = |kind, format: &'static str| {
            let calibrated =
                |k: &Known| tuning.get(plain, wanted(kind, k.format)).basis == Basis::Calibrated;
            let (own, wide) = (get(kind, format), get(kind, "bf16"));
            if own.as_ref().is_some_and(calibrated)
                || (own.is_some() && !wide.as_ref().is_some_and(calibrated))
            {
                return own;
            }
            let Known { format: from, tuned } = wide?;
            let interval = tuning.unseen(wanted(kind, format));
            let basis = Basis::Derived.max(tuned.basis);
            Some(Known { format: from, tuned: Tuned { basis, interval, ..tuned } })
        };
        let best = |kind, formats: &[&'static str]| {
            let known = formats.iter().filter_map(|format| get(kind, format));
            known.min_by_key(|known| known.tuned.basis)
        };
        let attention = |kind| [of(kind, "bf16"), of(kind, "bf16+kv-fp8")];
        let any = |kind| get(kind, Kind::ANY);
        let products = PRODUCTS.map(|format| of(Kind::Matmul, format));
        // Kernels that were timed one by one go before steps that other devices were timed in as a whole.
        let timed = products[0].as_ref().is_some_and(|k| k.tuned.basis == Basis::Calibrated);
        Self {
            products,
            grouped: PRODUCTS.map(|format| of(Kind::Grouped, format)),
            prefill: attention(Kind::Prefill),
            decode: attention(Kind::Decode),
            stream: best(Kind::Stream, &STREAMS),
            sum: best(Kind::AllReduce, &SUMS),
            exchanges: Exchange::NAMES.map(|op| get(Kind::Exchange, op)),
            host: any(Kind::Host).map(|known| known.tuned),
            whole: any(Kind::Whole)
                .filter(|whole| !timed || whole.tuned.basis == Basis::Calibrated),
            apart: any(Kind::Apart).map(|known| known.tuned),
            stack: stack.to_owned(),
            chip,
        }
    }

    /// The same with other parameters of a kind that has no formats; of any other kind the same.
    #[must_use]
    pub fn with(mut self, kind: Kind, fitted: &Fitted) -> Self {
        let Fitted { values, interval, .. } = fitted.clone();
        let (basis, origin) = (Basis::Calibrated, "a fit on its way".to_owned());
        let tuned = Tuned { values, interval, basis, origin };
        match kind {
            Kind::Host => self.host = Some(tuned),
            Kind::Apart => self.apart = Some(tuned),
            Kind::Whole => self.whole = Some(Known { format: Kind::ANY, tuned }),
            _ => {}
        }
        self
    }

    /// Of products, one or several at once.
    pub(super) fn product(&self, groups: f64, compute: Compute, weight: f64) -> Option<&Known> {
        let format = narrow(compute, weight);
        let grouped = self.grouped[format].as_ref().filter(|_| groups > 1.0);
        grouped.or(self.products[format].as_ref())
    }

    /// Of attention of one or few queries, or of many, over a cache of so many bytes an element.
    pub(super) fn attention(&self, few: bool, kv_element: f64) -> Option<&Known> {
        let all = if few { &self.decode } else { &self.prefill };
        all[usize::from(kv_element <= 1.5)].as_ref()
    }

    /// Of an exchange.
    pub(super) fn exchange(&self, carried: Carried) -> Option<&Known> {
        self.exchanges[carried as usize].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardware::{Fidelity, Machine, bundled, load};
    use crate::mapped::calibration;

    fn chip(id: &str) -> Option<Chip> {
        let hardware = load(id, &bundled::source).ok()?;
        Chip::new(&Machine::compile(&hardware, Fidelity::Realistic)).ok()
    }

    fn silicon(id: &str, stack: &str) -> Silicon {
        let tuning = Tuning::new(calibration::bundled::all().expect("check"), chip);
        let plain = chip(id).expect("maps");
        Silicon::new(id, stack, (plain.clone(), &plain), &tuning)
    }

    #[test]
    fn products_take_the_parameters_of_their_format_and_number() {
        let h100 = silicon("h100-sxm", "trtllm");
        let of = |groups, format, weight| {
            h100.product(groups, Compute::Exact(format), weight).expect("known")
        };
        let plain = of(1.0, Format::Bf16, 2.0);
        assert_eq!((plain.format, plain.tuned.basis), ("bf16", Basis::Calibrated));
        assert_ne!(of(8.0, Format::Bf16, 2.0).tuned.values, plain.tuned.values);
        assert_eq!(of(1.0, Format::Fp8E4m3, 1.0).format, "fp8");
        // Nobody measured fp32: the 16-bit kernel's, as derived, and less certain.
        let wide = of(1.0, Format::Fp32, 4.0);
        assert_eq!((wide.format, wide.tuned.basis), ("bf16", Basis::Derived));
        assert_eq!(wide.tuned.values, plain.tuned.values);
        let width = |known: &Known| known.tuned.interval.high / known.tuned.interval.low;
        assert!(width(wide) > width(plain));
    }

    #[test]
    fn what_a_stack_does_is_its_own() {
        assert!(silicon("h100-sxm", "trtllm").host.is_some());
        assert!(silicon("h100-sxm", "trtllm").apart.is_none());
        assert!(silicon("h100-sxm", "trtllm-0.6").apart.is_some());
        let kin = silicon("h200-sxm", "trtllm-0.6");
        assert_eq!(kin.apart.map(|t| t.basis), Some(Basis::Derived));
        assert!(silicon("rtx4090", "vllm").host.is_none());
        // Without a name it is what the hosts of the device's kin take; an H100's next to nothing a step.
        let host = |id, stack| silicon(id, stack).host.expect("known");
        let (kin, own) = (host("h200-sxm", ""), host("h100-sxm", "trtllm"));
        assert_eq!(kin.basis, Basis::Derived);
        assert!((kin.values[0] / own.values[0] - 1.0).abs() < 0.1, "{kin:?} {own:?}");
        assert!(own.values[1] < 1e-6 && kin.values[1] < 1e-4, "{kin:?} {own:?}");
        assert!(silicon("m3-max", "").whole.is_none());
        assert!(silicon("m2-max", "llamacpp").whole.is_some());
        assert!(silicon("m2-max", "vllm").whole.is_none());
        // A device that is edited takes the same, and says so.
        let tuning = Tuning::new(calibration::bundled::all().expect("check"), chip);
        let plain = chip("h100-sxm").expect("maps");
        let mut fast = plain.clone();
        fast.clock *= 2.0;
        let edited = Silicon::new("h100-sxm", "trtllm", (fast, &plain), &tuning);
        let values = |s: &Silicon| s.products[0].as_ref().expect("known").tuned.values.clone();
        assert_eq!(values(&edited), values(&silicon("h100-sxm", "trtllm")));
        let kin = chip("h200-sxm").expect("maps");
        let mut fast = kin.clone();
        fast.clock *= 2.0;
        let edited = Silicon::new("h200-sxm", "", (fast, &kin), &tuning);
        assert_eq!(values(&edited), values(&silicon("h200-sxm", "")));
        // An 8-bit cache was never measured on an A100.
        let cache = silicon("a100-sxm-80gb", "trtllm");
        let basis = |bytes| cache.attention(true, bytes).expect("known").tuned.basis;
        assert_eq!([basis(2.0), basis(1.0)], [Basis::Calibrated, Basis::Derived]);
        // The older stack has the kernels of the one that it is like.
        let [old, new] = ["trtllm-0.6", "trtllm"].map(|stack| silicon("h100-sxm", stack));
        assert_eq!(old.products, new.products);
    }
}
