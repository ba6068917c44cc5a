//! Two roads to a model's size agree: the closed form of its architecture, which is held to the
//! public checkpoints' totals, and the weights of the graph that is priced.

use cosim::dtype::Scheme;
use cosim::mapping::Plan;
use cosim::model::{BuildOptions, bundled, load_bundled};

#[test]
fn the_graph_holds_every_parameter_of_every_bundled_model() {
    for id in bundled::ids() {
        let model = load_bundled(id).expect("bundled");
        let graphs = model.graphs(&BuildOptions::default()).expect("wires");
        let plan = Plan::of(graphs.parts(), &Scheme::sixteen_bit());
        let total = model.parameters().total;
        assert_eq!(u128::from(plan.footprint.parameters), total, "{id}");
        assert_eq!(plan.footprint.weights.total.get(), 2.0 * total as f64, "{id}");
    }
}
