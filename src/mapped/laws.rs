//! Laws that hold for every kernel on every chip.

use super::{
    AllReduce, Attended, Chip, Decode, Exchange, Grouped, Kind, Lever, Mapped, Matmul, Operand,
    Parameter, Prefill, Shape, Stream, Unit, Whole, gains,
};
use crate::hardware::{Fidelity, Machine, bundled, load};
use proptest::prelude::*;

fn chip(id: &str) -> Chip {
    let hardware = load(id, &bundled::source).expect("bundled");
    Chip::new(&Machine::compile(&hardware, Fidelity::Realistic)).expect("all figures")
}

const IDS: &[&str] =
    &["a100-sxm-80gb", "h100-sxm", "gb200", "rtx4090", "l40s", "mi300x", "a40", "b300-sxm"];

fn chips() -> impl Strategy<Value = Chip> {
    prop::sample::select(IDS).prop_map(chip)
}

/// A change of a chip by a factor.
type Edit = fn(&mut Chip, f64);

fn parameters(shape: &Shape) -> Vec<f64> {
    shape.kind().parameters().iter().map(|p| p.start).collect()
}

/// The best that any stack may reach: all of every rate, and no fixed time to speak of.
fn best(shape: &Shape) -> Vec<f64> {
    let best = |p: &Parameter| if p.unit == Unit::Time { p.range.0 } else { p.range.1 };
    shape.kind().parameters().iter().map(best).collect()
}

/// Seconds of matrix operations at the peak; all bytes.
fn demand(shape: &Shape) -> (f64, f64) {
    match shape {
        Shape::Matmul(k) => (k.flops() / k.peak, k.total_bytes()),
        Shape::Prefill(k) => (k.flops() / k.peak, k.over.bytes()),
        Shape::Decode(k) => (0.0, k.over.bytes()),
        Shape::Stream(k) => (0.0, k.bytes),
        Shape::Whole(k) => (k.flops / k.peak, k.bytes),
        Shape::Grouped(k) => {
            let flops = k.up.flops() / k.up.peak + k.down.flops() / k.down.peak;
            (flops, k.up.total_bytes() + k.down.total_bytes())
        }
        Shape::Unfused(k) => (k.attention.flops() / k.attention.peak, k.attention.over.bytes()),
        Shape::AllReduce(_) | Shape::Exchange(_) => (0.0, 0.0),
    }
}

fn matmuls() -> impl Strategy<Value = Shape> {
    let sizes = (1..9000u32, 1..20_000u32, 1..20_000u32);
    let sets = prop::sample::select(&[1e3, 2e7, 6e7, f64::INFINITY][..]);
    (sizes, sets, prop::sample::select(&[0.5, 1.0, 2.0][..])).prop_map(|((m, n, k), set, bytes)| {
        let [m, n, k] = [m, n, k].map(f64::from);
        let (a, b) = (Operand { bytes: 2.0, set }, Operand { bytes, set });
        Shape::Matmul(Matmul { groups: 1.0, m, n, k, a, b, out: 2.0, peak: 3e14 })
    })
}

fn attentions() -> impl Strategy<Value = Shape> {
    let sizes = (1..65u32, 1..4097u32, 0..8193u32);
    let heads = (0..4u32, 1..17u32, prop::sample::select(&[64u32, 128, 256][..]));
    (sizes, heads, any::<bool>()).prop_map(|((batch, queries, past), (group, kv, d), prompt)| {
        let [batch, queries, past, kv_heads, head_dim] =
            [batch, queries, past, kv, d].map(f64::from);
        let heads = kv_heads * f64::from(1 << group);
        let keys = past + if prompt { queries } else { 1.0 };
        let queries = if prompt { queries } else { 1.0 };
        let (element, kv_element, beside) = (2.0, 2.0, 0.0);
        let over = Attended {
            batch,
            queries,
            keys,
            heads,
            kv_heads,
            head_dim,
            element,
            kv_element,
            beside,
        };
        if prompt {
            return Shape::Prefill(Prefill {
                over,
                peak: 3e14,
                causal: true,
                share: 1.0,
                before: 0.0,
            });
        }
        Shape::Decode(Decode { over, apart: None })
    })
}

