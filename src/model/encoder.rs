//! The encoder of a model file: how it is written, what it must satisfy, and its text.

use super::architecture::{Architecture, Block, Encoder, EncoderInput, Position};
use super::check::{Checked, Refusal, size};
use crate::model::QkNorm;
use crate::yaml::{Position as Line, Spanned};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write;

/// Most buckets of a learned bias: T5 has 32.
const MOST_BUCKETS: u64 = 1 << 16;

/// An encoder in front of the decoder, whose layers attend to its result.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEncoder {
    /// Number of encoder layers.
    #[schemars(with = "u64")]
    pub layers: Spanned<u64>,
    /// Longest input, in positions.
    #[schemars(with = "u64")]
    pub max_source: Spanned<u64>,
    /// Tokens that the decoder begins with; 1 where absent.
    #[schemars(with = "Option<u64>")]
    pub start_tokens: Option<Spanned<u64>>,
    /// `tokens`, or `audio: {mel_bins: 128}`.
    #[schemars(with = "RawInput")]
    pub input: Spanned<RawInput>,
}

/// What an encoder reads.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum RawInput {
    /// Token ids, through the decoder's embedding.
    Tokens,
    /// Mel frames, two for each position, through two convolutions.
    Audio {
        /// Channels of a frame.
        mel_bins: u64,
    },
}

/// A learned bias of the scores by the distance of query and key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelative {
    /// Buckets of distances.
    #[schemars(with = "u64")]
    pub buckets: Spanned<u64>,
    /// Distance from which on all keys share the last bucket.
    #[schemars(with = "u64")]
    pub max_distance: Spanned<u64>,
}

impl RawEncoder {
    /// The encoder as written.
    pub(super) fn read(&self) -> Encoder {
        Encoder {
            layers: self.layers.value,
            max_source: self.max_source.value,
            start_tokens: self.start_tokens.as_ref().map_or(1, |s| s.value),
            input: match self.input.value {
                RawInput::Tokens => EncoderInput::Tokens,
                RawInput::Audio { mel_bins } => EncoderInput::Audio { mel_bins },
            },
        }
    }

    /// Where a field stands.
    pub(super) fn place(&self, field: &str) -> Option<Line> {
        match field {
            "encoder.layers" => Some(Line::from(&self.layers)),
            "encoder.max_source" => Some(Line::from(&self.max_source)),
            "encoder.start_tokens" => self.start_tokens.as_ref().map(Line::from),
            _ => Some(Line::from(&self.input)),
        }
    }
}

impl RawRelative {
    /// The positions as written.
    pub(super) fn read(&self) -> Position {
        let (buckets, max_distance) = (self.buckets.value, self.max_distance.value);
        Position::Relative { buckets, max_distance }
    }

    /// Where a field stands.
    pub(super) fn place(&self, field: &str) -> Option<Line> {
        match field {
            "position.relative.buckets" => Some(Line::from(&self.buckets)),
            "position.relative.max_distance" => Some(Line::from(&self.max_distance)),
            _ => None,
        }
    }
}

/// Refuses an encoder that does not fit its decoder.
pub(super) fn check(model: &Architecture) -> Checked {
    let Some(encoder) = model.encoder else { return Ok(()) };
    size("encoder.layers", encoder.layers)?;
    size("encoder.max_source", encoder.max_source)?;
    size("encoder.start_tokens", encoder.start_tokens)?;
    if encoder.start_tokens >= model.max_context {
        let (start, most) = (encoder.start_tokens, model.max_context);
        let message = format!("a decoder of {most} tokens cannot begin with {start}");
        return Err(Refusal::new("encoder.start_tokens", message));
    }
    if let EncoderInput::Audio { mel_bins } = encoder.input {
        size("encoder.input", mel_bins)?;
    }
    let refuse = |field, message: &str| Err(Refusal::new(field, message.to_owned()));
    match (&model.position, encoder.input) {
        (Position::Relative { .. }, EncoderInput::Tokens)
        | (Position::Learned { .. }, EncoderInput::Audio { .. }) => {}
        (_, EncoderInput::Tokens) => {
            let message = "an encoder of tokens needs `position: relative`";
            return refuse("encoder.input", message);
        }
        (_, EncoderInput::Audio { .. }) => {
            let message = "an encoder of audio needs `position: learned`";
            return refuse("encoder.input", message);
        }
    }
    let attention = &model.attention;
    if attention.qk_norm != QkNorm::None || attention.sinks {
        let message = "`qk_norm` and `sinks` are not modelled beside an encoder";
        return refuse("attention.heads", message);
    }
    if model.experts.is_some() {
        return refuse("experts.count", "experts are not modelled beside an encoder");
    }
    if model.block != Block::Sequential {
        return refuse("block", "cross-attention needs a sequential block");
    }
    if model.embedding.norm {
        return refuse(
            "embedding",
            "a norm behind the embedding is not modelled beside an encoder",
        );
    }
    if model.norm.post || !model.norm.pre {
        return refuse(
            "norm.post",
            "norms behind the sublayers are not modelled beside an encoder",
        );
    }
    Ok(())
}

/// Refuses buckets that hold no distance.
pub(super) fn relative(model: &Architecture) -> Checked {
    let &Position::Relative { buckets, max_distance } = &model.position else { return Ok(()) };
    // Half of the buckets of an encoder lie on each side of the query.
    let least = if model.encoder.is_some() { 4 } else { 2 };
    if buckets < least || buckets > MOST_BUCKETS || !buckets.is_multiple_of(2) {
        let message = format!("`buckets` is {buckets}, expected an even number from {least}");
        let hint = format!("T5 has 32; the limit is {MOST_BUCKETS}");
        return Err(Refusal::new("position.relative.buckets", message).hint(hint));
    }
    size("position.relative.max_distance", max_distance)?;
    if max_distance <= buckets / 2 {
        let exact = buckets / 2;
        let message =
            format!("`max_distance` {max_distance} is within the {exact} buckets of one distance");
        return Err(Refusal::new("position.relative.max_distance", message).hint("T5 has 128"));
    }
    Ok(())
}

/// The YAML of an encoder.
pub(super) fn write(text: &mut String, encoder: &Encoder) {
    let input = match encoder.input {
        EncoderInput::Tokens => "tokens".to_owned(),
        EncoderInput::Audio { mel_bins } => format!("{{ audio: {{ mel_bins: {mel_bins} }} }}"),
    };
    let Encoder { layers, max_source, start_tokens, .. } = encoder;
    let _ = writeln!(
        text,
        "encoder:\n  layers: {layers}\n  max_source: {max_source}\n  start_tokens: {start_tokens}\n  input: {input}"
    );
}
