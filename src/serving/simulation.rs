//! A server in discrete time: Poisson arrivals, first come first served, iteration-level batching.

use super::allocator::{AllocError, Allocator, Demand};
use super::lengths::Lengths;
use super::usage::Usage;
use crate::units::Seconds;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use std::collections::VecDeque;

/// What one iteration processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Batch {
    /// Requests that run.
    pub requests: u64,
    /// Tokens processed: one per request that decodes, and whole prompts of those admitted.
    pub tokens: u64,
    /// Tokens cached, over all requests.
    pub cached: u64,
}

/// Requests that arrive at a server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Requests per second; arrivals are a Poisson process.
    pub rate: f64,
    /// Their lengths.
    pub lengths: Lengths,
    /// Completions before the measurement begins.
    pub warm_up: u64,
    /// Completions that the measurement lasts.
    pub measured: u64,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Means over the time of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// Requests batched.
    pub requests: f64,
    /// Fractions of the KV memory, in the order of [`Usage::PARTS`].
    pub shares: [f64; 4],
    /// Completions per second.
    pub throughput: f64,
    /// Preemptions per completion.
    pub preemptions: f64,
    /// Whether requests waited in every iteration.
    pub saturated: bool,
    /// Mean prompt and output of the completed requests, tokens.
    pub lengths: (f64, f64),
}

/// Runs a server until the measurement ends.
///
/// In each iteration waiting requests are admitted in order of arrival while there is room; every
/// admitted request then gains one token. Where no room is left for a token, the request that
/// came last is preempted: its cache is dropped, and computed anew when it is admitted again.
///
/// # Errors
/// A request that the allocator can never hold.
pub fn simulate(
    allocator: &mut dyn Allocator,
    load: &Load,
    step_time: &dyn Fn(&Batch) -> Seconds,
) -> Result<Outcome, AllocError> {
    let mut server = Server::new(allocator, load);
    while server.completed < load.warm_up + load.measured {
        let batch = server.admit()?;
        let time = step_time(&batch).get();
        server.measure(&batch, time);
        server.advance()?;
    }
    Ok(server.outcome())
}

/// A request in the queue or in the batch.
#[derive(Debug, Clone, Copy)]
struct Request {
    id: u64,
    demand: Demand,
}

struct Server<'a> {
    allocator: &'a mut dyn Allocator,
    load: &'a Load,
    random: ChaCha8Rng,
    now: f64,
    next_arrival: f64,
    next_id: u64,
    waiting: VecDeque<Request>,
    running: Vec<Request>,
    completed: u64,
    /// Sums over the measurement: time, requests x time, slots x time by part.
    time: f64,
    requests: f64,
    slots: [f64; 4],
    preempted: u64,
    saturated: bool,
    tokens: (u64, u64),
}

impl<'a> Server<'a> {
    fn new(allocator: &'a mut dyn Allocator, load: &'a Load) -> Self {
        Self {
            allocator,
            load,
            random: ChaCha8Rng::seed_from_u64(load.seed),
            now: 0.0,
            next_arrival: 0.0,
            next_id: 0,
            waiting: VecDeque::new(),
            running: vec![],
            completed: 0,
            time: 0.0,
            requests: 0.0,
            slots: [0.0; 4],
            preempted: 0,
            saturated: true,
            tokens: (0, 0),
        }
    }

    const fn is_measuring(&self) -> bool {
        self.completed >= self.load.warm_up
    }

    fn arrive(&mut self) {
        while self.next_arrival <= self.now {
            let (prompt, output) = self.load.lengths.draw(&mut self.random);
            let demand = Demand { prompt, output, done: 0 };
            self.waiting.push_back(Request { id: self.next_id, demand });
            self.next_id += 1;
            let u: f64 = self.random.random_range(f64::EPSILON..1.0);
            self.next_arrival += -u.ln() / self.load.rate;
        }
    }

    /// Admits from the front of the queue; what the iteration then processes.
    fn admit(&mut self) -> Result<Batch, AllocError> {
        self.arrive();
        if self.running.is_empty() && self.waiting.is_empty() {
            self.now = self.next_arrival;
            self.arrive();
        }
        let mut batch = Batch { tokens: self.running.len() as u64, ..Batch::default() };
        while let Some(request) = self.waiting.front().copied() {
            match self.allocator.admit(request.id, &request.demand) {
                Ok(()) => {}
                Err(AllocError::Full) => break,
                Err(e) => return Err(e),
            }
            self.waiting.pop_front();
            batch.tokens += request.demand.tokens();
            self.running.push(request);
        }
        batch.requests = self.running.len() as u64;
        batch.cached = self.running.iter().map(|r| r.demand.tokens()).sum();
        Ok(batch)
    }

    fn measure(&mut self, batch: &Batch, time: f64) {
        self.now += time;
        if !self.is_measuring() {
            return;
        }
        self.time += time;
        self.requests += batch.requests as f64 * time;
        self.saturated &= !self.waiting.is_empty();
        let parts = self.allocator.usage().parts();
        self.slots.iter_mut().zip(parts).for_each(|(sum, slots)| *sum += slots as f64 * time);
    }

    /// Every request gains a token; those that are done leave.
    fn advance(&mut self) -> Result<(), AllocError> {
        let mut i = 0;
        while i < self.running.len() {
            let id = self.running[i].id;
            match self.allocator.append(id) {
                Ok(()) => {
                    self.running[i].demand.done += 1;
                    i += 1;
                }
                Err(AllocError::Full) => self.preempt_last()?,
                Err(e) => return Err(e),
            }
        }
        let (done, running) =
            self.running.drain(..).partition(|r| r.demand.done >= r.demand.output);
        self.running = running;
        let done: Vec<Request> = done;
        for request in &done {
            self.allocator.release(request.id)?;
            if self.is_measuring() {
                self.tokens.0 += request.demand.prompt;
                self.tokens.1 += request.demand.output;
            }
            self.completed += 1;
        }
        Ok(())
    }

    fn preempt_last(&mut self) -> Result<(), AllocError> {
        let Some(last) = self.running.pop() else { return Ok(()) };
        self.allocator.release(last.id)?;
        self.waiting.push_front(last);
        self.preempted += u64::from(self.is_measuring());
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        let done = (self.completed - self.load.warm_up) as f64;
        let pool = self.allocator.slots() as f64 * self.time;
        Outcome {
            requests: self.requests / self.time,
            shares: self.slots.map(|s| s / pool),
            throughput: done / self.time,
            preemptions: self.preempted as f64 / done,
            saturated: self.saturated,
            lengths: (self.tokens.0 as f64 / done, self.tokens.1 as f64 / done),
        }
    }
}

impl Usage {
    /// The parts as fractions of the whole.
    pub fn shares(&self) -> [f64; 4] {
        let total = self.total() as f64;
        self.parts().map(|p| if total > 0.0 { p as f64 / total } else { 0.0 })
    }
}

#[cfg(test)]
#[path = "simulation/tests.rs"]
mod tests;
