//! The best way to spread a model over a number of devices.

use crate::cost::{Capacity, Economics, Request, Summary};
use crate::diagnostic::{Diagnostic, clip};
use crate::graph::shard::Parallel;
use crate::units::Seconds;
use std::fmt;
use std::str::FromStr;

/// What is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The least time of a batch.
    Latency,
    /// The most output tokens per second.
    Throughput,
}

/// Limits on the times of a request: service level objectives.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Slo {
    /// Most time to the first token.
    pub ttft: Option<Seconds>,
    /// Most time per output token.
    pub tpot: Option<Seconds>,
}

impl Slo {
    /// The limit that a request passes, in words; `None` where it keeps all.
    pub fn passed(&self, summary: &Summary) -> Option<String> {
        let above = |name: &str, limit: Option<Seconds>, found: Option<Seconds>| {
            let (limit, found) = (limit?, found?);
            (found > limit).then(|| format!("{name} above {limit}"))
        };
        above("TTFT", self.ttft, summary.prefill)
            .or_else(|| above("TPOT", self.tpot, summary.decode_step))
    }
}

impl FromStr for Slo {
    type Err = Diagnostic;

    /// `ttft=2s,tpot=50ms`, or one of the two.
    fn from_str(text: &str) -> Result<Self, Diagnostic> {
        let wrong = |message: String| {
            Err(Diagnostic::new(message).hint("for instance --slo ttft=2s,tpot=50ms"))
        };
        let mut slo = Self::default();
        for part in text.split(',').map(str::trim) {
            let Some((name, value)) = part.split_once('=') else {
                return wrong(format!("--slo {}: expected a limit and its time", clip(text)));
            };
            let limit = match name.trim() {
                "ttft" => &mut slo.ttft,
                "tpot" => &mut slo.tpot,
                other => return Err(Diagnostic::unknown("limit", other, ["ttft", "tpot"])),
            };
            match value.trim().parse::<Seconds>() {
                Ok(time) if time > Seconds::ZERO => *limit = Some(time),
                _ => {
                    return wrong(format!(
                        "--slo {name}: `{}` is not a time above zero",
                        clip(value)
                    ));
                }
            }
        }
        Ok(slo)
    }
}

/// A request on a plan for several devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Deployment {
    /// How devices share the work.
    pub parallel: Parallel,
    /// Sequences.
    pub batch: u64,
    /// Times, bounds, memory.
    pub summary: Summary,
    /// Memory against capacity.
    pub capacity: Capacity,
    /// Energy and money of all devices.
    pub economics: Economics,
    /// Output tokens per second.
    pub throughput: f64,
}

/// What became of a plan: its best batch, or why it has none.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// How devices share the work.
    pub parallel: Parallel,
    /// The best batch within the limits, or why there is none.
    pub best: Result<Deployment, Refused>,
    /// Doubled batches that fit the memory, within the limits or not, and the best.
    pub seen: Vec<Deployment>,
}

/// Why a plan is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Prices batches on one plan.
pub type Price<'a> = dyn Fn(u64) -> Result<Deployment, Refused> + 'a;

/// Most sequences that a search tries.
const MOST: u64 = 1 << 20;

/// Every way to spread over exactly so many devices, experts dealt or not.
pub fn plans(devices: u64, micro_batches: u64, has_experts: bool) -> Vec<Parallel> {
    let divisors = |n: u64| (1..=n).filter(move |d| n.is_multiple_of(*d));
    let mut plans = vec![];
    for tensor in divisors(devices) {
        for pipeline in divisors(devices / tensor) {
            let data = devices / tensor / pipeline;
            for expert in divisors(tensor).filter(|e| *e == 1 || has_experts) {
                plans.push(Parallel { tensor, pipeline, data, expert, micro_batches });
            }
        }
    }
    plans
}

impl Tried {
    /// The best batch of a plan: the least given, or the one with most throughput from it on, as
    /// long as memory and limits hold. Times grow with the batch, so the limits hold up to one.
    pub fn new(parallel: Parallel, goal: Goal, slo: &Slo, least: u64, price: &Price<'_>) -> Self {
        let within = |batch: u64| {
            let found = price(batch)?;
            match (found.capacity.fits, slo.passed(&found.summary)) {
                (false, _) => Err(Refused("out of memory".to_owned())),
                (true, Some(passed)) => Err(Refused(passed)),
                (true, None) => Ok(found),
            }
        };
        let mut best = within(least);
        if let (Goal::Throughput, Ok(first)) = (goal, &best) {
            best = Ok(largest(first.clone(), &within));
        }
        let doubled = (0..).map_while(|k| least.checked_shl(k).filter(|b| *b <= MOST));
        let fitting = doubled.map_while(|b| price(b).ok().filter(|d| d.capacity.fits));
        let mut seen: Vec<Deployment> = fitting.collect();
        if let Ok(best) = &best
            && !seen.contains(best)
        {
            seen.push(best.clone());
        }
        Self { parallel, best, seen }
    }
}

/// The batch with the most throughput: doubled while it holds, then the gap to the first that does
/// not is halved.
fn largest(first: Deployment, within: &Price<'_>) -> Deployment {
    let (mut holds, mut fails) = (first.batch, first.batch * 2);
    let mut best = first;
    let mut look = |batch: u64| match within(batch) {
        Ok(found) => {
            if found.throughput > best.throughput {
                best = found;
            }
            true
        }
        Err(_) => false,
    };
    while fails <= MOST && look(fails) {
        (holds, fails) = (fails, fails * 2);
    }
    while fails <= MOST && fails - holds > 1 {
        let middle = holds + (fails - holds) / 2;
        if look(middle) { holds = middle } else { fails = middle }
    }
    best
}

/// The best of what was tried, by the goal; among equals the first.
pub fn best(tried: &[Tried], goal: Goal) -> Option<&Deployment> {
    let worth = |d: &Deployment| match goal {
        Goal::Latency => -d.summary.total.get(),
        Goal::Throughput => d.throughput,
    };
    let held = tried.iter().filter_map(|t| t.best.as_ref().ok());
    held.reduce(|best, d| if worth(d) > worth(best) { d } else { best })
}

/// Output tokens per second of a generation.
pub fn throughput(request: &Request, summary: &Summary) -> f64 {
    match *request {
        Request::Generation { batch, output, .. } => {
            batch as f64 * output as f64 / summary.total.get()
        }
        Request::Prefill { batch, .. } | Request::Decode { batch, .. } => {
            batch as f64 / summary.total.get()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let slo: Slo = "ttft=2s,tpot=50ms".parse().expect("two limits");
        assert_eq!(slo, Slo { ttft: Some(Seconds::new(2.0)), tpot: Some(Seconds::new(0.05)) });
        for text in ["", "ttft", "ttft=0s", "ttft=x", "latency=2s", "ttft=-1s"] {
            assert!(text.parse::<Slo>().is_err(), "{text}");
        }
    }

    #[test]
    fn plans_use_every_device() {
        let dense = plans(8, 0, false);
        assert_eq!(dense.len(), 10);
        assert!(dense.iter().all(|p| p.devices() == 8 && p.expert == 1));
        assert!(plans(8, 0, true).iter().any(|p| p.expert == 8));
        assert_eq!(plans(7, 0, false).len(), 3);
    }
}
