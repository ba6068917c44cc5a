//! One kernel's cost with the numbers put in.

use super::mapping::mapping_lines;
use crate::cost::{Bound, Estimator, KernelCost, Resource};
use crate::hardware::Machine;
use crate::mapping::{Plan, PlanNode};
use crate::op::{Pattern, Work};
use crate::tensor::{Phase, Step};
use crate::units::{Bytes, Flops, Seconds};
use std::fmt::Write;

/// The operators of kernel `kernel` with their formulas, their work in `step`, and how its time
/// follows.
pub fn formula(
    plan: &Plan,
    machine: &Machine,
    estimator: &Estimator<'_>,
    phase: Phase,
    kernel: usize,
    step: &Step,
) -> String {
    let planned = &plan.kernels[kernel];
    let cost = estimator.kernel(planned, step);
    let groups: Vec<String> = step
        .groups()
        .iter()
        .map(|g| {
            let source = match (phase, g.source) {
                (Phase::Encode, _) | (_, 0) => String::new(),
                (_, source) => format!(", {source} source positions"),
            };
            let (sequences, tokens) = (counted(g.count, "sequence"), counted(g.new, "new token"));
            format!("{sequences} x {tokens} behind {} cached{source}", g.past)
        })
        .collect();
    let mut text = format!(
        "\n{} / {}, one of {}; {}\n",
        phase.name(),
        planned.name,
        launches(planned.count),
        groups.join(" + ")
    );
    for node in &plan.nodes[planned.nodes.clone()] {
        node_lines(&mut text, node, step);
    }
    for engine in estimator.engines_of(planned, step) {
        let (format, rate) = (engine.format, engine.rate);
        let (class, share) = (engine.class.name(), rate.efficiency.get());
        let effective = rate.effective();
        let _ =
            writeln!(text, "  {format} {class} rate = {} x {share:.3} = {effective}", rate.peak);
    }
    time_lines(&mut text, machine, estimator, &cost);
    let mapping = estimator.mapping(planned, step);
    text += &mapping_lines(&mapping);
    let launch = machine.kernel_launch.value;
    if mapping.is_empty() {
        let _ = writeln!(text, "  launch : {launch}");
    }
    let time = estimator.launch_time(planned, step).get();
    let total = Seconds::new(time * planned.count as f64);
    let _ =
        writeln!(text, "  time   = {} x {} = {total}", Seconds::new(time), launches(planned.count));
    text
}

/// `1 token`, `2 tokens`.
fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn launches(count: u64) -> String {
    format!("{count} {}", if count == 1 { "launch" } else { "launches" })
}

fn node_lines(text: &mut String, node: &PlanNode, step: &Step) {
    let work = node.op.work(step);
    let _ = writeln!(text, "  {}: {}", node.name, node.op.formula());
    let _ = writeln!(text, "    {}", pattern(&node.op.pattern(step)));
    let _ = writeln!(
        text,
        "    operations: {} matrix + {} vector + {} special{}",
        work.matrix,
        work.vector,
        work.special,
        conversions(node, &work),
    );
    let mut terms: Vec<String> = work
        .reads
        .iter()
        .zip(&node.read_bytes)
        .filter(|(elements, bytes)| **elements * **bytes > 0.0)
        .map(|(elements, bytes)| format!("{elements} x {bytes} B read"))
        .collect();
    if work.writes * node.write_bytes > 0.0 {
        terms.push(format!("{} x {} B written", work.writes, node.write_bytes));
    }
    let terms = if terms.is_empty() { "all on chip".to_owned() } else { terms.join(" + ") };
    let _ = writeln!(text, "    bytes: {terms} = {}", Bytes::new(node.bytes(&work)));
}

fn conversions(node: &PlanNode, work: &Work) -> String {
    match node.conversion_ops(work) {
        0.0 => String::new(),
        ops => format!(" + {ops} vector for format conversion"),
    }
}

fn pattern(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Contraction { b, m, n, k } => format!("contraction: b {b}, m {m}, n {n}, k {k}"),
        // A softmax has no elements of a head.
        Pattern::Attention { heads, head_dim: 0.0, pairs, .. } => {
            format!("attention: {heads} heads, {pairs} visible pairs")
        }
        Pattern::Attention { heads, kv_heads, head_dim, pairs } => format!(
            "attention: {heads} heads, {kv_heads} KV heads, head dim {head_dim}, {pairs} visible pairs"
        ),
        Pattern::Stream => "stream: every element once".to_owned(),
        Pattern::Collective { exchange, ranks, elements, .. } => {
            format!("{} of {elements} elements over {ranks} ranks", exchange.name())
        }
        Pattern::Gather => "gather: rows by index".to_owned(),
    }
}

fn time_lines(text: &mut String, machine: &Machine, estimator: &Estimator<'_>, cost: &KernelCost) {
    let level = &machine.levels[estimator.slowest_index()];
    let bandwidth = match (level.bandwidth, level.effective()) {
        (Some(peak), Some(effective)) => {
            format!("{peak} x {:.3} = {effective}", level.efficiency.get())
        }
        _ => "no figure".to_owned(),
    };
    let _ = writeln!(text, "  {} bandwidth = {bandwidth}", level.name);
    let amounts = [
        (Resource::Matrix, Flops::new(cost.operations[0]).to_string()),
        (Resource::Vector, Flops::new(cost.operations[1] + cost.conversions).to_string()),
        (Resource::Special, format!("{} special operations", cost.operations[2])),
        (Resource::Memory, Bytes::new(cost.bytes).to_string()),
        (Resource::Link, Bytes::new(cost.exchanged).to_string()),
        (Resource::Host, Bytes::new(cost.hosted).to_string()),
    ];
    let unused = |resource| match resource {
        Resource::Link => cost.exchanged == 0.0,
        Resource::Host => cost.hosted == 0.0,
        _ => false,
    };
    for (resource, amount) in amounts {
        if unused(resource) {
            continue;
        }
        let time = match cost.times[resource as usize] {
            0.0 if !amount.starts_with("0 ") => "not modelled: no rate".to_owned(),
            time => Seconds::new(time).to_string(),
        };
        let name = Bound::Resource(resource).name(&level.name);
        let _ = writeln!(text, "  {name:7}: {amount} -> {time}");
    }
}
