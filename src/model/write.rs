//! An [`Architecture`] as the YAML that reads back equal.

use super::{
    Architecture, Attention, Block, Experts, Groups, Latent, NormKind, Position, RopeScaling,
};
use crate::model::QkNorm;
use std::fmt::Write;

impl Architecture {
    /// The model file: every field that is not its default, in the order of the bundled files.
    pub fn to_yaml(&self) -> String {
        let mut text =
            String::from("# yaml-language-server: $schema=../../docs/schema/model.json\n");
        for (key, value) in [("id", &self.id), ("name", &self.name), ("source", &self.source)] {
            line(&mut text, 0, key, quoted(value));
        }
        for (key, value) in [
            ("vocabulary", self.vocabulary),
            ("hidden", self.hidden),
            ("layers", self.layers),
            ("max_context", self.max_context),
        ] {
            line(&mut text, 0, key, value);
        }
        attention(&mut text, &self.attention);
        position(&mut text, &self.position);
        self.ffn_and_norm(&mut text);
        self.block_and_ends(&mut text);
        text
    }

    fn ffn_and_norm(&self, text: &mut String) {
        text.push_str("ffn:\n");
        line(text, 2, "inner", self.ffn.inner);
        line(text, 2, "activation", self.ffn.activation.name());
        line(text, 2, "gated", self.ffn.gated);
        flag(text, "bias", self.ffn.bias);
        if let Some(experts) = &self.experts {
            write_experts(text, experts);
        }
        text.push_str("norm:\n");
        line(text, 2, "kind", self.norm.kind.name());
        line(text, 2, "epsilon", number(self.norm.epsilon));
        flag(text, "unit_offset", self.norm.unit_offset);
        if self.norm.kind == NormKind::Layer {
            line(text, 2, "bias", self.norm.bias);
        }
        if !self.norm.pre {
            line(text, 2, "pre", false);
        }
        flag(text, "post", self.norm.post);
    }

    fn block_and_ends(&self, text: &mut String) {
        match self.block {
            Block::Sequential => line(text, 0, "block", "sequential"),
            Block::Parallel { norms } => {
                line(text, 0, "block", format!("{{ parallel: {{ norms: {norms} }} }}"));
            }
        }
        text.push_str("head:\n");
        line(text, 2, "tied", self.head.tied);
        flag(text, "bias", self.head.bias);
        real(text, "scale", self.head.scale);
        real(text, "softcap", self.head.softcap);
        if self.embedding.scale.is_some() || self.embedding.norm {
            text.push_str("embedding:\n");
        }
        if let Some(scale) = self.embedding.scale {
            let by_formula = scale == (self.hidden as f64).sqrt();
            let shown = if by_formula { "sqrt-hidden".to_owned() } else { number(scale) };
            line(text, 2, "scale", shown);
        }
        flag(text, "norm", self.embedding.norm);
        if let Some(encoder) = &self.encoder {
            super::encoder::write(text, encoder);
        }
    }
}

fn attention(text: &mut String, attention: &Attention) {
    text.push_str("attention:\n");
    line(text, 2, "heads", attention.heads);
    line(text, 2, "kv_heads", attention.kv_heads);
    line(text, 2, "head_dim", attention.head_dim);
    flag(text, "qkv_bias", attention.qkv_bias);
    if !attention.k_bias {
        line(text, 2, "k_bias", false);
    }
    flag(text, "out_bias", attention.out_bias);
    match attention.qk_norm {
        QkNorm::None => {}
        QkNorm::Head => line(text, 2, "qk_norm", true),
        QkNorm::OwnHead => line(text, 2, "qk_norm", "own-head"),
        QkNorm::Row => line(text, 2, "qk_norm", "row"),
    }
    if attention.scale != 1.0 / (attention.head_dim as f64).sqrt() {
        real(text, "scale", Some(attention.scale));
    }
    real(text, "softcap", attention.softcap);
    flag(text, "sinks", attention.sinks);
    if let Some(Latent { query, key_value, value, .. }) = attention.latent {
        let query = query.map_or(String::new(), |q| format!("query: {q}, "));
        let shown = format!("{{ {query}key_value: {key_value}, value: {value} }}");
        line(text, 2, "latent", shown);
    }
    if attention.windows != [None] {
        let shown: Vec<String> = attention
            .windows
            .iter()
            .map(|w| w.map_or("full".to_owned(), |tokens| tokens.to_string()))
            .collect();
        line(text, 2, "windows", format!("[{}]", shown.join(", ")));
    }
}

