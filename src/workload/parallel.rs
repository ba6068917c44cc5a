//! Which degrees of parallelism a model goes over.

use crate::diagnostic::Diagnostic;
use crate::graph::shard::Parallel;
use crate::model::Architecture;

/// Most devices of one kind of parallelism.
const MOST: u64 = 1 << 16;

/// A kind of parallelism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degree {
    /// TP.
    Tensor,
    /// CP.
    Context,
    /// PP.
    Pipeline,
    /// EP.
    Expert,
    /// DP.
    Data,
    /// SP: 1 on, 0 off.
    Sequence,
    /// Micro-batches of a pipeline.
    MicroBatches,
}

impl Degree {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Tensor,
        Self::Context,
        Self::Pipeline,
        Self::Expert,
        Self::Data,
        Self::Sequence,
        Self::MicroBatches,
    ];

    /// Its path in a scenario.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Tensor => "parallel.tp",
            Self::Context => "parallel.cp",
            Self::Pipeline => "parallel.pp",
            Self::Expert => "parallel.ep",
            Self::Data => "parallel.dp",
            Self::Sequence => "parallel.sp",
            Self::MicroBatches => "parallel.micro_batches",
        }
    }
}

/// Another degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DegreeSetting {
    /// Which.
    pub degree: Degree,
    /// At least 1; of sequence parallelism 0 or 1.
    pub value: u64,
}

impl DegreeSetting {
    /// The setting of a path; `None` where the path is none of a degree.
    ///
    /// # Errors
    /// A value that is no degree.
    pub fn parse(path: &str, text: &str) -> Result<Option<Self>, Diagnostic> {
        let Some(degree) = Degree::ALL.into_iter().find(|d| d.path() == path) else {
            return Ok(None);
        };
        Ok(Some(Self::read(degree, text)?))
    }

    /// The setting of a degree.
    ///
    /// # Errors
    /// A value that is no degree, or for sequence parallelism neither `on` nor `off`.
    pub fn read(degree: Degree, text: &str) -> Result<Self, Diagnostic> {
        let value = match (degree, text.trim()) {
            (Degree::Sequence, "on" | "true") => 1,
            (Degree::Sequence, "off" | "false") => 0,
            (Degree::Sequence, other) => {
                let found = crate::diagnostic::clip(other);
                let message = format!("{} is `{found}`; expected on or off", degree.path());
                return Err(Diagnostic::new(message));
            }
            _ => parse_degree(degree.path(), text)?,
        };
        Ok(Self { degree, value })
    }

    /// Sets the degree.
    pub const fn apply(self, parallel: &mut Parallel) {
        match self.degree {
            Degree::Tensor => parallel.tensor = self.value,
            Degree::Context => parallel.context = self.value,
            Degree::Pipeline => parallel.pipeline = self.value,
            Degree::Expert => parallel.expert = self.value,
            Degree::Data => parallel.data = self.value,
            Degree::Sequence => parallel.sequence = self.value > 0,
            Degree::MicroBatches => parallel.micro_batches = self.value,
        }
    }
}

/// A degree of parallelism from text.
///
/// # Errors
/// Not a whole number from 1 to 65536.
pub fn parse_degree(name: &str, text: &str) -> Result<u64, Diagnostic> {
    let found = text.trim().parse::<u64>().ok().filter(|n| (1..=MOST).contains(n));
    found.ok_or_else(|| {
        let found = crate::diagnostic::clip(text);
        let message = format!("{name} is `{found}`; expected a whole number from 1 to {MOST}");
        Diagnostic::new(message).hint("1 is one device")
    })
}

/// What keeps the positions of a model's sequences in one place, and what to do instead.
fn undealt(model: &Architecture) -> Option<(&'static str, &'static str)> {
    if model.attention.latent.is_some() {
        let hint = "--dp keeps a sequence in one place: its latent cache is small";
        return Some(("the latent cache", hint));
    }
    if model.encoder.is_some() {
        return Some(("the cross-attention", "--tp, --pp and --dp cut a model with an encoder"));
    }
    let keys = model.position == crate::model::Position::TransformerXl;
    keys.then_some(("the keys of positions", "--tp, --pp and --dp cut such a model"))
}

