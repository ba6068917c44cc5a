//! Post-training quantizers against their authors' code, and what holds of each.

mod folding;
mod gptq;
mod known_scales;
mod laws;
mod outliers;
mod stories;
