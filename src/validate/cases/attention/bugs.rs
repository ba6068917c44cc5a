//! What a schedule may do wrong.

use super::paged::Walk;
use super::{Attention, Reading};
use crate::codec::Float;
use crate::validate::Inputs;

/// The row that is written in the place of a row.
type Source = fn(&Attention, usize) -> usize;

/// The output as it lies in memory.
type Written = fn(&Attention, Vec<f64>) -> Vec<f64>;

/// What a kernel finds in the place of its inputs.
type Found = fn(&Attention, &Inputs) -> Inputs;

/// What a schedule does other than right.
#[derive(Debug, Clone, Copy)]
pub struct Bugs {
    /// Factor on the scale.
    pub scale: fn(&Attention) -> f64,
    /// Keys that a query sees beyond its own position; below 0, fewer.
    pub shift: i64,
    /// Every query sees every key.
    pub unmasked: bool,
    /// A causal mask where there is none.
    pub causal: bool,
    /// Query 0 sees one key where there are more keys than queries.
    pub top_left: bool,
    /// Key head of a query head.
    pub head: fn(&Attention, usize) -> usize,
    /// The window, where there is one.
    pub window: fn(&Attention) -> Option<u64>,
    /// Zeros behind the last key, up to a whole tile, count as keys.
    pub padded: bool,
    /// The accumulator keeps its scale when the maximum grows.
    pub unscaled: bool,
    /// Powers of 2 in place of e.
    pub base2: bool,
    /// The last tile is not read.
    pub short: bool,
    /// Parts of the keys are averaged, their sums left out of account.
    pub averaged: bool,
    /// Cap, distance bias and sinks are taken account of.
    pub softcap: bool,
    /// See `softcap`.
    pub alibi: bool,
    /// See `softcap`.
    pub sinks: bool,
    /// Format that every sum is rounded to at every step.
    pub sums: Option<Float>,
    /// What is read where keys and values lie, in blocks or not.
    pub memory: Option<Found>,
    /// What becomes of the inputs beforehand, keys and values by position.
    pub inputs: Option<Found>,
    /// Which blocks of a paged cache are read.
    pub walk: Walk,
    /// How codes of a quantized cache are read.
    pub cache: Reading,
    /// The row (one head of one token) that is written in the place of another.
    pub output: Option<Source>,
    /// What becomes of the whole output where it lies.
    pub written: Option<Written>,
}

impl Bugs {
    /// None.
    pub const NONE: Self = Self {
        scale: |_| 1.0,
        shift: 0,
        unmasked: false,
        causal: false,
        top_left: false,
        head: |case, h| h / (case.heads / case.kv_heads) as usize,
        window: |case| case.window,
        padded: false,
        unscaled: false,
        base2: false,
        short: false,
        averaged: false,
        softcap: true,
        alibi: true,
        sinks: true,
        sums: None,
        memory: None,
        inputs: None,
        walk: Walk::Right,
        cache: Reading::Right,
        output: None,
        written: None,
    };

    /// The row that is written in the place of a row.
    pub(super) fn source(&self, case: &Attention, row: usize) -> usize {
        self.output.map_or(row, |source| source(case, row))
    }
}
