//! Tensors by shape and role, the step that gives symbolic extents their size, and reference values.
//!
//! Every tensor of the graph is a matrix, `rows x width`: activations `[tokens, features]`,
//! weights `[outputs, inputs]`, the KV cache `[context, kv_heads * head_dim]`, attention scores
//! `[visible pairs, heads]`. Batches are packed: sequences lie one behind the other without padding.

mod mask;
mod phase;
mod placement;
mod shape;
mod sharing;
mod source;
mod step;
mod stripe;

pub use mask::Mask;
pub use phase::{Phase, Phases};
pub use placement::{BeyondReserve, Kept, KvLayout, Offload, Placement, Reserve};
pub use shape::{Dim, Role, TensorType, WeightKind};
pub use sharing::{Branching, Sharing, Slots, Span};
pub use source::{TensorName, TensorSource};
pub use step::{Group, Logits, Sequence, Step, StepError};
pub use stripe::Stripe;
