//! GGUF mixes by llama.cpp's names: which tensor gets which type.
//!
//! The rules are those of `src/llama-quant.cpp` (ggml-org/llama.cpp at 007dbbf, without an
//! importance matrix), in our own words; `@2023` are those that the file sizes of
//! September 2023 show (TheBloke's Llama 2 files): other layers and tensors for Q2_K, Q3_K_M, Q4_K_S.

use super::block::Block;
use super::format::Format;
use super::storage::Storage;

/// What a weight is to the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Token embedding.
    Embedding,
    /// Output head.
    Output,
    /// Query projection.
    Query,
    /// Key projection.
    Key,
    /// Value projection.
    Value,
    /// Output projection of attention.
    AttentionOut,
    /// Last projection of a feed-forward network.
    Down,
    /// Any other matrix that is quantized.
    Matrix,
    /// What is never quantized: norms, biases, positions, routers.
    Vector,
}

/// A weight tensor of a model, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weight<'a> {
    /// Name inside its layer, for instance `ffn.down.weight`.
    pub name: &'a str,
    /// What it is.
    pub part: Part,
    /// Elements of a row.
    pub columns: u64,
    /// Its layer, from 0; `None` outside layers.
    pub layer: Option<u64>,
    /// The model that it belongs to.
    pub model: ModelFacts,
}

/// What the rules ask of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelFacts {
    /// Layers.
    pub layers: u64,
    /// Query heads per key and value head.
    pub gqa: u64,
    /// Experts of a layer; 0 without.
    pub experts: u64,
    /// The head's weight is the token embedding.
    pub tied: bool,
}

impl ModelFacts {
    /// The class whose value projections are small beside the others: 80 layers, grouped heads.
    const fn is_70b(&self) -> bool {
        self.layers == 80 && self.gqa > 1
    }
}

macro_rules! mixes {
    ($($variant:ident = $name:literal, $base:expr, $in_2023:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Kind { $($variant,)* }

        impl Kind {
            const ALL: &[Self] = &[$(Self::$variant,)*];

            const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The type of tensors that no rule names.
            const fn base(self) -> Storage {
                match self { $(Self::$variant => $base,)* }
            }

            /// Whether it existed in September 2023.
            const fn in_2023(self) -> bool {
                match self { $(Self::$variant => $in_2023,)* }
            }
        }

        /// Names of all mixes.
        pub const MIXES: &[&str] = &[$($name,)*];
    };
}

mixes! {
    Q2K = "q2_k", Storage::Block(Block::Q2K), true;
    Q2KS = "q2_k_s", Storage::Block(Block::Q2K), false;
    Q3KS = "q3_k_s", Storage::Block(Block::Q3K), true;
    Q3KM = "q3_k_m", Storage::Block(Block::Q3K), true;
    Q3KL = "q3_k_l", Storage::Block(Block::Q3K), true;
    Q4_0 = "q4_0", Storage::Block(Block::Q4_0), true;
    Q4_1 = "q4_1", Storage::Block(Block::Q4_1), true;
    Q4KS = "q4_k_s", Storage::Block(Block::Q4K), true;
    Q4KM = "q4_k_m", Storage::Block(Block::Q4K), true;
    Q5_0 = "q5_0", Storage::Block(Block::Q5_0), true;
    Q5_1 = "q5_1", Storage::Block(Block::Q5_1), true;
    Q5KS = "q5_k_s", Storage::Block(Block::Q5K), true;
    Q5KM = "q5_k_m", Storage::Block(Block::Q5K), true;
    Q6K = "q6_k", Storage::Block(Block::Q6K), true;
    Q8_0 = "q8_0", Storage::Block(Block::Q8_0), true;
    Iq4Xs = "iq4_xs", Storage::Block(Block::Iq4Xs), false;
    Iq4Nl = "iq4_nl", Storage::Block(Block::Iq4Nl), false;
    F16 = "f16", Storage::Plain(Format::Fp16), true;
}

/// A mix and the date of its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    kind: Kind,
    of_2023: bool,
}

impl Mix {
    /// The mix of that name; `@2023` behind it names the rule of September 2023.
    pub fn from_name(name: &str) -> Option<Self> {
        let (name, of_2023) = name.strip_suffix("@2023").map_or((name, false), |n| (n, true));
        let kind = Kind::ALL.iter().copied().find(|k| k.name() == name)?;
        (!of_2023 || kind.in_2023()).then_some(Self { kind, of_2023 })
    }

