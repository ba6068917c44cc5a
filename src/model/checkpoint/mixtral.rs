//! Mixtral: Llama's names but for the experts.

use super::{Layout, Part, Wanted, rms};

pub(super) const LAYOUT: Layout = Layout { prefixes: &["model."], ..Layout::new(find) };

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let experts = |name: &str| {
        let count = w.arch.experts.map_or(0, |e| e.count);
        let layer = w.layer;
        let of = |e| format!("model.layers.{layer}.block_sparse_moe.experts.{e}.{name}.weight");
        Some((0..count).map(|e| Part::new(of(e))).collect())
    };
    match w.name {
        "experts.router.weight" => {
            Some(vec![w.named("model.layers.{}.block_sparse_moe.gate.weight")])
        }
        "experts.gate.weight" => experts("w1"),
        "experts.up.weight" => experts("w3"),
        "experts.down.weight" => experts("w2"),
        _ => rms::find(w),
    }
}
