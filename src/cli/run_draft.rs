//! `cosim run --draft`: speculative sampling, and how often drafts are accepted.

use super::checkpoint::Loaded;
use super::error::Error;
use super::run::{RunArgs, session};
use super::{files, terminal};
use crate::diagnostic::Diagnostic;
use crate::exec::Kernels;
use crate::model::Output;
use crate::session::{Pair, Speculation};
use crate::weights::Weights;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::time::Instant;

/// Goes on with the text, the second model drafting for the first.
pub fn run(
    args: &RunArgs,
    [(target, of_target), (draft, of_draft)]: [(&Loaded, &dyn Weights<f32>); 2],
    kernels: &dyn Kernels<f32>,
) -> Result<(), Error> {
    if target.arch.encoder.is_some() || draft.arch.encoder.is_some() {
        return Err(
            Diagnostic::new("models with an encoder do not draft, nor are drafted for").into()
        );
    }
    if [target, draft].iter().any(|model| model.output != Output::Logits) {
        let message = "models without a head do not draft, nor are drafted for";
        return Err(Diagnostic::new(message).into());
    }
    let (ours, theirs) = (target.arch.vocabulary, draft.arch.vocabulary);
    if ours != theirs {
        let message = format!("the draft's vocabulary of {theirs} is not the target's of {ours}");
        return Err(Diagnostic::new(message).hint("a draft proposes tokens of the target").into());
    }
    let given = args.given.tokens(target)?;
    let [prompt] = given.as_slice() else {
        return Err(Diagnostic::new("speculative sampling runs one sequence").into());
    };
    let mut first = session(args, (&target.arch, &target.graphs), of_target, kernels);
    let mut second = session(args, (&draft.arch, &draft.graphs), of_draft, kernels);
    let count = args.generate.unwrap_or(0);
    let mut stream = ChaCha8Rng::seed_from_u64(args.seed);
    let bar = terminal::progress(count as u64);
    let begun = Instant::now();
    let made = Pair { target: &mut first, draft: &mut second }.generate(
        prompt,
        (count, args.gamma),
        (args.temperature, &mut stream),
        &mut |new| bar.inc(new.len() as u64),
    )?;
    bar.finish_and_clear();
    report(args, target, &made, begun.elapsed().as_secs_f64())
}

fn report(args: &RunArgs, target: &Loaded, made: &Speculation, seconds: f64) -> Result<(), Error> {
    let text = target.tokenizer.as_ref().ok().and_then(|t| t.decode(&made.tokens).ok());
    let yielded = made.tokens.len() as f64 / made.steps.max(1) as f64;
    if args.json {
        // Positions that were never reached have no rate; those before them do.
        let rates: Vec<f64> = made.rates().into_iter().map_while(|rate| rate).collect();
        let value = json!({
            "model": target.arch.id, "generated": [made.tokens], "text": text, "seconds": seconds,
            "gamma": args.gamma, "verify_steps": made.steps, "tokens_per_step": yielded,
            "offered": made.offered, "accepted": made.accepted, "acceptance": rates,
        });
        return files::print(&format!("{value:#}\n"));
    }
    let mut out = made.tokens.iter().map(u64::to_string).collect::<Vec<_>>().join(",") + "\n";
    if let Some(text) = text {
        out += &format!("{text}\n");
    }
    let percent =
        |rate: Option<f64>| rate.map_or("-".to_owned(), |r| format!("{:.1} %", 100.0 * r));
    let rates = made.rates().into_iter().map(percent).collect::<Vec<_>>().join(", ");
    out += &format!(
        "{} tokens in {} verify steps, {yielded:.2} a step; accepted by position: {rates}\n{seconds:.3} s\n",
        made.tokens.len(),
        made.steps,
    );
    files::print(&out)
}
