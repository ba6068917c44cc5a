//! Known bugs of attention kernels. To add one: a row in the list below, of a quantized cache in `cache.rs`, of a
//! paged one in `paged.rs`.

use super::cache::{READINGS, Reading};
use super::memory::{halves, heads_first, keys_as_values, out_as_queries, swapped, values_as_keys};
use super::paged::{WALKS, Walk};
use super::{Attention, Schedule};
use crate::codec::Float;
use crate::validate::{Inputs, Mutant, Precision};

/// A known bug: the schedule that has it.
#[derive(Clone, Copy)]
pub struct Bug {
    /// Stable name.
    pub name: &'static str,
    /// What is wrong, for a person.
    pub says: &'static str,
    /// Where it lies in a schedule.
    plant: Plant,
    /// What it gives depends on the size of a tile.
    tiled: bool,
    /// It errs alike in every row.
    even: bool,
}

#[derive(Clone, Copy)]
enum Plant {
    By(fn(&mut Schedule)),
    Reading(Reading),
    Walk(Walk),
}

impl Bug {
    const fn new(name: &'static str, says: &'static str, plant: Plant) -> Self {
        Self { name, says, plant, tiled: false, even: false }
    }

    /// A bug of reading a quantized cache.
    pub(super) const fn reads(name: &'static str, says: &'static str, reading: Reading) -> Self {
        Self::new(name, says, Plant::Reading(reading))
    }

    /// A bug of walking the block table.
    pub(super) const fn walks(name: &'static str, says: &'static str, walk: Walk) -> Self {
        Self::new(name, says, Plant::Walk(walk))
    }

    /// A schedule with the bug.
    pub(super) fn planted(&self, mut schedule: Schedule) -> Schedule {
        match self.plant {
            Plant::By(plant) => plant(&mut schedule),
            Plant::Reading(reading) => schedule.bugs.cache = reading,
            Plant::Walk(walk) => schedule.bugs.walk = walk,
        }
        schedule
    }
}

const fn bug(name: &'static str, says: &'static str, plant: fn(&mut Schedule)) -> Bug {
    Bug::new(name, says, Plant::By(plant))
}

const fn tiled(name: &'static str, says: &'static str, plant: fn(&mut Schedule)) -> Bug {
    Bug { tiled: true, ..bug(name, says, plant) }
}

const fn even(name: &'static str, says: &'static str, plant: fn(&mut Schedule)) -> Bug {
    Bug { even: true, ..bug(name, says, plant) }
}

