//! Sizes of GGUF files: tensor shapes, block layouts, and the rule that gives each tensor its type.

use super::lab::file_size;
use super::{Figure, Paper, Reproduction, rows};
use crate::diagnostic::Diagnostic;
use serde::Deserialize;

pub(super) const PAPER: Paper = Paper {
    name: "gguf",
    title: "GGUF: file sizes of Llama 2 and bits per weight of Llama 3.1 8B",
    citation: "cards of TheBloke's Llama-2 GGUF files (2023); llama.cpp, tools/quantize/README.md",
    run,
};

const SIZES: &str = include_str!("data/gguf_sizes.csv");
const BITS: &str = include_str!("data/gguf_bits.csv");

/// A file on a card.
#[derive(Debug, Deserialize)]
struct Size {
    model: String,
    r#type: String,
    gigabytes: f64,
}

/// A row of the README.
#[derive(Debug, Deserialize)]
struct Bits {
    r#type: String,
    bits: f64,
}

fn run() -> Result<Reproduction, Diagnostic> {
    let mut figures = vec![];
    for row in rows::<Size>("gguf_sizes.csv", SIZES)? {
        // The files are of 2023, whose Q2_K rule differs from today's.
        let mix = if row.r#type == "q2_k" { "q2_k@2023" } else { row.r#type.as_str() };
        let size = file_size(&row.model, mix)?.total().get() / 1e9;
        figures.push(Figure::new(format!("{} {mix}", row.model), "GB", row.gigabytes, size));
    }
    for row in rows::<Bits>("gguf_bits.csv", BITS)? {
        let bits = file_size("llama-3.1-8b", &row.r#type)?.bits_per_weight();
        let what = format!("llama-3.1-8b {}: bits per weight", row.r#type);
        figures.push(Figure::new(what, "bit", row.bits, bits));
    }
    let remarks = vec![
        "Bytes of tensors; a file's vocabulary and other metadata, below 10 MB, are not counted."
            .to_owned(),
    ];
    Ok(Reproduction { figures, remarks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_within_half_a_percent_and_bits_within_five_thousandths() {
        let figures = run().expect("every model and mix is known").figures;
        assert_eq!(figures.len(), 36 + 13);
        for figure in figures {
            let (published, simulated) = (figure.published, figure.simulated);
            let (published, simulated) = published.zip(simulated).expect("both are there");
            let allowed = if figure.unit == "GB" { 0.005 * published } else { 0.005 };
            let off = (simulated - published).abs();
            assert!(off <= allowed, "{}: {simulated} is not {published}", figure.what);
        }
    }
}
