//! Instructions per estimate, a figure that no neighbour on the machine disturbs.
//!
//! ```sh
//! cargo build --release --example instructions
//! benches/instructions.sh
//! ```
//!
//! The argument is the number of estimates, each of another point; two runs under valgrind with
//! different numbers differ by what the estimates cost.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

#[path = "../tests/it/support/models.rs"]
mod models;

use cosim::cost::{Estimator, Request};
use cosim::dtype::Scheme;
use cosim::hardware::{Fidelity, Machine, bundled, load};
use cosim::mapping::Plan;
use cosim::model::BuildOptions;

fn main() {
    let estimates = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let hardware = load("a100-sxm-80gb", &bundled::source).expect("bundled");
    let machine = Machine::compile(&hardware, Fidelity::Realistic);
    let models = [models::llama_2_7b(), models::llama_3_8b(), models::opt_13b()];
    let graphs = models.map(|m| m.graph(&BuildOptions::default()).expect("types"));
    let plans = graphs.map(|graph| Plan::new(&graph, &Scheme::sixteen_bit()));
    let estimators = plans.each_ref().map(|p| Estimator::new(p, &machine).expect("16-bit"));
    let mut fitting = 0;
    let mut seconds = 0.0;
    for i in 0..estimates {
        let (batch, prompt, output) = (1 + i % 64, 100 + i % 1000, 50 + i % 100);
        let estimator = &estimators[(i % 3) as usize];
        let request = Request::Generation { batch, prompt, output };
        let summary = estimator.summary(&request).expect("valid");
        let capacity = estimator.capacity(&request, &summary.memory);
        fitting += u64::from(capacity.fits);
        seconds += summary.total.get();
    }
    println!("{estimates} estimates, {fitting} fit, {seconds:.6} s modelled");
}
