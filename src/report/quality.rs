//! Quality of quantization schemes beside their size and speed.

use super::axis::{Axis, Better, Prefixes};
use super::comparison::{ComparisonChart, ComparisonPoint};
use super::table::{Column, Table};
use serde_json::{Value, json};

/// One scheme.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityRow {
    /// Its name.
    pub scheme: String,
    /// Bytes of the weights.
    pub bytes: f64,
    /// Perplexity of the text.
    pub perplexity: f64,
    /// Mean KL divergence from the model as stored, nats a token.
    pub kl: f64,
    /// Share of tokens whose likeliest successor is the same.
    pub top1: f64,
    /// Signal to noise of the hidden state behind each layer, dB.
    pub sqnr: Vec<(u64, f64)>,
    /// Simulated decode, tokens per second, or why the device has none.
    pub tokens_per_s: Result<f64, String>,
    /// Against 16 bit.
    pub speed_up: Option<f64>,
}

impl QualityRow {
    /// The layer with the lowest signal to noise.
    fn worst(&self) -> Option<(u64, f64)> {
        self.sqnr.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Schemes on one model and text.
#[derive(Debug, Clone, PartialEq)]
pub struct QualityReport {
    /// Which model.
    pub title: String,
    /// Text and device.
    pub subtitle: String,
    /// The model as stored, then the schemes.
    pub rows: Vec<QualityRow>,
}

impl QualityReport {
    /// A row per scheme.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new(vec![
            Column::text("scheme"),
            Column::number("weights", "MiB"),
            Column::number("perplexity", ""),
            Column::number("KL", "nats"),
            Column::number("same top 1", "%"),
            Column::number("lowest SQNR", "dB"),
            Column::number("decode", "tok/s"),
            Column::number("speed-up", ""),
        ]);
        for row in &self.rows {
            let worst = row.worst();
            table.rows.push(vec![
                row.scheme.clone(),
                format!("{:.1}", row.bytes / f64::from(1 << 20)),
                format!("{:.3}", row.perplexity),
                format!("{:.5}", row.kl),
                format!("{:.1}", 100.0 * row.top1),
                worst.map_or(String::new(), |(layer, db)| format!("{db:.1} (layer {layer})")),
                row.tokens_per_s
                    .as_ref()
                    .map_or_else(|_| "no engine".to_owned(), |v| format!("{v:.0}")),
                row.speed_up.map_or(String::new(), |v| format!("{v:.2}")),
            ]);
        }
        table
    }

    /// The same with the signal to noise of every layer.
    pub fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|r| {
            let sqnr: Vec<Value> =
                r.sqnr.iter().map(|(layer, db)| json!({"layer": layer, "db": db})).collect();
            json!({
                "scheme": r.scheme, "weight_bytes": r.bytes, "perplexity": r.perplexity,
                "kl_nats": r.kl, "top1_agreement": r.top1, "sqnr": sqnr,
                "decode_tokens_per_s": r.tokens_per_s.as_ref().ok(),
                "not_simulated": r.tokens_per_s.as_ref().err(), "speed_up": r.speed_up,
            })
        });
        json!({"title": self.title, "subtitle": self.subtitle, "rows": rows.collect::<Vec<_>>()})
    }

    /// A row per scheme.
    ///
    /// # Errors
    /// None but those of the writer.
    pub fn to_csv(&self) -> Result<String, csv::Error> {
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record([
            "scheme",
            "weight_bytes",
            "perplexity",
            "kl_nats",
            "top1_agreement",
            "lowest_sqnr_db",
            "decode_tokens_per_s",
            "speed_up",
        ])?;
        for r in &self.rows {
            writer.write_record([
                r.scheme.clone(),
                r.bytes.to_string(),
                r.perplexity.to_string(),
                r.kl.to_string(),
                r.top1.to_string(),
                r.worst().map_or(String::new(), |(_, db)| db.to_string()),
                r.tokens_per_s.as_ref().map_or_else(|_| String::new(), f64::to_string),
                r.speed_up.map_or(String::new(), |v| v.to_string()),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Speed against perplexity, with the Pareto front.
    pub fn chart(&self) -> ComparisonChart {
        let point = |r: &QualityRow| {
            let y = *r.tokens_per_s.as_ref().ok().filter(|_| r.perplexity.is_finite())?;
            let detail = format!("KL {:.5} nats, {:.1} MiB", r.kl, r.bytes / f64::from(1 << 20));
            let (label, group) = (r.scheme.clone(), "scheme".to_owned());
            Some(ComparisonPoint { label, x: r.perplexity, y, group, detail })
        };
        let omitted = self.rows.iter().filter_map(|r| {
            let why = match &r.tokens_per_s {
                Err(why) => why.clone(),
                Ok(_) if !r.perplexity.is_finite() => "no perplexity".to_owned(),
                Ok(_) => return None,
            };
            Some((r.scheme.clone(), why))
        });
        ComparisonChart {
            title: self.title.clone(),
            subtitle: self.subtitle.clone(),
            x: Axis::new("Perplexity of a token", "", Prefixes::Plain, Better::Lower),
            y: Axis::new("Decode, simulated", "tok/s", Prefixes::Si, Better::Higher),
            points: self.rows.iter().filter_map(point).collect(),
            groups: vec![],
            chosen: Some(0),
            omitted: omitted.collect(),
            notes: vec![],
        }
    }
}