fn layers() -> impl Strategy<Value = Shape> {
    (1..65u32, 1..500u32, 1..9000u32, 1..9000u32).prop_map(|(groups, m, hidden, inner)| {
        let [groups, m, hidden, inner] = [groups, m, hidden, inner].map(f64::from);
        let a = Operand { bytes: 2.0, set: f64::INFINITY };
        let product = |n, k| Matmul { groups, m, n, k, a, b: a, out: 2.0, peak: 3e14 };
        let beside = 4.0 * groups * m * hidden;
        Shape::Grouped(Grouped { up: product(inner, hidden), down: product(hidden, inner), beside })
    })
}

fn shapes() -> impl Strategy<Value = Shape> {
    let streams = (1.0..1e9f64).prop_map(|bytes| Shape::Stream(Stream { bytes, set: bytes }));
    let steps = (1.0..1e13f64, 1.0..1e10f64)
        .prop_map(|(flops, bytes)| Shape::Whole(Whole { flops, peak: 3e14, bytes }));
    prop_oneof![matmuls(), attentions(), streams, layers(), steps]
}

/// Slower by more than rounding.
fn slower(a: &Mapped, b: &Mapped) -> bool {
    a.seconds > b.seconds * (1.0 + 1e-9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_faster_than_the_device(shape in shapes(), chip in chips()) {
        let mapped = shape.map(&chip, &best(&shape));
        let (operations, bytes) = demand(&shape);
        let missed = bytes * (1.0 - mapped.resident) / chip.dram;
        prop_assert!(mapped.seconds.is_finite());
        prop_assert!(mapped.seconds >= operations * (1.0 - 1e-9), "{mapped:?} {operations}");
        prop_assert!(mapped.seconds >= missed * (1.0 - 1e-6), "{mapped:?} {missed}");
        if chip.cache_known && matches!(shape, Shape::Matmul(_)) {
            prop_assert!(mapped.seconds >= bytes / chip.cache_bandwidth * (1.0 - 1e-9));
        }
    }

    #[test]
    fn more_of_anything_is_never_slower(shape in shapes(), chip in chips(), more in 1.0..4.0f64) {
        let p = parameters(&shape);
        let now = shape.map(&chip, &p);
        let edits: [(&str, Edit); 4] = [
            ("dram", |c, k| c.dram *= k),
            ("cache bandwidth", |c, k| c.cache_bandwidth *= k),
            ("cache", |c, k| c.cache *= k),
            ("shared", |c, k| c.shared *= k),
        ];
        for (what, edit) in edits {
            let mut better = chip.clone();
            edit(&mut better, more);
            prop_assert!(!slower(&shape.map(&better, &p), &now), "{what}");
        }
    }

    #[test]
    fn no_lever_makes_a_kernel_slower_but_units_at_the_same_peak(
        shape in shapes(), chip in chips(),
    ) {
        let found = gains(&shape, &chip, &parameters(&shape));
        prop_assert_eq!(found.len(), Lever::ALL.len());
        for (lever, gain) in found {
            prop_assert!(gain > 1.0 - 1e-9 || lever == Lever::Units, "{lever:?}: {gain}");
            // Twice as much of one thing is about twice as fast at most, where no other tile comes into reach.
            let most = if lever == Lever::Cache || lever == Lever::Launch { f64::INFINITY } else { 2.0 };
            prop_assert!(gain < most * 1.5, "{lever:?}: {gain}");
        }
    }
}

#[test]
fn exchanges_grow_with_bytes_and_never_beat_the_link() {
    let chip = chip("h100-sxm");
    let time = |devices, bytes| {
        let shape = Shape::Exchange(Exchange { devices, bytes, link: chip.link });
        shape.map(&chip, &parameters(&shape)).seconds
    };
    let sizes: Vec<f64> = (8..32).map(|i| f64::from(1u32 << i)).collect();
    for pair in sizes.windows(2) {
        assert!(time(8.0, pair[0]) < time(8.0, pair[1]) && time(2.0, pair[0]) < time(8.0, pair[0]));
    }
    assert!(time(8.0, 1e9) > 7.0 / 8.0 * 1e9 / chip.link);
    // A few words wait for no pieces to follow each other.
    let [launch, hop, fill] = [0, 1, 4].map(|i| Exchange::PARAMETERS[i].start);
    assert!(time(2.0, 256.0) < launch + hop + 0.05 * fill);
}

#[test]
fn query_heads_that_read_for_themselves_are_slower_where_heads_share_keys() {
    let chip = chip("h100-sxm");
    let p: Vec<f64> = Kind::Decode.parameters().iter().map(|p| p.start).collect();
    let time = |heads: f64, apart: Option<f64>| {
        let over = Attended {
            batch: 64.0,
            queries: 1.0,
            keys: 4096.0,
            heads,
            kv_heads: 8.0,
            head_dim: 128.0,
            element: 2.0,
            kv_element: 2.0,
            beside: f64::INFINITY,
        };
        Decode { over, apart }.map(&chip, &p).seconds
    };
    assert!(time(64.0, Some(2.5e10)) > 1.5 * time(64.0, None));
    assert!(time(8.0, Some(2.5e10)) < 1.01 * time(8.0, None));
    assert!(time(64.0, Some(5e10)) < time(64.0, Some(2.5e10)));
}

#[test]
fn sums_over_devices_grow_with_bytes_and_devices() {
    let chip = chip("h100-sxm");
    let p: Vec<f64> = Kind::AllReduce.parameters().iter().map(|p| p.start).collect();
    let link = chip.link;
    let time = |devices, bytes| AllReduce { devices, bytes, link }.map(&p).seconds;
    let sizes: Vec<f64> = (8..30).map(|i| f64::from(1 << i)).collect();
    for pair in sizes.windows(2) {
        assert!(time(8.0, pair[0]) <= time(8.0, pair[1]));
        assert!(time(2.0, pair[0]) < time(8.0, pair[0]));
    }
    assert!(time(2.0, 256.0) < 10e-6, "few bytes go at once");
    assert!(time(8.0, 1e9) > 2.0 * 7.0 / 8.0 * 1e9 / chip.link);
}

#[test]
fn what_an_architect_changes_moves_the_mapping_as_physics_says() {
    let chip = chip("h100-sxm");
    let p: Vec<f64> = Kind::Matmul.parameters().iter().map(|p| p.start).collect();
    let cold = |bytes| Operand { bytes, set: f64::INFINITY };
    let shape = |m, n, k| Matmul {
        groups: 1.0,
        m,
        n,
        k,
        a: cold(2.0),
        b: cold(2.0),
        out: 2.0,
        peak: 989.4e12,
    };
    let large = shape(4096.0, 4096.0, 4096.0);
    let now = large.map(&chip, &p);
    // Less power for long products: slower, though each unit is as fast.
    let tired: Vec<f64> = [&p[..1], &[0.4], &p[2..]].concat();
    assert!(large.map(&chip, &tired).seconds > 1.5 * now.seconds);
    // Half the on-chip memory: a smaller tile, and no faster.
    let small = Chip { shared: chip.shared / 8.0, ..chip.clone() };
    let then = large.map(&small, &p);
    assert!(then.tile.0 * then.tile.1 < now.tile.0 * now.tile.1, "{now:?} {then:?}");
    assert!(then.seconds > now.seconds);
    // Twice the units at the same peak: other waves.
    let many = Chip { units: 2.0 * chip.units, ..chip.clone() };
    assert_ne!(large.map(&many, &p).waves, now.waves);
    // A long sum over few tiles is split.
    assert!(shape(16.0, 512.0, 16_384.0).map(&chip, &p).split > 1.0);
    assert_eq!(now.split, 1.0);
    // A cache that holds the weights feeds them faster than DRAM.
    let warm = Matmul {
        a: Operand { bytes: 2.0, set: 4e7 },
        b: Operand { bytes: 2.0, set: 4e7 },
        ..shape(1.0, 4096.0, 4096.0)
    };
    let halved = Chip { cache: chip.cache / 2.0, ..chip.clone() };
    assert_eq!((warm.map(&chip, &p).resident, warm.map(&halved, &p).resident), (1.0, 0.0));
    assert!(warm.map(&halved, &p).seconds > warm.map(&chip, &p).seconds);
}
