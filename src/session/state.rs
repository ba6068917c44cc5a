//! Sequences that a model goes on with.

mod crossing;

use crate::exec::{Kernels, PagedRows, run_with};
use crate::graph::{Graph, Kind, NodeId};
use crate::model::{Architecture, Graphs};
use crate::op::scalar::Scalar;
use crate::tensor::{Group, Logits, Phase, Role, Step, StepError};
use crate::weights::{Given, WeightError, Weights};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

type Key = (Option<u64>, String);

/// A step that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Weights that cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightError),
    /// A step that is none.
    #[error(transparent)]
    Step(#[from] StepError),
    /// A token that the vocabulary lacks.
    #[error("token {token} is outside the vocabulary of {vocabulary}")]
    Token {
        /// The token.
        token: u64,
        /// Rows of the embedding.
        vocabulary: u64,
    },
    /// More tokens than there are learned positions.
    #[error(
        "a sequence of {length} tokens is longer than the {positions} positions of the model's table"
    )]
    Positions {
        /// Tokens with those before the step.
        length: u64,
        /// Positions that are learned.
        positions: u64,
    },
    /// Values asked of a step that computes all tokens again.
    #[error(
        "the step takes a sequence across the {context} tokens at which `longrope` changes its factors, \
         so that all tokens are computed again: its values cannot be kept; give the tokens in one step"
    )]
    Crossing {
        /// Trained context, tokens.
        context: u64,
    },
    /// Encoder input of another shape.
    #[error("{0}")]
    Input(String),
}

/// What an encoder reads.
#[derive(Debug, Clone)]
pub enum Encoded<'a, S> {
    /// Token ids, a sequence each, all as long.
    Tokens(&'a [Vec<u64>]),
    /// Frames of all sequences, one behind another: `[batch, frames, channels]`.
    Frames {
        /// Sequences.
        batch: u64,
        /// Frames of each.
        frames: u64,
        /// The numbers.
        values: &'a [S],
    },
}

/// What a step gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<S> {
    /// `[rows, vocabulary]`: the last token's of each sequence, or every token's, sequence by sequence; hidden
    /// states `[rows, hidden]` of a model without a head.
    pub logits: Vec<S>,
    /// Values that were asked for, by layer and name of their node.
    pub kept: BTreeMap<Key, Vec<S>>,
}

/// Sequences with their caches, and what they are run with.
pub struct Session<'a, S> {
    arch: &'a Architecture,
    graphs: &'a Graphs,
    kernels: &'a dyn Kernels<S>,
    block: Option<NonZeroU64>,
    given: Given<'a, S>,
    caches: BTreeMap<Key, Vec<S>>,
    /// Tokens of each sequence that are cached; empty before the first step.
    past: Vec<u64>,
    /// The same tokens.
    text: Vec<Vec<u64>>,
    /// Whether cached keys are turned as beyond the trained context (A121).
    beyond: bool,
    /// Positions that the encoder kept of each sequence.
    source: u64,
}

impl<'a, S: Scalar> Session<'a, S> {
    /// A session without sequences; so many elements of weights are kept in memory.
    pub fn new(
        (arch, graphs): (&'a Architecture, &'a Graphs),
        weights: &'a dyn Weights<S>,
        kernels: &'a dyn Kernels<S>,
        room: usize,
    ) -> Self {
        let given = Given::new(weights, room);
        Self {
            arch,
            graphs,
            kernels,
            block: None,
            given,
            caches: BTreeMap::new(),
            past: vec![],
            text: vec![],
            beyond: false,
            source: 0,
        }
    }

    /// The same with its cache in blocks of so many tokens, sequences' blocks interleaved.
    pub fn paged(self, block: NonZeroU64) -> Self {
        Self { block: Some(block), ..self }
    }

    /// Forgets the sequences; weights in memory stay.
    pub fn restart(&mut self) {
        self.caches.clear();
        self.past.clear();
        self.text.clear();
        self.source = 0;
    }

    /// Numbers of a row of the result: logits, or a hidden state.
    pub fn width(&self) -> usize {
        let graph = self.graphs.of(Phase::Prefill);
        let result = graph.and_then(|graph| result(graph).map(|id| graph.node(id).ty.width));
        result.unwrap_or(self.arch.hidden) as usize
    }

    /// Refuses a model without a head, which gives no tokens.
    ///
    /// # Errors
    /// No head.
    pub(super) fn has_head(&self) -> Result<(), RunError> {
        let graph = self.graphs.of(Phase::Prefill);
        let logits = graph.is_some_and(|graph| graph.nodes().any(|(_, n)| n.name == RESULTS[1]));
        let message = || "the model has no head: it ends with hidden states, and makes no tokens";
        if logits { Ok(()) } else { Err(RunError::Input(message().to_owned())) }
    }

