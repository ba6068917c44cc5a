//! What every architecture must satisfy, however it was written down.

use super::{Architecture, Block, Experts, NormKind, Position, RopeScaling, encoder};
use crate::model::QkNorm;

/// Largest size of anything: no table, width or context of a model comes near.
const LARGEST: u64 = 1 << 40;
/// Most parameters of a model: products of sizes stay inside 64 bits behind this check.
const MOST_PARAMETERS: u128 = 1 << 60;
/// Most different windows: each is a kind of layer with kernels of its own.
const MOST_WINDOWS: usize = 32;
/// Longest pattern of windows: planning takes the cube of it.
const LONGEST_PATTERN: usize = 128;
/// Most experts: published models have a few hundred.
const MOST_EXPERTS: u64 = 1 << 11;
/// Longest name or citation, in characters.
const LONGEST_TEXT: usize = 400;

/// Why an architecture is refused, by the YAML path of the field at fault.
#[derive(Debug)]
pub(super) struct Refusal {
    pub field: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(field: &'static str, message: String) -> Self {
        Self { field, message, hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

pub(super) type Checked = Result<(), Refusal>;

/// Refuses an architecture whose sizes do not fit together.
pub(super) fn check(model: &Architecture) -> Checked {
    identity(model)?;
    sizes(model)?;
    attention(model)?;
    position(model)?;
    latent(model)?;
    encoder::relative(model)?;
    encoder::check(model)?;
    if let Some(found) = &model.experts {
        experts(model, found)?;
    }
    reals(model)?;
    norms(model)?;
    let total = model.parameters().total;
    if total > MOST_PARAMETERS {
        let message = format!("the model would have {total} parameters, more than 2^60");
        return Err(Refusal::new("layers", message));
    }
    Ok(())
}

/// Elements per head: as given, else `hidden / heads` where that is whole.
pub(super) fn head_dim(hidden: u64, heads: u64, given: Option<u64>) -> Result<u64, Refusal> {
    match (given, hidden.checked_rem(heads)) {
        (Some(given), _) => Ok(given),
        (None, Some(0)) => Ok(hidden / heads),
        (None, None) => Err(Refusal::new("attention.heads", zero("attention.heads"))),
        (None, Some(_)) => {
            let message = format!("hidden {hidden} is not divisible by {heads} heads");
            let hint = "give `head_dim` where it is not hidden / heads";
            Err(Refusal::new("attention.heads", message).hint(hint))
        }
    }
}

fn zero(field: &str) -> String {
    format!("`{field}` is 0, expected at least 1")
}

fn identity(model: &Architecture) -> Checked {
    let id = &model.id;
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let edges = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let ends = edges(id.chars().next()) && edges(id.chars().next_back());
    if !ends || !id.chars().all(legal) || id.len() > 64 {
        let message = format!("`{}` is not a model id", crate::diagnostic::clip(id));
        let hint = "up to 64 lower-case letters, digits, dashes and dots, as in `llama-3.1-8b`";
        return Err(Refusal::new("id", message).hint(hint));
    }
    for (field, text) in [("name", &model.name), ("source", &model.source)] {
        if text.trim().is_empty() {
            return Err(Refusal::new(field, format!("`{field}` is empty")));
        }
        if text.chars().count() > LONGEST_TEXT || text.chars().any(char::is_control) {
            let message = format!("`{field}` is not one line of at most {LONGEST_TEXT} characters");
            return Err(Refusal::new(field, message));
        }
    }
    Ok(())
}

pub(super) fn size(field: &'static str, value: u64) -> Checked {
    match value {
        0 => Err(Refusal::new(field, zero(field))),
        1..=LARGEST => Ok(()),
        _ => Err(Refusal::new(field, format!("`{field}` is {value}, larger than 2^40"))
            .hint("no published model comes near; is a digit or a separator wrong?")),
    }
}

fn sizes(model: &Architecture) -> Checked {
    size("vocabulary", model.vocabulary)?;
    size("hidden", model.hidden)?;
    size("layers", model.layers)?;
    size("max_context", model.max_context)?;
    size("attention.heads", model.attention.heads)?;
    size("attention.kv_heads", model.attention.kv_heads)?;
    size("attention.head_dim", model.attention.head_dim)?;
    size("ffn.inner", model.ffn.inner)?;
    for window in model.attention.windows.iter().flatten() {
        size("attention.windows", *window)?;
    }
    Ok(())
}

fn attention(model: &Architecture) -> Checked {
    let attention = &model.attention;
    let (heads, kv) = (attention.heads, attention.kv_heads);
    if heads % kv != 0 {
        let message = format!("{heads} heads are not divisible by {kv} kv_heads");
        let hint = "each key-value head serves the same number of query heads";
        return Err(Refusal::new("attention.kv_heads", message).hint(hint));
    }
    if u128::from(heads) * u128::from(attention.head_dim) > u128::from(LARGEST) {
        let message = "heads x head_dim is larger than 2^40".to_owned();
        return Err(Refusal::new("attention.heads", message));
    }
    let pattern = attention.windows.len() as u64;
    if pattern == 0 || pattern > model.layers {
        let layers = model.layers;
        let message = format!("`attention.windows` has {pattern} entries for {layers} layers");
        let hint = "a pattern over layers that repeats: `[full]`, `[4096]`, `[4096, full]`";
        return Err(Refusal::new("attention.windows", message).hint(hint));
    }
    let mut distinct = attention.windows.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() > MOST_WINDOWS || attention.windows.len() > LONGEST_PATTERN {
        let message = format!(
            "`attention.windows` has {pattern} entries, {} of them different",
            distinct.len()
        );
        let hint = format!("at most {LONGEST_PATTERN} entries, {MOST_WINDOWS} of them different");
        return Err(Refusal::new("attention.windows", message).hint(hint));
    }
    Ok(())
}

fn experts(model: &Architecture, experts: &Experts) -> Checked {
    let Experts { count, active, inner, dense_layers, .. } = *experts;
    size("experts.count", count)?;
    size("experts.active", active)?;
    size("experts.inner", inner)?;
    size("experts.shared", experts.shared.unwrap_or(1))?;
    if active > count {
        let message = format!("{active} active experts of {count}");
        let hint = "a token passes at most every expert";
        return Err(Refusal::new("experts.active", message).hint(hint));
    }
    if count > MOST_EXPERTS || u128::from(count) * u128::from(inner) > u128::from(LARGEST) {
        let message = format!("{count} experts of inner width {inner}");
        let hint = format!("at most {MOST_EXPERTS} experts, and 2^40 elements of width in all");
        return Err(Refusal::new("experts.count", message).hint(hint));
    }
    if dense_layers >= model.layers {
        let message = format!("{dense_layers} dense layers of {} leave none", model.layers);
        let hint = "without layers with experts, leave `experts` out";
        return Err(Refusal::new("experts.dense_layers", message).hint(hint));
    }
    if dense_layers == 0 && inner != model.ffn.inner {
        let dense = model.ffn.inner;
        let message = format!("experts have inner width {inner}, `ffn` has {dense}");
        let hint = "no layer is dense: `ffn.inner` is the experts'";
        return Err(Refusal::new("experts.inner", message).hint(hint));
    }
    if experts.limit.is_some()
        && !(model.ffn.gated && experts.shared.is_none() && dense_layers == 0)
    {
        let message =
            "a limit needs gated experts in every layer, and no shared network".to_owned();
        return Err(Refusal::new("experts.limit", message));
    }
    groups(experts)
}

/// Groups are of equal size and hold enough experts.
fn groups(experts: &Experts) -> Checked {
    let Some(groups) = experts.groups else { return Ok(()) };
    let refuse = |message: String| Err(Refusal::new("experts.groups", message));
    if groups.count == 0 || !experts.count.is_multiple_of(groups.count) {
        return refuse(format!(
            "{} experts are not divisible by {} groups",
            experts.count, groups.count
        ));
    }
    let size = experts.count / groups.count;
    if groups.active == 0 || groups.active > groups.count {
        return refuse(format!("{} active groups of {}", groups.active, groups.count));
    }
    if groups.best == 0 || groups.best > size {
        return refuse(format!("the {} best experts of groups of {size}", groups.best));
    }
    if groups.active * size < experts.active {
        let (groups, active) = (groups.active, experts.active);
        return refuse(format!("{groups} groups of {size} experts hold fewer than {active}"));
    }
    Ok(())
}

fn position(model: &Architecture) -> Checked {
    match model.position {
        Position::Rope { rotary_dim, .. } => {
            let head_dim = model.attention.head_dim;
            if rotary_dim == 0 || rotary_dim > head_dim || !rotary_dim.is_multiple_of(2) {
                let message = format!("`rotary_dim` is {rotary_dim} in heads of {head_dim}");
                let hint = "an even number from 2 to head_dim";
                return Err(Refusal::new("position.rope.rotary_dim", message).hint(hint));
            }
        }
        Position::Learned { positions, offset } => {
            size("position.learned.positions", positions)?;
            if offset >= positions || positions - offset < model.max_context {
                let message = format!(
                    "{positions} rows from offset {offset} do not hold max_context {}",
                    model.max_context
                );
                return Err(Refusal::new("position.learned.positions", message));
            }
        }
        Position::Alibi | Position::AlibiBf16 | Position::Relative { .. } => {}
        Position::TransformerXl => {
            if model.attention.windows.iter().any(Option::is_some) {
                let message = "relative positions do not go with a window".to_owned();
                return Err(Refusal::new("attention.windows", message));
            }
            if !model.hidden.is_multiple_of(2) {
                let message =
                    format!("relative positions need an even `hidden`, not {}", model.hidden);
                return Err(Refusal::new("hidden", message).hint("half sines, half cosines"));
            }
        }
    }
    Ok(())
}

/// What latent attention is defined for.
fn latent(model: &Architecture) -> Checked {
    let a = &model.attention;
    let Some(latent) = a.latent else { return Ok(()) };
    for width in [latent.query, Some(latent.key_value), Some(latent.value)].into_iter().flatten() {
        size("attention.latent", width)?;
    }
    let refused = |message: &str| Err(Refusal::new("attention.latent", message.to_owned()));
    if u128::from(a.heads) * u128::from(latent.value) > u128::from(LARGEST) {
        return refused("heads x the latent attention's `value` is larger than 2^40");
    }
    if a.kv_heads != a.heads {
        return refused("latent attention has as many kv_heads as heads");
    }
    match model.position {
        Position::Rope { rotary_dim, local_theta: None, .. } if rotary_dim < a.head_dim => {}
        _ => {
            let message =
                "latent attention needs `position: rope` with a `rotary_dim` below `head_dim`";
            return refused(message);
        }
    }
    let others = [
        ("qkv_bias", a.qkv_bias),
        ("out_bias", a.out_bias),
        ("qk_norm", a.qk_norm != QkNorm::None),
        ("softcap", a.softcap.is_some()),
        ("sinks", a.sinks),
        ("windows", a.windows.iter().any(Option::is_some)),
        ("an encoder", model.encoder.is_some()),
    ];
    match others.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => refused(&format!("latent attention does not go with {name}")),
        None => Ok(()),
    }
}

fn reals(model: &Architecture) -> Checked {
    let positive = |field: &'static str, value: f64| {
        let legal = value.is_finite() && value > 0.0;
        let message = || format!("`{field}` is {value}, expected a positive number");
        if legal { Ok(()) } else { Err(Refusal::new(field, message())) }
    };
    positive("norm.epsilon", model.norm.epsilon)?;
    positive("attention.scale", model.attention.scale)?;
    if let Some(experts) = &model.experts {
        positive("experts.scaling", experts.scaling)?;
        positive("experts.limit", experts.limit.unwrap_or(1.0))?;
    }
    if let Some(cap) = model.attention.softcap {
        positive("attention.softcap", cap)?;
    }
    if let Some(cap) = model.head.softcap {
        positive("head.softcap", cap)?;
    }
    if let Some(scale) = model.head.scale {
        positive("head.scale", scale)?;
    }
    if let Some(scale) = model.embedding.scale {
        positive("embedding.scale", scale)?;
    }
    if let Position::Rope { theta, ref scaling, local_theta, rotary_dim, .. } = model.position {
        positive("position.rope.theta", theta)?;
        if let Some(theta) = local_theta {
            positive("position.rope.local_theta", theta)?;
        }
        for value in scaling.iter().flat_map(scaling_numbers) {
            positive("position.rope.scaling", value)?;
        }
        if let Some(RopeScaling::Llama3 { low_freq_factor, high_freq_factor, .. }) = scaling
            && low_freq_factor >= high_freq_factor
        {
            let message = "`low_freq_factor` is not below `high_freq_factor`".to_owned();
            return Err(Refusal::new("position.rope.scaling", message));
        }
        let tables = scaling.as_ref().map_or_else(Vec::new, scaling_tables);
        if let Some((name, found)) = tables.iter().find(|(_, n)| *n as u64 != rotary_dim / 2) {
            let message = format!("`{name}` has {found} factors for {rotary_dim} rotated elements");
            let hint = "a factor for each two elements that turn together";
            return Err(Refusal::new("position.rope.scaling", message).hint(hint));
        }
    }
    Ok(())
}

/// Tables of a scaling by name, with how many factors each has.
fn scaling_tables(scaling: &RopeScaling) -> Vec<(&'static str, usize)> {
    match scaling {
        RopeScaling::LongRope { short, long, .. } => {
            vec![("short", short.len()), ("long", long.len())]
        }
        RopeScaling::Table { divisors } => vec![("divisors", divisors.len())],
        RopeScaling::Llama3 { .. } | RopeScaling::Linear { .. } | RopeScaling::Yarn { .. } => {
            vec![]
        }
    }
}

fn scaling_numbers(scaling: &RopeScaling) -> Vec<f64> {
    match *scaling {
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            vec![factor, low_freq_factor, high_freq_factor, original_context as f64]
        }
        RopeScaling::Linear { factor } => vec![factor],
        RopeScaling::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            attention_factor,
            ..
        } => {
            vec![factor, original_context as f64, beta_fast, beta_slow, attention_factor]
        }
        RopeScaling::LongRope { ref short, ref long, original_context, attention_factor } => {
            [short.as_slice(), long, &[original_context as f64, attention_factor]].concat()
        }
        RopeScaling::Table { ref divisors } => divisors.clone(),
    }
}

fn norms(model: &Architecture) -> Checked {
    if model.norm.kind == NormKind::Rms && model.norm.bias {
        let message = "an RMS norm has no bias".to_owned();
        return Err(Refusal::new("norm.bias", message).hint("remove it, or use `kind: layer`"));
    }
    match model.block {
        Block::Parallel { norms } if !(1..=2).contains(&norms) => {
            let message = format!("a parallel block with {norms} norms");
            Err(Refusal::new("block", message).hint("1: shared, 2: one for each branch"))
        }
        Block::Parallel { .. } if !model.norm.pre => {
            let message =
                "a block without norms before the sublayers must be sequential".to_owned();
            Err(Refusal::new("block", message))
        }
        Block::Parallel { .. } if model.norm.post => {
            let message = "norms behind the sublayers need a sequential block".to_owned();
            Err(Refusal::new("norm.post", message))
        }
        _ => Ok(()),
    }
}