/// Known bugs of any attention.
const BUGS: &[Bug] = &[
    bug("scale-missing", "scores are not scaled", |s| s.bugs.scale = |case| 1.0 / case.scale()),
    bug("scale-squared", "scores are scaled by 1/d", |s| {
        s.bugs.scale = |case| case.usual_scale().powi(2) / case.scale();
    }),
    bug("scale-usual", "scores are scaled by 1/sqrt(d), not as is given", |s| {
        s.bugs.scale = |case| case.usual_scale() / case.scale();
    }),
    bug("causal-plus-1", "a query sees the key behind its own", |s| s.bugs.shift = 1),
    bug("causal-minus-1", "a query does not see its own key", |s| s.bugs.shift = -1),
    bug("mask-missing", "no causal mask", |s| s.bugs.unmasked = true),
    bug("causal-by-mistake", "a causal mask where every key is seen", |s| s.bugs.causal = true),
    bug("mask-top-left", "the causal mask is top-left, not bottom-right aligned", |s| {
        s.bugs.top_left = true;
    }),
    bug("head-map-modulo", "the GQA head map is h % Hk, not h / (H / Hk)", |s| {
        s.bugs.head = |case, h| h % case.kv_heads as usize;
    }),
    bug("head-map-first", "every query head reads key head 0", |s| s.bugs.head = |_, _| 0),
    bug("window-missing", "the sliding window is not applied", |s| s.bugs.window = |_| None),
    bug("window-plus-1", "the sliding window is one key too long", |s| {
        s.bugs.window = |case| case.window.map(|w| w + 1);
    }),
    bug("window-minus-1", "the sliding window is one key too short", |s| {
        s.bugs.window = |case| case.window.map(|w| w.saturating_sub(1));
    }),
    bug("window-by-mistake", "a sliding window of half the keys is applied", |s| {
        s.bugs.window = |case| case.window.or(Some(case.keys().div_ceil(2)));
    }),
    tiled("tail-unmasked", "padded keys of the last tile are not masked", |s| s.bugs.padded = true),
    tiled("rescale-missing", "no rescale of sums when the maximum grows", |s| {
        s.bugs.unscaled = true;
    }),
    tiled("tile-missing", "the last tile is not read", |s| s.bugs.short = true),
    tiled("splits-averaged", "two splits of the keys are averaged without their sums", |s| {
        s.splits = 2;
        s.bugs.averaged = true;
    }),
    bug("exp2", "exp2 without the factor log2(e)", |s| s.bugs.base2 = true),
    bug("softcap-missing", "scores are not capped", |s| s.bugs.softcap = false),
    bug("alibi-missing", "no bias by distance", |s| s.bugs.alibi = false),
    bug("sinks-missing", "sinks do not join the sum", |s| s.bugs.sinks = false),
    even("fp16-sums", "sums are kept in fp16", |s| s.bugs.sums = Some(Float::FP16)),
    bug("values-halves", "the halves of a value's head are swapped", |s| {
        s.bugs.inputs = Some(|case, i| i.with("v", halves(case.value_dim(), i.of("v"))));
    }),
    bug("query-halves", "the halves of a query's head are swapped", |s| {
        s.bugs.inputs = Some(|case, i| i.with("q", halves(case.head_dim, i.of("q"))));
    }),
    bug("kv-swapped", "keys and values are swapped", |s| s.bugs.memory = Some(swapped)),
    bug("scale-of-values", "scores are scaled by 1/sqrt of the values' width", |s| {
        s.bugs.scale = |case| 1.0 / (case.value_dim() as f64).sqrt() / case.scale();
    }),
    bug("value-stride", "values are read with the stride of keys", |s| {
        s.bugs.memory = Some(values_as_keys);
    }),
    bug("key-stride", "keys are read with the stride of values", |s| {
        s.bugs.memory = Some(keys_as_values);
    }),
    bug("out-stride", "the output is written with the stride of queries", |s| {
        s.bugs.written = Some(out_as_queries);
    }),
    bug("q-layout", "queries are read as [heads, tokens, d]", |s| {
        s.bugs.inputs = Some(|case, i| i.with("q", heads_first(i.of("q"), case.query_shape())));
    }),
    bug("k-layout", "keys are read as [heads, tokens, d]", |s| {
        s.bugs.inputs = Some(|case, i| i.with("k", heads_first(i.of("k"), case.key_shape())));
    }),
    bug("v-layout", "values are read as [heads, tokens, d]", |s| {
        s.bugs.inputs = Some(|case, i| i.with("v", heads_first(i.of("v"), case.value_shape())));
    }),
    bug("out-layout", "the output is written as [heads, tokens, d]", |s| {
        s.bugs.output = Some(|case, row| {
            let [_, tokens, heads, _] = case.out_shape().map(|n| n as usize);
            let (sequence, place) = (row / (tokens * heads), row % (tokens * heads));
            let (h, t) = (place / tokens, place % tokens);
            (sequence * tokens + t) * heads + h
        });
    }),
];

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [usize; 4] = [16, 32, 64, 128];

/// What a case gives with a bug.
fn mutant<'a>(case: &'a Attention, bug: &'static Bug, tile: usize) -> Mutant<'a> {
    let schedule = move |format| {
        bug.planted(Schedule { tile, probabilities: format, output: format, ..Schedule::PLAIN })
    };
    let run = move |inputs: &Inputs, precision| {
        vec![match precision {
            Precision::Exact => {
                let (schedule, rows) = (schedule(None), case.rows().collect::<Vec<_>>());
                schedule.whole(case, schedule.exact(case, inputs, &rows))
            }
            Precision::Kernel => schedule(Some(case.dtype.float())).run::<f32>(case, inputs),
        }]
    };
    let rows = move |inputs: &Inputs, rows: &[usize]| schedule(None).exact(case, inputs, rows);
    Mutant {
        form: bug.tiled.then(|| format!("tiles of {tile}")),
        rows: schedule(None).bugs.written.is_none().then(|| Box::new(rows) as _),
        even: bug.even,
        idle: schedule(None).is_idle(case),
        ..Mutant::new(bug.name, bug.says, run)
    }
}

/// The bugs on a case, those that depend on tiles in each size of them.
pub(super) fn of(case: &Attention) -> Vec<Mutant<'_>> {
    let forms = |bug: &'static Bug| {
        let tiles: &[usize] = if bug.tiled { &TILES } else { &TILES[1..2] };
        tiles.iter().map(move |&tile| mutant(case, bug, tile))
    };
    known(case).flat_map(forms).collect()
}

/// The bugs that a case may have: there is a table to misread where there are blocks.
pub(super) fn known(case: &Attention) -> impl Iterator<Item = &'static Bug> + use<> {
    let walks: &[Bug] = if case.block.is_some() { WALKS } else { &[] };
    BUGS.iter().chain(READINGS).chain(walks)
}
