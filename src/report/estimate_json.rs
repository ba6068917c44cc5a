//! An estimate as JSON: SI units, stable names, null where a value has no meaning.

use super::mapping::{MappingJson, mapping_json};
use crate::cost::speculative::{Optimum, Speculation};
use crate::cost::{
    ApiCost, Bound, CostReport, Economics, Memory, PhaseCost, Provenance, Remedy, Request,
};
use crate::graph::shard::Parallel;
use crate::model::BuildOptions;
use crate::tensor::Placement;
use crate::units::{Bytes, Seconds};
use serde::Serialize;
use std::collections::BTreeMap;

/// What stands beside the costs in the JSON.
#[derive(Debug, Clone)]
pub struct EstimateContext<'a> {
    /// Model id.
    pub model: &'a str,
    /// Profile id.
    pub hardware: &'a str,
    /// Scheme name.
    pub quant: &'a str,
    /// How many key-value heads serve the query heads.
    pub heads: String,
    /// Pattern of windows over layers.
    pub window: String,
    /// Attention kernel, fusions and routing.
    pub options: BuildOptions,
    /// A sequence at an API's price, where one is given.
    pub api: Option<ApiCost>,
    /// Names of the memory levels, innermost first.
    pub levels: Vec<&'a str>,
    /// The level that bounds memory time.
    pub slowest_level: &'a str,
    /// Energy and money.
    pub economics: Economics,
    /// How well the inputs are known.
    pub provenance: Provenance,
    /// Roofs without a figure.
    pub not_modelled: &'a [String],
    /// Named fallbacks in use, those of links where exchanges go over them.
    pub fallbacks: Vec<String>,
    /// How the KV cache lies in memory, and what lies in host memory.
    pub placement: Placement,
    /// How devices share the work.
    pub parallel: Parallel,
    /// What a device of each stage needs.
    pub stages: Vec<Memory>,
    /// KV slots held for a sequence in a layer without a window.
    pub kv_slots: Option<u64>,
    /// What would make it fit.
    pub remedy: Option<Remedy>,
    /// What a person should know about the request itself.
    pub warnings: Vec<String>,
    /// What an encoder keeps for cross-attention; `None` without one.
    pub cross_kv: Option<Bytes>,
    /// What speculative decoding does, and the fastest gamma.
    pub speculation: Option<(Speculation, Optimum)>,
    /// How times are found: `ideal`, `mapped` or `roofline`.
    pub fidelity: &'static str,
    /// Whether times are given.
    pub shows_times: bool,
}

#[derive(Debug, Serialize)]
struct EstimateJson<'a> {
    model: &'a str,
    hardware: &'a str,
    quant: &'a str,
    heads: &'a str,
    window: &'a str,
    fidelity: &'static str,
    attention: &'static str,
    fusion: &'static str,
    routing: String,
    kv_layout: String,
    offload: String,
    parallel: ParallelJson,
    phase: &'static str,
    batch: u64,
    prompt: Option<u64>,
    output: Option<u64>,
    context: Option<u64>,
    ttft_s: Option<f64>,
    tpot_s: Option<f64>,
    #[serde(flatten)]
    ranges: Option<RangesJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encode_s: Option<f64>,
    prefill_s: Option<f64>,
    decode_tok_s: Option<f64>,
    throughput_tok_s: Option<f64>,
    prefill_bound: Option<&'a str>,
    decode_bound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speculative: Option<SpeculativeJson>,
    memory: MemoryJson,
    remedy: Option<Remedy>,
    energy_j_per_token: Option<f64>,
    usd_per_mtok: Option<f64>,
    usd_per_mtok_input: Option<f64>,
    usd_per_mtok_output: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<ApiJson>,
    basis: &'static str,
    basis_inputs: Vec<String>,
    not_modelled: &'a [String],
    fallbacks: &'a [String],
    warnings: &'a [String],
    operators: Vec<OperatorJson<'a>>,
}

/// What 80 % of measurements lie between, where kernels are mapped.
#[derive(Debug, Serialize)]
struct RangesJson {
    ttft_s_low: Option<f64>,
    ttft_s_high: Option<f64>,
    tpot_s_low: Option<f64>,
    tpot_s_high: Option<f64>,
}

/// One sequence of the request at the API and on the device.
#[derive(Debug, Serialize)]
struct ApiJson {
    usd_per_request: f64,
    own_usd_per_request: Option<f64>,
    api_per_own_cost: Option<f64>,
}

