//! Texts to token ids and back, with the tokenizer that a GGUF file or a `tokenizer.json` holds. The
//! algorithms are those of the crate `tokenizers`.

mod gguf;

use tokenizers::Tokenizer as Inner;

/// A tokenizer that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct TokenizerError {
    /// What was found and expected.
    pub why: String,
}

impl TokenizerError {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into() }
    }
}

/// Texts to token ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer(Box<Inner>);

impl Tokenizer {
    /// The tokenizer of a `tokenizer.json`.
    ///
    /// # Errors
    /// What the crate refuses.
    pub fn from_json(json: &[u8]) -> Result<Self, TokenizerError> {
        let inner = Inner::from_bytes(json);
        let inner = inner.map_err(|e| TokenizerError::new(format!("tokenizer.json: {e}")))?;
        Ok(Self(Box::new(inner)))
    }

    /// The tokenizer in the metadata of a GGUF file.
    ///
    /// # Errors
    /// No tokenizer, or one of a kind that is not supported.
    pub fn from_gguf(directory: &crate::formats::gguf::Directory) -> Result<Self, TokenizerError> {
        Self::from_json(gguf::json(directory)?.to_string().as_bytes())
    }

    /// The ids of a text; nothing is put before or behind it.
    ///
    /// # Errors
    /// A text that the tokenizer cannot split.
    pub fn encode(&self, text: &str) -> Result<Vec<u64>, TokenizerError> {
        let encoding = self.0.encode(text, false);
        let encoding = encoding.map_err(|e| TokenizerError::new(e.to_string()))?;
        Ok(encoding.get_ids().iter().map(|&id| u64::from(id)).collect())
    }

    /// The text of ids.
    ///
    /// # Errors
    /// Bytes that the tokenizer cannot put together.
    pub fn decode(&self, ids: &[u64]) -> Result<String, TokenizerError> {
        let ids: Vec<u32> = ids.iter().filter_map(|&id| u32::try_from(id).ok()).collect();
        self.0.decode(&ids, false).map_err(|e| TokenizerError::new(e.to_string()))
    }
}
