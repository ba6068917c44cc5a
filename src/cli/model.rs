//! `cosim model`: the bundled models, and one's own from a Hugging Face config.json.

use super::catalog;
use super::error::Error;
use super::files;
use super::terminal;
use crate::dtype::Scheme;
use crate::mapping::Plan;
use crate::model::{self, Architecture, BuildOptions};
use crate::report::{Column, Table};
use clap::Subcommand;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the bundled models
    List {
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Show a model: its configuration, parameters, and KV cache per token
    Show {
        /// Model id, model YAML or config.json
        model: String,
    },
    /// Print the model YAML of a Hugging Face config.json
    Import {
        /// The config.json
        config: String,
        /// Id of the model [default: the folder's name]
        #[arg(long)]
        id: Option<String>,
    },
    /// Print the JSON Schema of model files
    Schema,
}

pub fn run(command: &ModelCommand) -> Result<(), Error> {
    match command {
        ModelCommand::List { json } => list(*json),
        ModelCommand::Show { model } => show(model),
        ModelCommand::Import { config, id } => {
            let source = files::read(config)?;
            let id = id.clone().unwrap_or_else(|| model::id_of(config));
            files::print(&model::import::config_source(&source, &id)?.to_yaml())
        }
        ModelCommand::Schema => files::print(&format!("{:#}\n", model::schema())),
    }
}

fn plan(architecture: &Architecture) -> Result<Plan, Error> {
    let graphs = architecture.graphs(&BuildOptions::default())?;
    Ok(Plan::of(graphs.parts(), &Scheme::sixteen_bit()))
}

fn list(json: bool) -> Result<(), Error> {
    let mut rows = vec![];
    for id in model::bundled::ids() {
        let architecture = catalog::architecture(id)?;
        let footprint = plan(&architecture)?.footprint;
        rows.push((architecture, footprint));
    }
    if json {
        let models: Vec<_> = rows
            .iter()
            .map(|(a, f)| {
                let mut model = serde_json::json!({
                    "id": a.id, "name": a.name, "parameters": f.parameters,
                    "weights_bytes_16bit": f.weights.total.get(),
                    "kv_bytes_per_token_16bit": f.kv_per_token().get(),
                    "max_context": a.max_context, "source": a.source,
                });
                if a.encoder.is_some() {
                    model["cross_kv_bytes_per_position_16bit"] = f.cross_kv(1.0, 1).get().into();
                }
                model
            })
            .collect();
        return files::print(&format!("{:#}\n", serde_json::Value::from(models)));
    }
    let mut table = Table::new(vec![
        Column::text("id"),
        Column::number("parameters", ""),
        Column::number("16-bit weights", ""),
        Column::number("KV / token", ""),
        Column::number("heads / KV", ""),
        Column::number("layers", ""),
        Column::number("context", ""),
    ]);
    for (a, footprint) in &rows {
        table.rows.push(vec![
            a.id.clone(),
            footprint.parameters.to_string(),
            format!("{:.3} GiB", footprint.weights.total.get() / f64::from(1 << 30)),
            format!("{:.0} KiB", footprint.kv_per_token().get() / 1024.0),
            format!("{} / {}", a.attention.heads, a.attention.kv_heads),
            a.layers.to_string(),
            a.max_context.to_string(),
        ]);
    }
    files::print(&table.to_terminal(terminal::shape()))
}

fn show(name: &str) -> Result<(), Error> {
    let architecture = catalog::architecture(name)?;
    let footprint = plan(&architecture)?.footprint;
    let cross = architecture.encoder.map_or(String::new(), |_| {
        let bytes = footprint.cross_kv(1.0, 1).get();
        format!(",\n# and {bytes} B per position that its encoder reads")
    });
    let text = format!(
        "{}\n# {} parameters; 16 bit: {:.3} GiB of weights, {} B of KV cache per token{cross}\n",
        architecture.to_yaml().trim_end(),
        footprint.parameters,
        footprint.weights.total.get() / f64::from(1 << 30),
        footprint.kv_per_token().get(),
    );
    files::print(&text)
}
