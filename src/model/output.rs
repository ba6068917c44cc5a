//! What a checkpoint's model ends in (A122).

/// What comes out of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Output {
    /// Logits and a token: the model has a head.
    #[default]
    Logits,
    /// The last hidden state, behind the final norm: the model has no head.
    Hidden,
    /// The encoder's last hidden state: the model has no decoder.
    Encoded,
}