    /// Tokens cached of each sequence.
    pub fn past(&self) -> &[u64] {
        &self.past
    }

    /// Positions that the encoder kept of each sequence.
    pub const fn source(&self) -> u64 {
        self.source
    }

    /// Keeps the first `length` tokens of the only sequence.
    pub fn truncate(&mut self, length: u64) {
        let Some(past) = self.past.first_mut().filter(|past| **past > length) else { return };
        let rows = *past;
        *past = length;
        self.text[0].truncate(length as usize);
        for ((_, name), rows_of) in &mut self.caches {
            if !name.starts_with("cross.") {
                let width = rows_of.len() / rows as usize;
                rows_of.truncate(length as usize * width);
            }
        }
    }

    /// Runs the encoder and keeps what the decoder attends to; returns its last hidden state,
    /// `[batch, positions, hidden]`.
    ///
    /// # Errors
    /// No encoder, input of another shape, or weights that cannot be read.
    pub fn encode(
        &mut self,
        input: &Encoded<'_, S>,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Outcome<S>, RunError> {
        let graph = self.graphs.of(Phase::Encode);
        let graph = graph.ok_or_else(|| RunError::Input("the model has no encoder".to_owned()))?;
        self.restart();
        let (batch, positions) = self.give(input, graph)?;
        let step = Step::encode(batch, positions)?;
        let values = run_with(graph, &step, &self.given, (self.kernels, None), keep);
        self.given.checked()?;
        (self.past, self.source) = (vec![0; batch as usize], positions);
        self.text = vec![vec![]; batch as usize];
        let mut kept = BTreeMap::new();
        for (key, value) in values.kept {
            if key.1.starts_with("cross.append") {
                self.caches.insert(key, value);
            } else {
                kept.insert(key, value);
            }
        }
        let logits = values.outputs.into_iter().next().unwrap_or_default();
        Ok(Outcome { logits, kept })
    }

    /// Gives the encoder its input; sequences and positions of each.
    fn give(&mut self, input: &Encoded<'_, S>, graph: &Graph) -> Result<(u64, u64), RunError> {
        self.given.clear();
        let wants = |name: &str| graph.nodes().find(|(_, node)| node.name == name);
        let wrong = |what: &str| Err(RunError::Input(what.to_owned()));
        match input {
            Encoded::Tokens(sequences) => {
                if wants("encoder.token_ids").is_none() {
                    return wrong("the encoder reads frames, not tokens");
                }
                let length = sequences.first().map_or(0, Vec::len);
                if sequences.iter().any(|s| s.len() != length) {
                    return wrong("encoder inputs must be as long as each other");
                }
                let ids = self.ids(sequences)?;
                self.given.set(None, "encoder.token_ids", ids);
                Ok((sequences.len() as u64, length as u64))
            }
            Encoded::Frames { batch, frames, values } => {
                let Some((_, node)) = wants("encoder.mel") else {
                    return wrong("the encoder reads tokens, not frames");
                };
                let channels = node.ty.width;
                if values.len() as u64 != batch * frames * channels {
                    return Err(RunError::Input(format!("frames must have {channels} channels")));
                }
                let positions = self.arch.encoder.map_or(0, |e| e.max_source);
                if *frames != 2 * positions {
                    let wanted = 2 * positions;
                    let message = format!("{frames} frames are given; the model takes {wanted}");
                    return Err(RunError::Input(message));
                }
                self.given.set(None, "encoder.mel", values.to_vec());
                Ok((*batch, positions))
            }
        }
    }

    fn ids(&self, sequences: &[Vec<u64>]) -> Result<Vec<S>, RunError> {
        let vocabulary = self.arch.vocabulary;
        if let Some(&token) = sequences.iter().flatten().find(|&&t| t >= vocabulary) {
            return Err(RunError::Token { token, vocabulary });
        }
        Ok(sequences.iter().flatten().map(|&t| S::constant(t as f64)).collect())
    }

