//! Known bugs on a part of a large output first, and over everything only those that may be the likeliest (A140).

use super::case::{Mutant, Precision};
use super::diagnosis::{Diagnosis, Over, Suspect, TIE, nmse, tied, within};
use super::difference::gap;
use super::layout::Inputs;
use super::reference::{Judged, Reference, Tick};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::ops::Range;

/// One row in so many is looked at.
const ONE_IN: usize = 8;

/// Elements of the part at most.
const LARGEST: usize = 1 << 20;

/// Rows from which on a part shows what every row does alike.
const MANY: usize = 32;

/// Bugs that are run over everything at least: those that are shown to a person.
const SHOWN: usize = 3;

/// Rows of an output that bugs are tried on: half of them drawn, half the farthest from the truth.
struct Part<'a> {
    judged: &'a Judged<'a>,
    rows: Vec<usize>,
    width: usize,
    /// Root of the sum of squares of the whole output.
    norm: f64,
}

impl<'a> Part<'a> {
    fn new(judged: &'a Judged<'a>) -> Self {
        let Judged { got, reference } = judged;
        let width = reference.output.layout.width().max(1);
        let all = got.len() / width;
        let half = (all / ONE_IN).min(LARGEST / width).max(2) / 2;
        let error = |row: usize| {
            let error: f64 = (row * width..(row + 1) * width)
                .map(|i| gap(got[i], reference.truth[i]).powi(2))
                .sum();
            if error.is_nan() { f64::INFINITY } else { error }
        };
        let mut worst: Vec<(f64, usize)> = (0..all).map(|row| (error(row), row)).collect();
        worst.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let drawn = rand::seq::index::sample(&mut random, all, half.min(all));
        let worst = worst.iter().take(half).map(|&(_, row)| row);
        let rows: BTreeSet<usize> = drawn.into_iter().chain(worst).collect();
        let norm = got.iter().filter(|x| x.is_finite()).map(|x| x * x).sum::<f64>().sqrt();
        Self { judged, rows: rows.into_iter().collect(), width, norm }
    }

    fn elements(&self, row: usize) -> Range<usize> {
        row * self.width..(row + 1) * self.width
    }

    fn of(&self, values: &[f64]) -> Vec<f64> {
        self.rows.iter().flat_map(|&row| &values[self.elements(row)]).copied().collect()
    }

    /// Its references.
    fn reference(&self) -> Reference {
        let Reference { output, truth, emulated, tolerance, usual } = self.judged.reference;
        Reference {
            output: output.clone(),
            truth: self.of(truth),
            emulated: self.of(emulated),
            tolerance: self.of(tolerance),
            usual: *usual,
        }
    }

    /// Whether what the part does not show of a bug, no row does.
    fn speaks_for(&self, mutant: &Mutant<'_>) -> bool {
        mutant.even && mutant.rows.is_some() && self.rows.len() >= MANY
    }

    /// The least that a bug may leave of the whole output whose own is `other` on the part.
    ///
    /// With `n` the root of the sum of squares of what it leaves on the part, and `g` that of the output, what
    /// it leaves of everything is `N >= n`, and its own norm at most `g + N`: the residual `(N / (g + N))^2`
    /// at least, which grows with `N`.
    fn bound(&self, got: &[f64], other: &[f64]) -> f64 {
        let left: f64 = got.iter().zip(other).map(|(&a, &b)| gap(a, b).powi(2)).sum();
        match left.sqrt() {
            left if left.is_finite() && left + self.norm > 0.0 => {
                (left / (self.norm + left)).powi(2)
            }
            0.0 => 0.0,
            _ => f64::INFINITY,
        }
    }
}

/// A bug that was tried on the part.
struct Tried<'a> {
    /// Its place among the case's.
    at: usize,
    mutant: Mutant<'a>,
    on_part: Vec<f64>,
    bound: f64,
    residual: f64,
    over: Over,
    /// The whole output, while it may be the likeliest.
    output: Option<Vec<f64>>,
}

/// What running every bug over everything gives, but for the order behind the likeliest.
pub(super) fn screened(
    mutants: Vec<Mutant<'_>>,
    inputs: &Inputs,
    judged: &Judged<'_>,
    tick: Tick<'_>,
) -> Diagnosis {
    let part = Part::new(judged);
    let own = [part.reference()];
    let truth = std::slice::from_ref(judged.reference);
    let whole = |mutant: &Mutant<'_>| (mutant.run)(inputs, Precision::Exact).remove(0);
    let (mut candidates, unseen) = on_part(mutants, inputs, &part, &own);
    let (mut hidden, mut tried) = (vec![], vec![]);
    for (at, mutant) in unseen {
        let output = (!mutant.idle && !part.speaks_for(&mutant)).then(|| whole(&mutant));
        if let Some(output) = output.filter(|output| differs(output, truth)) {
            let (on_part, residual) = (part.of(&output), nmse(&output, judged.got));
            let (bound, over, output) = (0.0, Over::Everything, Some(output));
            tried.push(Tried { at, mutant, on_part, bound, residual, over, output });
            forget(&mut tried);
        } else {
            hidden.push(mutant.name);
        }
        tick();
    }
    candidates.sort_by(|a, b| a.residual.total_cmp(&b.residual));
    let mut named = BTreeSet::new();
    for mut bug in candidates {
        if named.len() < SHOWN || bug.bound <= TIE * least(&tried) {
            named.insert(bug.mutant.name);
            let output = whole(&bug.mutant);
            bug.residual = nmse(&output, judged.got);
            (bug.over, bug.output) = (Over::Everything, Some(output));
        }
        tried.push(bug);
        forget(&mut tried);
        tick();
    }
    ranked(tried, hidden, (truth, &own), judged)
}

