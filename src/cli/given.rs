//! What a model is run on.

use super::arrays;
use super::checkpoint::Loaded;
use super::error::Error;
use crate::diagnostic::Diagnostic;
use crate::model::EncoderInput;
use crate::op::scalar::Scalar;
use crate::session::{Encoded, Outcome, Session};
use std::path::PathBuf;

/// Tokens, and what an encoder reads.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct GivenArgs {
    /// Token ids: numbers with commas between, or a .npy file of [tokens] or [batch, tokens]; the decoder's, where
    /// there is an encoder
    #[arg(long, value_name = "IDS", conflicts_with = "text")]
    pub tokens: Option<String>,
    /// Text, where the model has its tokenizer
    #[arg(long)]
    pub text: Option<String>,
    /// The encoder's token ids
    #[arg(long, value_name = "IDS", conflicts_with = "features")]
    pub encoder_tokens: Option<String>,
    /// The encoder's frames: a .npy file of [batch, channels, frames]
    #[arg(long, value_name = "FILE")]
    pub features: Option<PathBuf>,
}

impl GivenArgs {
    /// The tokens of each sequence.
    pub fn tokens(&self, loaded: &Loaded) -> Result<Vec<Vec<u64>>, Error> {
        match (&self.tokens, &self.text) {
            (Some(ids), _) => arrays::tokens(ids),
            (None, Some(text)) => {
                let tokenizer = loaded.tokenizer.as_ref().map_err(|why| {
                    Diagnostic::new(format!("no tokenizer: {why}")).hint("give --tokens")
                })?;
                let ids = tokenizer.encode(text).map_err(|e| Diagnostic::new(e.to_string()))?;
                Ok(vec![ids])
            }
            (None, None) => {
                Err(Diagnostic::new("no tokens are given").hint("--tokens 1,2,3 or --text").into())
            }
        }
    }

    /// Gives the encoder its input, where there is one; what comes out.
    pub fn encode<S: Scalar>(
        &self,
        loaded: &Loaded,
        session: &mut Session<'_, S>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Outcome<S>>, Error> {
        let refused =
            |message: &str, hint: &str| Err(Diagnostic::new(message).hint(hint.to_owned()).into());
        let outcome = match (&self.encoder_tokens, &self.features, loaded.arch.encoder) {
            (Some(ids), _, _) => session.encode(&Encoded::Tokens(&arrays::tokens(ids)?), keep)?,
            (None, Some(path), Some(encoder)) => {
                let EncoderInput::Audio { mel_bins } = encoder.input else {
                    return refused("the encoder reads tokens, not frames", "--encoder-tokens");
                };
                let (batch, frames, values) = arrays::frames(path, mel_bins)?;
                let values: Vec<S> = values.into_iter().map(S::constant).collect();
                session.encode(&Encoded::Frames { batch, frames, values: &values }, keep)?
            }
            (None, Some(_), None) => {
                return Err(Diagnostic::new("the model has no encoder to give frames to").into());
            }
            (None, None, Some(_)) => {
                let hint = "--encoder-tokens or --features";
                return refused("the model has an encoder, which is given nothing", hint);
            }
            (None, None, None) => return Ok(None),
        };
        Ok(Some(outcome))
    }
}