fn write_experts(text: &mut String, experts: &Experts) {
    text.push_str("experts:\n");
    line(text, 2, "count", experts.count);
    line(text, 2, "active", experts.active);
    line(text, 2, "inner", experts.inner);
    if let Some(shared) = experts.shared {
        line(text, 2, "shared", shared);
    }
    line(text, 2, "scoring", experts.scoring.name());
    line(text, 2, "normalise", experts.normalise);
    if let Some(Groups { count, active, best }) = experts.groups {
        let shown = format!("{{ count: {count}, active: {active}, best: {best} }}");
        line(text, 2, "groups", shown);
    }
    if experts.scaling != 1.0 {
        real(text, "scaling", Some(experts.scaling));
    }
    flag(text, "correction", experts.correction);
    flag(text, "router_bias", experts.router_bias);
    real(text, "limit", experts.limit);
    if experts.dense_layers > 0 {
        line(text, 2, "dense_layers", experts.dense_layers);
    }
}

fn position(text: &mut String, position: &Position) {
    text.push_str("position:");
    match position {
        Position::Alibi => text.push_str(" alibi\n"),
        Position::AlibiBf16 => text.push_str(" alibi-bf16\n"),
        Position::TransformerXl => text.push_str(" transformer-xl\n"),
        Position::Relative { buckets, max_distance } => {
            text.push_str("\n  relative:\n");
            line(text, 4, "buckets", buckets);
            line(text, 4, "max_distance", max_distance);
        }
        Position::Rope { theta, rotary_dim, pairing, scaling, local_theta } => {
            text.push_str("\n  rope:\n");
            line(text, 4, "theta", number(*theta));
            line(text, 4, "rotary_dim", rotary_dim);
            line(text, 4, "pairing", pairing.name());
            if let Some(scaling) = scaling {
                line(text, 4, "scaling", scaling_fields(scaling));
            }
            if let Some(theta) = local_theta {
                line(text, 4, "local_theta", number(*theta));
            }
        }
        Position::Learned { positions, offset } => {
            text.push_str("\n  learned:\n");
            line(text, 4, "positions", positions);
            line(text, 4, "offset", offset);
        }
    }
}

fn scaling_fields(scaling: &RopeScaling) -> String {
    let table = |values: &[f64]| {
        let shown: Vec<String> = values.iter().copied().map(number).collect();
        format!("[{}]", shown.join(", "))
    };
    let (kind, fields) = match *scaling {
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => (
            "llama3",
            vec![
                ("factor", number(factor)),
                ("low_freq_factor", number(low_freq_factor)),
                ("high_freq_factor", number(high_freq_factor)),
                ("original_context", original_context.to_string()),
            ],
        ),
        RopeScaling::Linear { factor } => ("linear", vec![("factor", number(factor))]),
        RopeScaling::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            attention_factor,
            truncate,
        } => {
            let mut fields = vec![
                ("factor", number(factor)),
                ("original_context", original_context.to_string()),
                ("beta_fast", number(beta_fast)),
                ("beta_slow", number(beta_slow)),
                ("attention_factor", number(attention_factor)),
            ];
            if !truncate {
                fields.push(("truncate", truncate.to_string()));
            }
            ("yarn", fields)
        }
        RopeScaling::Table { ref divisors } => ("table", vec![("divisors", table(divisors))]),
        RopeScaling::LongRope { ref short, ref long, original_context, attention_factor } => (
            "longrope",
            vec![
                ("short", table(short)),
                ("long", table(long)),
                ("original_context", original_context.to_string()),
                ("attention_factor", number(attention_factor)),
            ],
        ),
    };
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{ {kind}: {{ {} }} }}", fields.join(", "))
}

fn line(text: &mut String, indent: usize, key: &str, value: impl std::fmt::Display) {
    writeln!(text, "{:indent$}{key}: {value}", "").expect("invariant: a String takes all writes");
}

/// A switch, where it is on.
fn flag(text: &mut String, key: &str, on: bool) {
    if on {
        line(text, 2, key, on);
    }
}

fn real(text: &mut String, key: &str, value: Option<f64>) {
    if let Some(value) = value {
        line(text, 2, key, number(value));
    }
}

/// The shortest digits that read back equal; exponents where plain digits would be long.
fn number(value: f64) -> String {
    let plain = value.fract() == 0.0 && value.abs() < 1e15;
    if plain { format!("{value}") } else { format!("{value:?}") }
}

/// Double-quoted: JSON's escapes are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
