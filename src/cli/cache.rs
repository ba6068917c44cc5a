//! The arguments that say where the KV cache and the weights lie.

use crate::diagnostic::Diagnostic;
use crate::tensor::{Offload, Placement};
use crate::workload::{CacheChoice, CacheSetting, parse_offload};
use clap::Args;

/// Layout of the KV cache, and what lies in host memory.
#[derive(Debug, Clone, Args)]
pub struct CacheArgs {
    /// Layout of the KV cache: contiguous, paged, paged:16 [default: contiguous]
    #[arg(long, value_name = "LAYOUT")]
    kv_layout: Option<String>,
    /// Tokens of a KV block of a paged cache [default: 16]
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    block_size: Option<String>,
    /// What a contiguous cache reserves for a request: max:N, pow2, oracle [default: oracle]
    #[arg(long, value_name = "POLICY")]
    kv_reserve: Option<String>,
    /// First tokens that all prompts have in common: held once and prefilled before (paged)
    #[arg(long, value_name = "TOKENS", allow_negative_numbers = true)]
    shared_prefix: Option<String>,
    /// Sequences of --batch that go on from one prompt, each on its own (paged) [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    samples: Option<String>,
    /// Sequences of --batch that are the beams of one prompt's search (paged) [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    beams: Option<String>,
    /// What lies in host memory: kv, weights, or kv,weights
    #[arg(long, value_name = "PARTS")]
    offload: Option<String>,
}

impl CacheArgs {
    /// The choices, checked.
    pub fn placement(&self) -> Result<Placement, Diagnostic> {
        let mut choice = CacheChoice::default();
        let named = [
            &self.kv_layout,
            &self.block_size,
            &self.kv_reserve,
            &self.shared_prefix,
            &self.samples,
            &self.beams,
        ];
        let flags = [
            "--kv-layout",
            "--block-size",
            "--kv-reserve",
            "--shared-prefix",
            "--samples",
            "--beams",
        ];
        for ((path, flag), text) in CacheSetting::PATHS.into_iter().zip(flags).zip(named) {
            let Some(text) = text else { continue };
            let named = |mut d: Diagnostic| {
                d.message = d.message.replace(path, flag);
                d
            };
            if let Some(setting) = CacheSetting::parse(path, text).map_err(named)? {
                choice.set(setting);
            }
        }
        let offload = self.offload.as_deref().map_or(Ok(Offload::NONE), parse_offload)?;
        Ok(Placement { layout: choice.layout()?, offload })
    }
}
