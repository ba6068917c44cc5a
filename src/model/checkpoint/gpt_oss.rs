//! gpt-oss: Llama's names, with the experts of a layer in one tensor whose rows are inputs, and gate and
//! up in every other column; biases likewise.

use super::{Form, Layout, Part, Wanted, rms};

pub(super) const LAYOUT: Layout = Layout { prefixes: &["model."], ..Layout::new(find) };

fn find(w: &Wanted<'_>) -> Option<Vec<Part>> {
    let experts = w.arch.experts?;
    let stored = |name: &str| w.named(&format!("model.layers.{{}}.mlp.experts.{name}"));
    let every_other = |part: Part, first| part.runs(2, experts.inner, vec![(first, 1)]);
    let each = |of: &dyn Fn(u64) -> Part| Some((0..experts.count).map(of).collect());
    let gate_up =
        |first| each(&|e| every_other(stored("gate_up_proj").form(Form::TransposedSlab(e)), first));
    // `[experts, outputs]`: of each row every other number.
    let gate_up_bias =
        |first| each(&|e| every_other(stored("gate_up_proj_bias").form(Form::Slab(e)), first));
    match w.name {
        "experts.gate.weight" => gate_up(0),
        "experts.up.weight" => gate_up(1),
        "experts.gate.bias" => gate_up_bias(0),
        "experts.up.bias" => gate_up_bias(1),
        "experts.down.weight" => each(&|e| stored("down_proj").form(Form::TransposedSlab(e))),
        "experts.down.bias" => Some(vec![stored("down_proj_bias")]),
        "experts.router.weight" => Some(vec![w.named("model.layers.{}.mlp.router.weight")]),
        "experts.router.bias" => Some(vec![w.named("model.layers.{}.mlp.router.bias")]),
        "attn.sinks.weight" => Some(vec![w.named("model.layers.{}.self_attn.sinks")]),
        _ => rms::find(w),
    }
}
