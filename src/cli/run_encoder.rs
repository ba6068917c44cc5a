//! `cosim run` of an encoder without a decoder.

use super::checkpoint::Loaded;
use super::error::Error;
use super::run::{RunArgs, Stored};
use super::{arrays, dump, files};
use crate::diagnostic::Diagnostic;
use crate::session::Session;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Runs the encoder on its input, and writes what was asked for.
///
/// # Errors
/// Arguments that need a decoder, no input, or a file that cannot be written.
pub fn run<S: Stored>(
    args: &RunArgs,
    loaded: &Loaded,
    mut session: Session<'_, S>,
) -> Result<(), Error> {
    refuse(args)?;
    let begun = Instant::now();
    let layers = loaded.graphs.parts().map(|(_, graph)| graph.layers()).max().unwrap_or(0);
    let keep = |name: &str| args.is_dumped(name, layers);
    let outcome = args.given.encode(loaded, &mut session, &keep)?;
    let outcome = outcome.ok_or_else(|| Diagnostic::new("the model has no encoder"))?;
    let seconds = begun.elapsed().as_secs_f64();
    let (batch, positions) = (session.past().len() as u64, session.source());
    let mut wrote: Vec<PathBuf> = vec![];
    if let Some(path) = &args.logits {
        let shape = [batch, positions, loaded.arch.hidden];
        arrays::write(path, S::KIND, &shape, &S::bytes(&outcome.logits))?;
        wrote.push(path.clone());
    }
    if let Some(path) = &args.dump {
        dump::write(path, &loaded.graphs, &outcome, &args.filter())?;
        wrote.push(path.clone());
    }
    if args.json {
        let wrote: Vec<String> = wrote.iter().map(|p| p.display().to_string()).collect();
        let value = json!({
            "model": loaded.arch.id, "sequences": batch, "positions": positions,
            "seconds": seconds, "wrote": wrote,
        });
        return files::print(&format!("{value:#}\n"));
    }
    let width = loaded.arch.hidden;
    let mut out = format!("{batch} sequences of {positions} in, hidden states of {width} out\n");
    out += &format!("{seconds:.3} s on this machine\n");
    for path in &wrote {
        out += &format!("wrote {}\n", path.display());
    }
    files::print(&out)
}

/// Refuses what only a decoder has.
fn refuse(args: &RunArgs) -> Result<(), Error> {
    let asked = [
        ("--tokens", args.given.tokens.is_some()),
        ("--text", args.given.text.is_some()),
        ("--generate", args.generate.is_some()),
        ("--hidden-states", args.hidden_states.is_some()),
        ("--cost", args.cost),
    ];
    let Some((name, _)) = asked.iter().find(|(_, given)| *given) else { return Ok(()) };
    let message = format!("{name}: the model is an encoder without a decoder");
    let hint = "--encoder-tokens with --logits, which writes its last hidden state, or --dump";
    Err(Diagnostic::new(message).hint(hint).into())
}
