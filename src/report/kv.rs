//! KV capacity and waste of a server under several layouts: chart, table, JSON.

use super::memory::{MemoryChart, MemoryStack};
use super::table::{Column, Table};
use crate::serving::{Outcome, Usage};
use crate::tensor::{KvLayout, Reserve};
use crate::units::Bytes;

/// The KV memory of a device and what becomes of it.
#[derive(Debug, Clone)]
pub struct KvReport {
    /// Model, scheme and device.
    pub title: String,
    /// Lengths of the requests.
    pub subtitle: String,
    /// Memory left beside the weights.
    pub pool: Bytes,
    /// Of one token in all layers of the device.
    pub per_token: Bytes,
    /// Token slots of the pool.
    pub slots: u64,
    /// One entry per layout.
    pub rows: Vec<KvRow>,
    /// Footnotes.
    pub notes: Vec<String>,
}

/// A layout.
#[derive(Debug, Clone)]
pub struct KvRow {
    /// Which.
    pub layout: KvLayout,
    /// Slots held for a sequence of mean lengths at its end.
    pub per_sequence: u64,
    /// The simulated server, or why it cannot serve.
    pub outcome: Result<Outcome, String>,
}

impl KvRow {
    /// Name of the layout, with its reservation.
    pub fn name(&self) -> String {
        match self.layout {
            KvLayout::Contiguous { reserve: Reserve::Oracle, .. } => "contiguous oracle".to_owned(),
            other => other.to_string(),
        }
    }
}

impl KvReport {
    /// Sequences of mean lengths that the pool holds.
    pub const fn sequences(&self, row: &KvRow) -> u64 {
        match row.layout.block() {
            Some(block) => self.slots / block.get() / (row.per_sequence / block.get()),
            None => self.slots / row.per_sequence,
        }
    }

    /// Blocks of the pool, where the layout has any.
    pub fn blocks(&self, row: &KvRow) -> Option<u64> {
        row.layout.block().map(|block| self.slots / block.get())
    }

    /// The mean use of the pool under each layout, stacked.
    pub fn chart(&self) -> MemoryChart {
        let stack = |row: &KvRow| {
            let shares = row.outcome.as_ref().map_or([0.0; 4], |o| o.shares);
            let parts = Usage::PARTS.iter().zip(shares);
            let parts = parts.map(|(name, share)| ((*name).to_owned(), self.pool * share));
            let parts: Vec<(String, Bytes)> = parts.collect();
            let (label, capacity) = match &row.outcome {
                // The parts fill the pool but for rounding.
                Ok(outcome) => (
                    format!("{}: {:.1} requests", row.name(), outcome.requests),
                    parts.iter().map(|(_, bytes)| *bytes).sum(),
                ),
                Err(_) => (format!("{}: cannot serve", row.name()), self.pool),
            };
            MemoryStack { label, parts, capacity }
        };
        MemoryChart {
            title: format!("KV memory: {}", self.title),
            subtitle: self.subtitle.clone(),
            stacks: self.rows.iter().map(stack).collect(),
            notes: self.notes.clone(),
        }
    }

    /// The layouts as a table.
    pub fn to_table(&self) -> Table {
        let mut table = Table::new(vec![
            Column::text("layout"),
            Column::number("slots", "/sequence"),
            Column::number("sequences", "at mean"),
            Column::number("batched", "mean"),
            Column::number("used", "%"),
            Column::number("reserved", "%"),
            Column::number("internal", "%"),
            Column::number("external", "%"),
        ]);
        for row in &self.rows {
            let head = [row.name(), row.per_sequence.to_string(), self.sequences(row).to_string()];
            let rest = match &row.outcome {
                Ok(o) => {
                    let shares = o.shares.map(|s| format!("{:.1}", 100.0 * s));
                    [vec![format!("{:.2}", o.requests)], shares.to_vec()].concat()
                }
                Err(why) => vec![why.clone()],
            };
            table.rows.push([head.to_vec(), rest].concat());
        }
        table
    }

    /// A row per layout as CSV, with the fields of the JSON.
    ///
    /// # Errors
    /// None in practice; those of the writer are passed on.
    pub fn to_csv(&self) -> csv::Result<String> {
        let mut writer = csv::Writer::from_writer(vec![]);
        let json = self.to_json();
        let rows = json["layouts"].as_array().into_iter().flatten().filter_map(|r| r.as_object());
        for (index, row) in rows.enumerate() {
            if index == 0 {
                writer.write_record(row.keys())?;
            }
            writer.write_record(row.values().map(|value| match value {
                serde_json::Value::Null => String::new(),
                serde_json::Value::String(text) => text.clone(),
                number => number.to_string(),
            }))?;
        }
        let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same as JSON, in SI units.
    pub fn to_json(&self) -> serde_json::Value {
        let row = |row: &KvRow| {
            let outcome = row.outcome.as_ref();
            let share = |i: usize| outcome.ok().map(|o| o.shares[i]);
            serde_json::json!({
                "layout": row.name(),
                "slots_per_sequence": row.per_sequence,
                "bytes_per_sequence": (self.per_token * row.per_sequence as f64).get(),
                "sequences": self.sequences(row),
                "blocks": self.blocks(row),
                "batched": outcome.ok().map(|o| o.requests),
                "preemptions_per_request": outcome.ok().map(|o| o.preemptions),
                "used": share(0),
                "reserved": share(1),
                "internal": share(2),
                "external": share(3),
                "refused": outcome.err(),
            })
        };
        serde_json::json!({
            "title": self.title,
            "lengths": self.subtitle,
            "kv_bytes_per_token": self.per_token.get(),
            "pool_bytes": self.pool.get(),
            "slots": self.slots,
            "layouts": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}