/// Refuses more stages than a stack has layers.
fn stages(pipeline: u64, model: &Architecture) -> Result<(), Diagnostic> {
    let decoder = ("layers", model.layers, "a stage holds at least one layer");
    let encoder = model.encoder.map(|encoder| {
        (
            "encoder layers",
            encoder.layers,
            "a stage holds at least one layer of encoder and decoder",
        )
    });
    for (which, layers, hint) in std::iter::once(decoder).chain(encoder) {
        if pipeline > layers {
            let id = &model.id;
            let message =
                format!("{pipeline} pipeline stages are more than the {layers} {which} of {id}");
            return Err(Diagnostic::new(message).hint(hint));
        }
    }
    Ok(())
}

/// Degrees that a model goes over.
///
/// # Errors
/// Heads, layers or experts that do not go over so many devices.
pub fn checked(parallel: Parallel, model: &Architecture) -> Result<Parallel, Diagnostic> {
    let Parallel { tensor, pipeline, expert, .. } = parallel;
    let (heads, kv) = (model.attention.heads, model.attention.kv_heads);
    let splits = |n: u64| heads.is_multiple_of(n) && (kv.is_multiple_of(n) || n.is_multiple_of(kv));
    if !splits(tensor) {
        let message = format!(
            "tensor parallelism over {tensor} devices does not divide the {heads} query and {kv} \
             key-value heads of {}",
            model.id
        );
        let legal = (1..=heads).filter(|n| splits(*n)).map(|n| n.to_string());
        let legal = legal.collect::<Vec<_>>().join(", ");
        return Err(Diagnostic::new(message).hint(format!("one of {legal}")));
    }
    if tensor > 1 && model.attention.qk_norm == crate::model::QkNorm::Row {
        let message = format!(
            "tensor parallelism over {tensor} devices does not cut the norm over all heads of {}",
            model.id
        );
        return Err(Diagnostic::new(message).hint("--pp and --dp leave layers whole"));
    }
    if parallel.sequence && tensor == 1 {
        let message = "sequence parallelism shares out what tensor parallelism leaves whole";
        return Err(Diagnostic::new(message).hint("it needs tp above 1"));
    }
    if parallel.context > 1
        && let Some((what, hint)) = undealt(model)
    {
        let message = format!(
            "context parallelism over {} groups does not deal out {} of {}",
            parallel.context, what, model.id
        );
        return Err(Diagnostic::new(message).hint(hint));
    }
    stages(pipeline, model)?;
    if expert == 1 {
        return Ok(parallel);
    }
    let Some(experts) = &model.experts else {
        let message = format!("expert parallelism over {expert}: {} has no experts", model.id);
        return Err(Diagnostic::new(message)
            .hint("it is for mixtures of experts, mixtral-8x7b for instance"));
    };
    if expert > experts.count {
        let message = format!(
            "expert parallelism over {expert} groups is beyond the {} experts of {}",
            experts.count, model.id
        );
        return Err(Diagnostic::new(message).hint("a group holds at least one expert"));
    }
    let deals = |n: u64| {
        let replicas = Parallel { expert: n, ..parallel }.expert_replicas();
        experts.count.is_multiple_of(n) && parallel.data.is_multiple_of(replicas)
    };
    if !deals(expert) {
        let message = format!(
            "expert parallelism over {expert} groups must divide the {} experts of {}, and go over \
             {tensor} ranks of a tensor-parallel group, then over replicas, of which there are {}",
            experts.count, model.id, parallel.data
        );
        let legal = (1..=experts.count).filter(|n| deals(*n)).map(|n| n.to_string());
        let legal = legal.collect::<Vec<_>>().join(", ");
        return Err(Diagnostic::new(message).hint(format!("one of {legal}")));
    }
    Ok(parallel)
}
