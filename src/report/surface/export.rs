//! The numbers of a surface as a table, as CSV and as JSON.

use super::SurfaceChart;
use crate::cost::speculative::{Cycle, Surface, SurfacePoint};
use crate::report::table::{Column, Table};
use crate::workload::Acceptance;

/// Gammas that the table has a column for.
const COLUMNS: [u64; 9] = [1, 2, 3, 4, 5, 6, 8, 12, 16];

impl SurfaceChart<'_> {
    /// Every rate with its fastest gamma, and the speed-up of some gammas.
    pub fn to_table(&self) -> Table {
        let shown: Vec<_> =
            self.surface.cycles().iter().filter(|c| COLUMNS.contains(&c.gamma)).collect();
        let mut table = Table::new(vec![
            Column::number("acceptance", ""),
            Column::number("fastest gamma", ""),
            Column::number("speed-up", "x"),
        ]);
        for cycle in &shown {
            table.columns.push(Column::number(&format!("gamma {}", cycle.gamma), "x"));
        }
        for acceptance in Surface::acceptances() {
            let best = self.surface.optimum(acceptance);
            let gamma = if best.gamma > 0 { best.gamma.to_string() } else { "-".to_owned() };
            let mut row = vec![format!("{acceptance:.2}"), gamma, format!("{:.3}", best.speed_up)];
            let rate = Acceptance::Constant(acceptance);
            row.extend(shown.iter().map(|c| format!("{:.3}", c.speed_up(&rate))));
            table.rows.push(row);
        }
        table
    }

    /// Every point as JSON, with the break-even acceptance and the fastest gamma.
    pub fn to_json(&self) -> serde_json::Value {
        let point = |p: SurfacePoint| {
            serde_json::json!({
                "acceptance": p.acceptance,
                "gamma": p.cycle.gamma,
                "tokens_per_loop": tokens(&p),
                "time_per_token_s": p.cycle.plain.get() / p.speed_up,
                "speed_up": p.speed_up,
                "fastest": p.optimal,
            })
        };
        let even = |c: &Cycle| {
            serde_json::json!({
                "gamma": c.gamma,
                "draft_s": c.draft.get(),
                "verify_s": c.verify.get(),
                "plain_tpot_s": c.plain.get(),
                "break_even_acceptance": c.break_even(),
            })
        };
        serde_json::json!({
            "title": self.title,
            "workload": self.subtitle,
            "loops": self.surface.cycles().iter().map(even).collect::<Vec<_>>(),
            "points": self.surface.points().map(point).collect::<Vec<_>>(),
        })
    }

    /// Every point as CSV.
    ///
    /// # Errors
    /// None in practice; those of the writer are passed on.
    pub fn to_csv(&self) -> csv::Result<String> {
        let mut writer = csv::Writer::from_writer(vec![]);
        writer.write_record([
            "acceptance",
            "gamma",
            "tokens_per_loop",
            "time_per_token_s",
            "speed_up",
            "fastest",
        ])?;
        for p in self.surface.points() {
            writer.write_record([
                p.acceptance.to_string(),
                p.cycle.gamma.to_string(),
                tokens(&p).to_string(),
                (p.cycle.plain.get() / p.speed_up).to_string(),
                p.speed_up.to_string(),
                p.optimal.to_string(),
            ])?;
        }
        let bytes = writer.into_inner().map_err(|e| csv::Error::from(e.into_error()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn tokens(point: &SurfacePoint) -> f64 {
    Acceptance::Constant(point.acceptance).expected_tokens(point.cycle.gamma)
}
