//! Energy and money of a request, from its time.

use super::generation::Summary;
use super::power::Power;
use super::request::Request;
use crate::units::{Dollars, DollarsPerHour, Joules, Seconds};

/// Cost per token. Each is `None` where the profile lacks the figure or the request the phase.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Economics {
    /// Energy per token: of all phases ([`Power::energy`]) over generated tokens; over prompt tokens for a
    /// prefill alone.
    pub energy_per_token: Option<Joules>,
    /// All of the request's time (A13), per million generated tokens (prompt tokens for a prefill
    /// alone).
    pub per_million: Option<Dollars>,
    /// Prefill time per million prompt tokens.
    pub per_million_input: Option<Dollars>,
    /// Decode time per million tokens generated in it.
    pub per_million_output: Option<Dollars>,
}

const MILLION: f64 = 1e6;

impl Economics {
    /// Energy and money of a request on so many devices of this power and hourly price each.
    pub fn new(
        request: &Request,
        summary: &Summary,
        devices: u64,
        power: Option<Power>,
        price: Option<DollarsPerHour>,
    ) -> Self {
        let all = devices as f64;
        let price = price.map(|p| p * all);
        let batch = request.batch() as f64;
        let (prompt, output) = match *request {
            Request::Generation { prompt, output, .. } => (prompt as f64, output as f64),
            Request::Prefill { context, .. } => (context as f64, 0.0),
            Request::Decode { .. } => (0.0, 1.0),
        };
        let prompts = summary.prompts as f64 * prompt;
        let served = if output > 0.0 { batch * output } else { prompts };
        let dollars = |time: Seconds, tokens: f64| price.map(|p| p * time * (MILLION / tokens));
        Self {
            energy_per_token: power.map(|p| energy(&p, summary) * all / served),
            per_million: dollars(summary.total, served),
            per_million_input: summary.prefill.and_then(|t| dollars(t, prompts)),
            per_million_output: summary.decode_step.and_then(|t| dollars(t, batch)),
        }
    }
}

/// Energy of a device in all phases of a request.
fn energy(power: &Power, summary: &Summary) -> Joules {
    let first = summary.prefill.unwrap_or_default();
    let loads = summary.loads.unwrap_or_default();
    let steps = summary.decode_step.map_or(0.0, |step| (summary.total - first) / step);
    let decode = summary.decode_step.map(|step| power.energy(step, loads.decode_step) * steps);
    power.energy(first, loads.prefill) + decode.unwrap_or_default()
}

/// One sequence of a request at an API, and here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApiCost {
    /// At the API.
    pub there: Dollars,
    /// On the device; `None` without an hourly price.
    pub here: Option<Dollars>,
}

/// What an API charges, per thousand tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ApiPrice {
    /// Per thousand prompt tokens.
    pub input: Dollars,
    /// Per thousand generated tokens.
    pub output: Dollars,
}

impl ApiPrice {
    /// One sequence of the request at the API and on the device; `None` for a phase alone.
    pub fn compare(&self, request: &Request, own: &Economics) -> Option<ApiCost> {
        let Request::Generation { output, .. } = *request else { return None };
        let here = own.per_million.map(|dollars| dollars * (output as f64 / MILLION));
        Some(ApiCost { there: self.of(request)?, here })
    }

    /// What one sequence of the request costs at the API.
    pub fn of(&self, request: &Request) -> Option<Dollars> {
        match *request {
            Request::Generation { prompt, output, .. } => {
                Some(self.input * (prompt as f64 / 1e3) + self.output * (output as f64 / 1e3))
            }
            Request::Prefill { .. } | Request::Decode { .. } => None,
        }
    }
}