    /// The type of a tensor: the rule's, or what replaces it where a row is no whole number of
    /// blocks.
    pub fn storage(self, weight: &Weight<'_>) -> Storage {
        let base = self.kind.base();
        let Storage::Block(base) = base else {
            let plain = weight.part != Part::Vector;
            return if plain { base } else { Storage::Plain(Format::Fp32) };
        };
        let Some(block) = self.block(base, weight) else { return Storage::Plain(Format::Fp32) };
        let fits = |block: Block| weight.columns.is_multiple_of(block.elements());
        if fits(block) {
            return Storage::Block(block);
        }
        let smaller = match block {
            Block::Iq4Xs => Block::Iq4Nl,
            Block::Q4K => Block::Q5_0,
            Block::Q5K => Block::Q5_1,
            Block::Q6K => Block::Q8_0,
            _ => Block::Q4_0,
        };
        if fits(smaller) { Storage::Block(smaller) } else { Storage::Plain(Format::Fp16) }
    }

    /// The rule's type; `None` for what is not quantized.
    fn block(self, base: Block, w: &Weight<'_>) -> Option<Block> {
        Some(match w.part {
            Part::Vector => return None,
            Part::Embedding if !w.model.tied => base,
            Part::Embedding | Part::Output => {
                let whole = w.columns.is_multiple_of(base.elements());
                if whole && base != Block::Q8_0 { Block::Q6K } else { Block::Q8_0 }
            }
            Part::Value => self.value(base, w),
            Part::Key if w.model.experts == 8 => Block::Q8_0,
            Part::AttentionOut => self.attention_out(base, w),
            Part::Down => self.down(base, w),
            Part::Matrix if self.of_2023 && self.kind == Kind::Q2K => Block::Q3K,
            Part::Matrix | Part::Query | Part::Key => base,
        })
    }

    fn value(self, base: Block, w: &Weight<'_>) -> Block {
        let (layer, model) = (w.layer.unwrap_or(0), w.model);
        let grouped = model.gqa >= 4;
        if model.experts == 8 {
            return Block::Q8_0;
        }
        let block = match self.kind {
            Kind::Q2K if grouped && !self.of_2023 => Block::Q4K,
            Kind::Q2K => Block::Q3K,
            Kind::Q2KS if grouped => Block::Q4K,
            Kind::Q3KM if layer < 2 => Block::Q5K,
            Kind::Q3KM => Block::Q4K,
            Kind::Q3KL => Block::Q5K,
            Kind::Iq4Nl | Kind::Iq4Xs if grouped => Block::Q5K,
            Kind::Q4KM | Kind::Q5KM if more_bits(layer, model.layers) => Block::Q6K,
            Kind::Q4KS if layer < 4 => Block::Q5K,
            _ => base,
        };
        match block {
            Block::Q3K | Block::Q4K if model.is_70b() => Block::Q5K,
            block => block,
        }
    }

    fn attention_out(self, base: Block, w: &Weight<'_>) -> Block {
        if w.model.experts == 8 {
            return match self.kind {
                Kind::Q2K | Kind::Q3KS | Kind::Q3KM | Kind::Iq4Nl | Kind::Iq4Xs => Block::Q5K,
                Kind::Q4KS | Kind::Q4KM => Block::Q5K,
                _ => base,
            };
        }
        match self.kind {
            Kind::Q2K => Block::Q3K,
            Kind::Q3KM => Block::Q4K,
            Kind::Q3KL => Block::Q5K,
            _ => base,
        }
    }

    fn down(self, base: Block, w: &Weight<'_>) -> Block {
        let (layer, layers) = (w.layer.unwrap_or(0), w.model.layers);
        let first =
            |part: u64, of_2023: u64| layer < if self.of_2023 { of_2023 } else { layers / part };
        match self.kind {
            Kind::Q2K => Block::Q3K,
            Kind::Q2KS if first(8, 0) => Block::Q4K,
            Kind::Q3KM if first(16, 2) => Block::Q5K,
            Kind::Q3KM => Block::Q4K,
            Kind::Q3KL => Block::Q5K,
            Kind::Q4KM | Kind::Q5KM if more_bits(layer, layers) => Block::Q6K,
            Kind::Q4KS if first(8, 4) => Block::Q5K,
            Kind::Iq4Nl | Kind::Iq4Xs if first(8, 0) => Block::Q5K,
            _ => base,
        }
    }
}

/// The layers that the `_M` mixes give more bits: the first and last eighth, and every third of
/// the others.
const fn more_bits(layer: u64, layers: u64) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}
