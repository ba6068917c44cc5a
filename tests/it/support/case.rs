//! A random model under random techniques on a random device, and what can be asked of it.

use super::machines::{ALL, Factors, runs, scaled, step_time};
use super::random::{architectures, large};
use cosim::cost::{Estimator, Request, Summary};
use cosim::dtype::Scheme;
use cosim::hardware::{Fidelity, Hardware, Machine};
use cosim::mapping::Plan;
use cosim::model::{Architecture, AttentionKernel, BuildOptions, FusionSet, Position};
use cosim::tensor::{Mask, Step};
use proptest::prelude::*;

/// A model under techniques on a device.
#[derive(Debug, Clone)]
pub struct Case {
    pub model: Architecture,
    pub options: BuildOptions,
    pub scheme: Scheme,
    /// With its rates scaled at random.
    pub hardware: Hardware,
}

/// A factor per rate, each often 1.
pub fn factors(range: std::ops::Range<f64>) -> impl Strategy<Value = Factors> {
    let one = move || prop_oneof![1 => Just(1.0), 2 => range.clone()];
    let all = (one(), one(), one(), one(), one());
    all.prop_map(|(matrix, vector, special, dram, inner_levels)| Factors {
        matrix,
        vector,
        special,
        dram,
        inner_levels,
    })
}

fn every_scheme() -> impl Iterator<Item = Scheme> {
    let more = ["w4a16-g32-kv4", "w8a8-kv8", "w4a8-g128", "w8a16-g64-zp"];
    let names = Scheme::examples().iter().copied().chain(more);
    names.map(|name| name.parse().expect("a scheme"))
}

fn every_option() -> impl Strategy<Value = BuildOptions> {
    let attention = prop_oneof![Just(AttentionKernel::Flash), Just(AttentionKernel::Naive)];
    let fusions = prop_oneof![Just(FusionSet::Default), Just(FusionSet::None)];
    (attention, fusions).prop_map(|(attention, fusions)| BuildOptions {
        attention,
        fusions,
        ..BuildOptions::default()
    })
}

prop_compose! {
    pub fn any_case()(
        model in architectures(&large()),
        options in every_option(),
        device in 0..ALL.len(),
        k in factors(0.1..8.0),
        scheme in any::<prop::sample::Index>(),
    ) -> Case {
        let hardware = scaled(&ALL[device], k);
        let machine = Machine::compile(&hardware, Fidelity::Ideal);
        let schemes: Vec<Scheme> = every_scheme().filter(|s| runs(&machine, s)).collect();
        Case { model, options, scheme: scheme.get(&schemes).clone(), hardware }
    }
}

/// Any request.
pub fn requests() -> impl Strategy<Value = Request> {
    let (batch, tokens) = (|| 1..300u64, || 1..9000u64);
    prop_oneof![
        (batch(), tokens()).prop_map(|(batch, context)| Request::Prefill { batch, context }),
        (batch(), tokens()).prop_map(|(batch, context)| Request::Decode { batch, context }),
        (batch(), tokens(), 1..3000u64).prop_map(|(batch, prompt, output)| Request::Generation {
            batch,
            prompt,
            output
        }),
    ]
}

impl Case {
    fn plan(&self) -> Plan {
        Plan::new(&self.model.graph(&self.options).expect("a random model types"), &self.scheme)
    }

    /// With plan, machine and estimator.
    pub fn on<R>(
        &self,
        fidelity: Fidelity,
        f: impl FnOnce(&Plan, &Machine, &Estimator<'_>) -> R,
    ) -> R {
        let (plan, machine) = (self.plan(), Machine::compile(&self.hardware, fidelity));
        f(&plan, &machine, &Estimator::new(&plan, &machine).expect("the scheme runs"))
    }

    /// Of a request at ideal fidelity.
    pub fn summary(&self, request: &Request) -> Summary {
        self.on(Fidelity::Ideal, |_, _, e| e.summary(request).expect("valid"))
    }

    /// Seconds of a request at ideal fidelity.
    pub fn time(&self, request: &Request) -> f64 {
        self.summary(request).total.get()
    }

    /// Seconds of a step.
    pub fn step_time(&self, fidelity: Fidelity, step: &Step) -> f64 {
        self.on(fidelity, |plan, machine, e| step_time(plan, machine, e, step))
    }

    /// Bytes that move in one step.
    pub fn bytes(&self, step: &Step) -> f64 {
        self.on(Fidelity::Ideal, |plan, _, e| {
            plan.kernels.iter().map(|k| e.kernel(k, step).bytes * k.count as f64).sum()
        })
    }

    /// Matrix operations of a step, from the configuration.
    pub fn flops(&self, step: &Step) -> f64 {
        let (m, a) = (&self.model, &self.model.attention);
        let matrices = if m.ffn.gated { 3 } else { 2 };
        let (q, kv) = (a.heads * a.head_dim, a.kv_heads * a.head_dim);
        let networks = |layer| match m.experts_of(layer) {
            None => matrices * m.ffn.inner,
            Some(e) => matrices * (e.active * e.inner + e.shared.unwrap_or(0)) + e.count,
        };
        let relative = m.position == Position::TransformerXl;
        let (projections, products) = if relative { (3, 6.0) } else { (2, 4.0) };
        let layers = (0..m.layers).map(|l| m.hidden * (projections * q + 2 * kv + networks(l)));
        let pairs = (0..m.layers as usize).map(|layer| {
            let window = a.windows[layer % a.windows.len()];
            step.pairs(window.map_or(Mask::Causal, |window| Mask::Sliding { window }))
        });
        2.0 * step.tokens() * layers.sum::<u64>() as f64
            + products * q as f64 * pairs.sum::<f64>()
            + 2.0 * step.batch() * (m.hidden * m.vocabulary) as f64
    }

    /// Bytes of weights that every step reads: all but tables of which it reads single rows, and all
    /// but one token's experts.
    pub fn read_weights(&self, plan: &Plan) -> f64 {
        let weights = plan.footprint.weights;
        let table = match self.model.position {
            Position::Learned { positions, .. } => {
                let bits = self.scheme.plain.total_bits(positions, self.model.hidden);
                // A GGUF mix keeps positions in fp32.
                let elements = (positions * self.model.hidden) as f64;
                self.scheme.mix.map_or(bits, |_| 32.0 * elements) / 8.0
            }
            Position::Rope { .. }
            | Position::Alibi
            | Position::AlibiBf16
            | Position::TransformerXl
            | Position::Relative { .. } => 0.0,
        };
        let idle = self.model.experts.map_or(0.0, |e| {
            let matrices = if self.model.ffn.gated { 3 } else { 2 };
            let width = matrices * self.model.hidden.max(e.inner);
            let layers = self.model.layers - e.dense_layers;
            let elements = layers * (e.count - e.active) * e.inner * matrices * self.model.hidden;
            // No format takes more than its element and a scale of 4 bytes for each row.
            let bias = layers * (e.count - e.active) * width;
            let columns = 1.max(self.model.hidden.min(e.inner));
            let uniform = self.scheme.weights.bits_per_element(columns);
            let bits = self.scheme.mix.map_or(uniform, |_| 32.0);
            (elements as f64 * bits + 32.0 * bias as f64) / 8.0
        });
        (weights.total - weights.embedding_only).get() - table - idle
    }
}
