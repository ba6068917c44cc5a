//! Laws of the KV cache: paged attention equals contiguous, layouts and their slots, host memory.

use crate::support::case::{any_case, requests};
use crate::support::cases;
use crate::support::machines::machine;
use crate::support::random::{architectures, tiny};
use crate::support::sequences::{Inputs, LOGITS, Sequence, advance, packed, plain};
use cosim::cost::{Estimator, Memory, Request, Resource};
use cosim::dtype::Scheme;
use cosim::exec::{PagedRows, run, run_paged};
use cosim::graph::Graph;
use cosim::hardware::Fidelity;
use cosim::mapping::Plan;
use cosim::model::BuildOptions;
use cosim::serving::Tables;
use cosim::tensor::{KvLayout, Mask, Offload, Placement, Reserve, Sharing, Step};
use proptest::prelude::*;
use std::num::NonZeroU64;

fn size(block: u64) -> NonZeroU64 {
    NonZeroU64::new(block).expect("above zero")
}

fn paged(block: u64) -> KvLayout {
    KvLayout::Paged { block: size(block), sharing: Sharing::NONE }
}

fn in_host(kv: bool, weights: bool) -> Placement {
    Placement { offload: Offload { kv, weights }, ..Placement::default() }
}

/// Two sequences with the same first tokens, processed; the second begins in the first one's
/// blocks as far as they are full.
fn shared(graph: &Graph, seed: u64, common: usize, lengths: [usize; 2]) -> [Sequence; 2] {
    let draw = |seed| Sequence::new(seed, common + 40, 2);
    let mut pair = [draw(seed), draw(seed + 1)];
    let prefix = pair[0].tokens[..common].to_vec();
    pair[1].tokens[..common].copy_from_slice(&prefix);
    for (sequence, own) in pair.iter_mut().zip(lengths) {
        let one = std::slice::from_mut(sequence);
        let step = packed(one, &[common + own]);
        advance(&plain(graph), seed, &step, one);
    }
    pair
}

/// Block tables over a pool whose order is shuffled; blocks full of common tokens are shared.
fn tables(block: u64, common: usize, lengths: [usize; 2], order: &[u32]) -> Vec<Vec<u32>> {
    let mut tables = Tables::new(order.len() as u32, size(block));
    tables.create(0).expect("free");
    (0..lengths[0]).for_each(|_| assert!(tables.append(0).is_ok()));
    let held = tables.share_prefix(0, 1, common as u64).expect("there");
    (held..lengths[1] as u64).for_each(|_| assert!(tables.append(1).is_ok()));
    let of = |id| tables.table(id).expect("there").iter().map(|&b| order[b as usize]).collect();
    vec![of(0), of(1)]
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn paged_attention_equals_contiguous(
        model in architectures(&tiny()), block in 1..6u64, seed in 0..1000u64,
        common in 1..9usize, past in (0..6usize, 0..6usize), new in (1..5usize, 1..5usize),
        order in Just((0..64u32).collect::<Vec<u32>>()).prop_shuffle(),
    ) {
        let graph = model.graph(&BuildOptions::default()).expect("a random model types");
        let past = [past.0, past.1];
        let sequences = shared(&graph, seed, common, past);
        let step = packed(&sequences, &[new.0, new.1]);
        let mut inputs = Inputs { seed, ..Inputs::default() };
        for (sequence, place) in sequences.iter().zip(step.sequences()) {
            inputs.tokens.extend(&sequence.tokens[place.past..place.past + place.new]);
            for (name, rows) in &sequence.cache {
                inputs.cache.entry(name.clone()).or_default().extend(rows);
            }
        }
        let keep = |name: &str| name == LOGITS;
        let lengths = [common + past[0] + new.0, common + past[1] + new.1];
        let tables = tables(block, common, lengths, &order);
        let tables: Vec<&[u32]> = tables.iter().map(Vec::as_slice).collect();
        let shared = common as u64 / block;
        prop_assert_eq!(&tables[0][..shared as usize], &tables[1][..shared as usize]);
        let rows = PagedRows::new(&step, size(block), &tables);
        let expected = run::<f64>(&graph, &step, &inputs, &keep);
        let found = run_paged::<f64>(&graph, &step, &inputs, &rows, &keep);
        // The sums are the same in the same order: equal to the last bit, caches included.
        prop_assert_eq!(found, expected);
        // Entries that the cost model counts: those of all blocks under the causal mask.
        let entries: usize = tables.iter().map(|t| t.len()).sum();
        prop_assert_eq!(step.visible_blocks(Mask::Causal, size(block)), entries as f64);
    }

    #[test]
    fn layouts_hold_what_their_policies_say(
        prompt in 1..5000u64, output in 0..3000u64, block in 1..300u64, more in 0..5000u64,
    ) {
        let tokens = prompt + output;
        let contiguous = |reserve, longest| KvLayout::Contiguous { reserve, longest };
        let slots = |layout: KvLayout| layout.slots(prompt, output).expect("long enough");
        let oracle = slots(contiguous(Reserve::Oracle, u64::MAX));
        let pow2 = slots(contiguous(Reserve::Pow2, u64::MAX));
        let longest = pow2 + more;
        prop_assert_eq!(oracle, tokens);
        prop_assert!(pow2 >= oracle && pow2 <= prompt + 2 * output.max(1));
        prop_assert!(slots(contiguous(Reserve::Max, longest)) >= pow2);
        prop_assert_eq!(slots(contiguous(Reserve::Max, longest)), longest);
        let found = slots(paged(block));
        prop_assert!(found >= tokens && found - tokens < block);
        prop_assert_eq!(found % block, 0);
        if tokens > 1 {
            prop_assert!(contiguous(Reserve::Max, tokens - 1).slots(prompt, output).is_err());
        }
    }

    #[test]
    fn paging_wastes_less_than_a_block_a_sequence_and_costs_its_table(
        case in any_case(), request in requests(), block in 1..200u64,
    ) {
        case.on(Fidelity::Ideal, |plan, machine, e| {
            let laid_out = Placement { layout: paged(block), ..Placement::default() };
            let other = plan.clone().placed(laid_out);
            let (exact, found) = (
                Memory::of(plan, &request).expect("valid"),
                Memory::of(&other, &request).expect("valid"),
            );
            let slot = plan.footprint.kv_per_token().get() * request.batch() as f64;
            prop_assert_eq!(exact.kv_unused.get(), 0.0);
            // A window may lie across one block more than it fills.
            let most = slot * block as f64 * if plan.windows.is_empty() { 1.0 } else { 2.0 };
            prop_assert!(found.kv >= exact.kv && (found.kv - exact.kv).get() < most);
            prop_assert!(((found.kv - exact.kv) - found.kv_unused).get().abs() <= 1e-9 * most);
            let priced = Estimator::new(&other, machine).expect("the same engines");
            let (before, after) =
                (e.summary(&request).expect("valid"), priced.summary(&request).expect("valid"));
            prop_assert!(after.total >= before.total * (1.0 - 1e-12));
            Ok(())
        })?;
    }
}