/// Speculative decoding; the operators are those of plain decoding.
#[derive(Debug, Serialize)]
struct SpeculativeJson {
    gamma: u64,
    tokens_per_loop: f64,
    draft_s: f64,
    verify_s: f64,
    plain_tpot_s: f64,
    speed_up: f64,
    break_even_acceptance: Option<f64>,
    optimal_gamma: u64,
    optimal_speed_up: f64,
    draft_prefill_s: f64,
    draft_weights_bytes: f64,
    draft_kv_bytes: f64,
}

fn speculative((found, best): (Speculation, Optimum)) -> SpeculativeJson {
    SpeculativeJson {
        gamma: found.cycle.gamma,
        tokens_per_loop: found.tokens,
        draft_s: found.cycle.draft.get(),
        verify_s: found.cycle.verify.get(),
        plain_tpot_s: found.cycle.plain.get(),
        speed_up: found.speed_up,
        break_even_acceptance: found.break_even,
        optimal_gamma: best.gamma,
        optimal_speed_up: best.speed_up,
        draft_prefill_s: found.draft_prefill.get(),
        draft_weights_bytes: found.draft_weights.get(),
        draft_kv_bytes: found.draft_kv.get(),
    }
}

/// Degrees of parallelism, and the memory of a device of each stage.
#[derive(Debug, Serialize)]
struct ParallelJson {
    devices: u64,
    tp: u64,
    cp: u64,
    pp: u64,
    ep: u64,
    dp: u64,
    sp: bool,
    micro_batches: u64,
    stages: Vec<StageJson>,
}

#[derive(Debug, Serialize)]
struct StageJson {
    weights_bytes: f64,
    kv_bytes: f64,
    activation_bytes: f64,
    total_bytes: f64,
}

fn parallel(report: &CostReport, context: &EstimateContext<'_>) -> ParallelJson {
    let degrees = context.parallel;
    let stage = |memory: &Memory| StageJson {
        weights_bytes: memory.weights.get(),
        kv_bytes: memory.kv.get(),
        activation_bytes: memory.activations.get(),
        total_bytes: memory.total().get(),
    };
    ParallelJson {
        devices: degrees.devices(),
        tp: degrees.tensor,
        cp: degrees.context,
        pp: degrees.pipeline,
        ep: degrees.expert,
        dp: degrees.data,
        sp: degrees.sequence,
        micro_batches: degrees.micro_batches(report.request.batch()),
        stages: context.stages.iter().map(stage).collect(),
    }
}

#[derive(Debug, Serialize)]
struct MemoryJson {
    weights_bytes: f64,
    kv_bytes: f64,
    kv_unused_bytes: f64,
    kv_slots_per_sequence: Option<u64>,
    /// Of the cache, what all sequences share.
    kv_common_bytes: f64,
    offloaded_bytes: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cross_kv_bytes: Option<f64>,
    activation_bytes: f64,
    total_bytes: f64,
    capacity_bytes: f64,
    fits: bool,
    /// The capacity that the device may have where it is known as a marketing figure only and the
    /// request lies between.
    uncertain_up_to_bytes: Option<f64>,
    max_batch: u64,
}

#[derive(Debug, Serialize)]
struct OperatorJson<'a> {
    phase: &'static str,
    name: &'a str,
    count: u64,
    flops: f64,
    matrix_flops: f64,
    vector_flops: f64,
    special_ops: f64,
    conversion_ops: f64,
    bytes: BTreeMap<&'a str, f64>,
    link_bytes: f64,
    host_bytes: f64,
    intensity: Option<f64>,
    time_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s_low: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_s_high: Option<f64>,
    share: Option<f64>,
    bound: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mapping: Vec<MappingJson>,
}