    /// Goes on with new tokens of every sequence. Where that takes one across the length at which LongRoPE
    /// changes its factors, all tokens are computed again (A121); values cannot be kept then.
    ///
    /// # Errors
    /// No tokens, another number of sequences than before, a token outside the vocabulary, positions
    /// beyond a learned table, or weights that cannot be read.
    pub fn step(
        &mut self,
        tokens: &[Vec<u64>],
        logits: Logits,
        keep: &dyn Fn(&str) -> bool,
    ) -> Result<Outcome<S>, RunError> {
        if self.past.is_empty() {
            self.past = vec![0; tokens.len()];
            self.text = vec![vec![]; tokens.len()];
        }
        if tokens.len() != self.past.len() {
            let (new, old) = (tokens.len(), self.past.len());
            return Err(RunError::Input(format!("tokens of {new} sequences, {old} before")));
        }
        if let Some(outcome) = self.again(tokens, logits, keep)? {
            return Ok(outcome);
        }
        let step = self.next(tokens, logits)?;
        self.beyond = self.crosses(tokens);
        let fresh = self.past.iter().all(|&past| past == 0);
        let phase = if fresh { Phase::Prefill } else { Phase::Decode };
        let none = || RunError::Input("the model has no decoder to go on with".to_owned());
        let graph = self.graphs.of(phase).ok_or_else(none)?;
        self.given.clear();
        self.given.set(None, "token_ids", self.ids(tokens)?);
        for ((layer, name), rows) in std::mem::take(&mut self.caches) {
            self.given.set(layer, &format!("{name}.past"), rows);
        }
        if self.source > 0 {
            // The keys and values of the source are read in every step.
            self.caches = self.given.values_of("cross.append_");
        }
        let paged = self.block.map(|block| self.pages(&step, block));
        let name = result(graph).map_or("", |id| graph.node(id).name.as_str());
        let all = |node: &str| node == name || keep(node);
        let values = run_with(graph, &step, &self.given, (self.kernels, paged.as_ref()), &all);
        self.given.checked()?;
        for ((past, text), new) in self.past.iter_mut().zip(&mut self.text).zip(tokens) {
            *past += new.len() as u64;
            text.extend(new);
        }
        let (mut kept, mut found) = (BTreeMap::new(), vec![]);
        let caches = cache_names(graph);
        for (key, value) in values.kept {
            if key.1 == name {
                found.clone_from(&value);
            }
            if keep(&key.1) {
                kept.insert(key.clone(), value.clone());
            }
            if caches.contains(&key.1.as_str()) {
                self.caches.insert(key, value);
            }
        }
        Ok(Outcome { logits: found, kept })
    }

    fn next(&self, tokens: &[Vec<u64>], logits: Logits) -> Result<Step, RunError> {
        let group = |(tokens, &past): (&Vec<u64>, &u64)| Group {
            count: 1,
            new: tokens.len() as u64,
            past,
            source: self.source,
        };
        let step = Step::mixed(tokens.iter().zip(&self.past).map(group))?;
        if let crate::model::Position::Learned { positions, offset } = self.arch.position {
            let longest = step.groups().iter().map(|g| g.past + g.new).max().unwrap_or(0);
            if longest + offset > positions {
                let positions = positions - offset;
                return Err(RunError::Positions { length: longest, positions });
            }
        }
        Ok(if logits == Logits::All { step.with_all_logits() } else { step })
    }

    /// Blocks of the sequences in turn, the last ones first: no sequence lies in one piece.
    fn pages(&self, step: &Step, block: NonZeroU64) -> PagedRows {
        let needs = |s: crate::tensor::Sequence| (s.past + s.new).div_ceil(block.get() as usize);
        let needs: Vec<usize> = step.sequences().map(needs).collect();
        let (n, longest) = (needs.len(), needs.iter().copied().max().unwrap_or(0));
        let table = |s: usize| -> Vec<u32> {
            (0..needs[s]).map(|b| ((longest - 1 - b) * n + s) as u32).collect()
        };
        let tables: Vec<Vec<u32>> = (0..n).map(table).collect();
        let views: Vec<&[u32]> = tables.iter().map(Vec::as_slice).collect();
        PagedRows::new(step, block, &views)
    }
}

/// What a decoder's graph may end in: capped logits, logits, the last hidden state.
const RESULTS: [&str; 3] = ["head.softcap", "head.logits", "head.norm"];

/// The node whose value is the result of a step.
fn result(graph: &Graph) -> Option<NodeId> {
    let named = |name: &&str| graph.nodes().find(|(_, n)| n.name == **name).map(|(id, _)| id);
    RESULTS.iter().find_map(named)
}

/// The nodes whose values outlive a step.
fn cache_names(graph: &Graph) -> Vec<&str> {
    let is_cache = |kind: &Kind, role: Role| {
        matches!(kind, Kind::Apply(_)) && matches!(role, Role::KvCache { .. })
    };
    let caches = graph.nodes().filter(|(_, n)| is_cache(&n.kind, n.ty.role));
    caches.map(|(_, n)| n.name.as_str()).collect()
}