/// A plan of a bundled model.
fn plan(model: &str) -> Plan {
    let model = cosim::model::load_bundled(model).expect("bundled");
    let graphs = model.graphs(&BuildOptions::default()).expect("types");
    Plan::of(graphs.parts(), &Scheme::sixteen_bit())
}

#[test]
fn block_tables_are_four_bytes_a_block_sequence_and_layer() {
    let machine = machine("h100-sxm", Fidelity::Ideal);
    let request = Request::Decode { batch: 8, context: 1000 };
    let bytes = |layout| {
        let plan = plan("llama-3-8b").placed(Placement { layout, ..Placement::default() });
        let report = Estimator::new(&plan, &machine).expect("engines").report(&request);
        let phase = report.expect("valid").phases.remove(0);
        phase.operators.iter().map(|o| o.bytes.get()).sum::<f64>()
    };
    let table = bytes(paged(16)) - bytes(KvLayout::default());
    assert_eq!(table, 4.0 * 63.0 * 8.0 * 32.0);
}

#[test]
fn offloaded_bytes_pass_the_host_link_and_never_make_it_faster() {
    let machine = machine("h100-sxm", Fidelity::Ideal);
    let request = Request::Decode { batch: 8, context: 1000 };
    let step = Step::decode(8, 1000).expect("valid");
    let base = plan("llama-3-8b");
    let report = |placement| {
        let plan = base.clone().placed(placement);
        let estimator = Estimator::new(&plan, &machine).expect("a host link");
        let report = estimator.report(&request).expect("valid");
        let hosted: f64 = report.phases[0].operators.iter().map(|o| o.hosted.get()).sum();
        (report, hosted)
    };
    let (plain, none) = report(in_host(false, false));
    assert_eq!(none, 0.0);
    let (kv, kv_bytes) = report(in_host(true, false));
    let (weights, weight_bytes) = report(in_host(false, true));
    let (both, both_bytes) = report(in_host(true, true));
    // The whole cache is read, and the new token's keys and values are written.
    let cache = base.footprint.kv(8.0, 1000) + base.footprint.kv(8.0, 1);
    assert_eq!(kv_bytes, cache.get());
    // Of the embedding, a row for each token.
    let rows = step.tokens() * 4096.0 * 2.0;
    let read = base.footprint.weights.total - base.footprint.weights.embedding_only;
    assert_eq!(weight_bytes, read.get() + rows);
    assert_eq!(both_bytes, kv_bytes + weight_bytes);
    let total = |r: &cosim::cost::CostReport| r.summary.total;
    assert!(total(&kv) > total(&plain) && total(&weights) > total(&kv));
    assert!(total(&both) >= total(&weights));
    // At least as long as the link takes for them.
    let host = machine.host.as_ref().expect("a host link").bandwidth.get();
    assert!(total(&weights).get() >= weight_bytes / host);
    assert_eq!(weights.summary.memory.weights.get(), 0.0);
    assert_eq!(weights.summary.memory.offloaded, plain.summary.memory.weights);
    assert_eq!(both.summary.memory.total(), plain.summary.memory.activations);
    assert!(kv.capacity.max_batch > plain.capacity.max_batch);
    let slowest = kv.phases[0]
        .operators
        .iter()
        .filter(|o| o.bound == cosim::cost::Bound::Resource(Resource::Host));
    assert!(slowest.count() > 0, "attention waits for the host link");
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn offloaded_is_never_faster(case in any_case(), request in requests(), which in 1..4u8) {
        case.on(Fidelity::Ideal, |plan, machine, e| {
            if machine.host.is_none() {
                return Ok(());
            }
            let other = plan.clone().placed(in_host(which & 1 > 0, which & 2 > 0));
            let slow = Estimator::new(&other, machine).expect("a host link");
            let (fast, slow) =
                (e.summary(&request).expect("valid"), slow.summary(&request).expect("valid"));
            prop_assert!(slow.total >= fast.total);
            let sum = slow.memory.total() + slow.memory.offloaded;
            prop_assert!((sum / fast.memory.total() - 1.0).abs() < 1e-12);
            Ok(())
        })?;
    }
}