/// The bugs that the part shows as it shows them, and the others with their places.
fn on_part<'a>(
    mutants: Vec<Mutant<'a>>,
    inputs: &Inputs,
    part: &Part<'_>,
    own: &[Reference],
) -> (Vec<Tried<'a>>, Vec<(usize, Mutant<'a>)>) {
    let got = part.of(part.judged.got);
    let (mut shown, mut unseen) = (vec![], vec![]);
    for (at, mutant) in mutants.into_iter().enumerate() {
        let on_part =
            mutant.rows.as_ref().filter(|_| !mutant.idle).map(|rows| rows(inputs, &part.rows));
        match on_part.filter(|on_part| differs(on_part, own)) {
            None => unseen.push((at, mutant)),
            Some(on_part) => {
                let (bound, residual) = (part.bound(&got, &on_part), nmse(&on_part, &got));
                let (over, output) = (Over::Part, None);
                shown.push(Tried { at, mutant, on_part, bound, residual, over, output });
            }
        }
    }
    (shown, unseen)
}

/// Whether a bug shows: as over everything, more than four times the tolerance from the truth somewhere.
fn differs(output: &[f64], references: &[Reference]) -> bool {
    let truth: Vec<&[f64]> = references.iter().map(|r| r.truth.as_slice()).collect();
    !within(&[output.to_vec()], &truth, references, 4.0)
}

/// The least that a bug leaves of everything.
fn least(tried: &[Tried<'_>]) -> f64 {
    let whole = tried.iter().filter(|t| t.over == Over::Everything);
    whole.map(|t| t.residual).fold(f64::INFINITY, f64::min)
}

/// Drops the outputs that are no tie of the likeliest.
fn forget(tried: &mut [Tried<'_>]) {
    let least = least(tried);
    let far = tried.iter_mut().filter(|t| t.residual > TIE * least);
    far.for_each(|t| t.output = None);
}

/// A suspect, with what it gives on the part.
type OnPart = (Suspect, Vec<f64>);

/// Whether both give the same, as far as they are known.
fn alike(
    (a, a_part): &OnPart,
    (b, b_part): &OnPart,
    (truth, own): (&[Reference], &[Reference]),
) -> bool {
    let equal = |a: &[f64], b: &[f64], references| within(&[a.to_vec()], &[b], references, 1e-6);
    let whole = match (a.output.as_slice(), b.output.as_slice()) {
        ([a], [b]) => equal(a, b, truth),
        _ => (a.residual - b.residual).abs() <= 1e-9 * a.residual,
    };
    a.over == b.over && whole && equal(a_part, b_part, own)
}

/// Bugs that give the same together, by what they leave; those that were seen on the part alone come last.
fn ranked(
    mut tried: Vec<Tried<'_>>,
    mut hidden: Vec<&'static str>,
    references: (&[Reference], &[Reference]),
    judged: &Judged<'_>,
) -> Diagnosis {
    tried.sort_by_key(|bug| bug.at);
    let mut suspects: Vec<OnPart> = vec![];
    for bug in tried {
        let Mutant { name, says, form, .. } = bug.mutant;
        let (names, residual, over) = (vec![name], bug.residual, bug.over);
        let output = bug.output.into_iter().collect();
        let found = (Suspect { names, says, form, residual, over, output }, bug.on_part);
        match suspects.iter_mut().find(|other| alike(&found, other, references)) {
            Some((equal, _)) if equal.names.contains(&name) => {}
            Some((equal, _)) => equal.names.push(name),
            None => suspects.push(found),
        }
    }
    let mut suspects: Vec<Suspect> = suspects.into_iter().map(|(suspect, _)| suspect).collect();
    let behind = |s: &Suspect| s.over == Over::Part;
    suspects.sort_by(|a, b| behind(a).cmp(&behind(b)).then(a.residual.total_cmp(&b.residual)));
    let mut once = BTreeSet::new();
    let shown = |name: &str| suspects.iter().any(|s| s.names.contains(&name));
    hidden.retain(|&name| !shown(name) && once.insert(name));
    let against_truth = nmse(&judged.reference.truth, judged.got);
    Diagnosis { suspects: tied(suspects, references.0), not_observable: hidden, against_truth }
}