/// The JSON text of an estimate.
///
/// # Errors
/// None in practice; serde's are passed on.
pub fn estimate_json(
    report: &CostReport,
    context: &EstimateContext<'_>,
) -> serde_json::Result<String> {
    let shown = |value: Option<f64>| value.filter(|v| context.shows_times && v.is_finite());
    let bound = |bound: Option<Bound>| {
        bound.filter(|_| context.shows_times).map(|b| b.name(context.slowest_level))
    };
    let summary = &report.summary;
    let request = report.request;
    let (phase, prompt, output, length) = match request {
        Request::Generation { prompt, output, .. } => {
            ("generation", Some(prompt), Some(output), None)
        }
        Request::Prefill { context, .. } => ("prefill", None, None, Some(context)),
        Request::Decode { context, .. } => ("decode", None, None, Some(context)),
    };
    let batch = request.batch() as f64;
    let prefill = summary.prefill.map(|t| t.get());
    let encode = summary.encode.map(|t| t.get());
    let step = summary.decode_step.map(|t| t.get());
    let throughput = match (output, step) {
        (Some(output), _) => Some(batch * output as f64 / summary.total.get()),
        (None, step) => step.map(|t| batch / t),
    };
    let economics = &context.economics;
    let json = EstimateJson {
        model: context.model,
        hardware: context.hardware,
        quant: context.quant,
        heads: &context.heads,
        window: &context.window,
        fidelity: context.fidelity,
        attention: context.options.attention.name(),
        fusion: context.options.fusions.name(),
        routing: context.options.routing.to_string(),
        kv_layout: context.placement.layout.to_string(),
        offload: context.placement.offload.to_string(),
        parallel: parallel(report, context),
        phase,
        batch: request.batch(),
        prompt,
        output,
        context: length,
        ttft_s: shown(prefill),
        tpot_s: shown(step),
        ranges: summary.ranges.map(|ranges| {
            let edge = |range: Option<[Seconds; 2]>, i: usize| shown(range.map(|r| r[i].get()));
            RangesJson {
                ttft_s_low: edge(ranges.prefill, 0),
                ttft_s_high: edge(ranges.prefill, 1),
                tpot_s_low: edge(ranges.decode_step, 0),
                tpot_s_high: edge(ranges.decode_step, 1),
            }
        }),
        encode_s: shown(encode),
        prefill_s: shown(prefill.map(|t| t - encode.unwrap_or(0.0))),
        decode_tok_s: shown(step.map(|t| batch / t)),
        throughput_tok_s: shown(throughput),
        prefill_bound: bound(summary.prefill_bound),
        decode_bound: bound(summary.decode_bound),
        speculative: context.speculation.filter(|_| context.shows_times).map(speculative),
        memory: memory(report, context),
        remedy: context.remedy.clone(),
        energy_j_per_token: shown(economics.energy_per_token.map(|v| v.get())),
        usd_per_mtok: shown(economics.per_million.map(|v| v.get())),
        usd_per_mtok_input: shown(economics.per_million_input.map(|v| v.get())),
        usd_per_mtok_output: shown(economics.per_million_output.map(|v| v.get())),
        api: context.api.filter(|_| context.shows_times).map(api),
        basis: context.provenance.basis.name(),
        basis_inputs: context.provenance.because.clone(),
        not_modelled: context.not_modelled,
        fallbacks: &context.fallbacks,
        warnings: &context.warnings,
        operators: report
            .phases
            .iter()
            .flat_map(|p| operators(p, context, summary.ranges.is_some()))
            .collect(),
    };
    serde_json::to_string_pretty(&json).map(|text| text + "\n")
}

fn api(cost: ApiCost) -> ApiJson {
    ApiJson {
        usd_per_request: cost.there.get(),
        own_usd_per_request: cost.here.map(|here| here.get()),
        api_per_own_cost: cost.here.map(|here| cost.there / here),
    }
}

fn memory(report: &CostReport, context: &EstimateContext<'_>) -> MemoryJson {
    let memory = &report.summary.memory;
    MemoryJson {
        weights_bytes: memory.weights.get(),
        kv_bytes: memory.kv.get(),
        kv_unused_bytes: memory.kv_unused.get(),
        kv_slots_per_sequence: context.kv_slots,
        kv_common_bytes: memory.kv_common.get(),
        offloaded_bytes: memory.offloaded.get(),
        cross_kv_bytes: context.cross_kv.map(|b| b.get()),
        activation_bytes: memory.activations.get(),
        total_bytes: memory.total().get(),
        capacity_bytes: report.capacity.capacity.get(),
        fits: report.capacity.fits,
        uncertain_up_to_bytes: report.capacity.uncertain_up_to.map(|b| b.get()),
        max_batch: report.capacity.max_batch,
    }
}

fn operators<'a>(
    phase: &'a PhaseCost,
    context: &'a EstimateContext<'_>,
    mapped: bool,
) -> impl Iterator<Item = OperatorJson<'a>> {
    let shown = context.shows_times;
    phase.operators.iter().map(move |o| OperatorJson {
        phase: phase.phase.name(),
        name: &o.name,
        count: o.count,
        flops: o.flops().get(),
        matrix_flops: o.operations[0].get(),
        vector_flops: o.operations[1].get(),
        special_ops: o.operations[2].get(),
        conversion_ops: o.conversions.get(),
        bytes: context.levels.iter().map(|level| (*level, o.bytes.get())).collect(),
        link_bytes: o.exchanged.get(),
        host_bytes: o.hosted.get(),
        intensity: o.intensity().map(|i| i.get()),
        time_s: shown.then_some(o.time.get()),
        time_s_low: (shown && mapped).then_some(o.range[0].get()),
        time_s_high: (shown && mapped).then_some(o.range[1].get()),
        share: shown.then_some(o.share),
        bound: shown.then(|| o.bound_name(context.slowest_level)),
        mapping: if shown { mapping_json(&o.mapping) } else { vec![] },
    })
}
