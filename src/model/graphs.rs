//! The graphs of a model: one for each set of phases that runs alike.

use super::{Architecture, BuildOptions};
use crate::graph::{Graph, GraphError};
use crate::tensor::{Phase, Phases};

/// The graphs of a model with the phases that run them; every phase of the model has one.
#[derive(Debug, Clone)]
pub struct Graphs(Vec<(Phases, Graph)>);

impl Graphs {
    /// The graphs with their phases, the decoder's first.
    pub fn parts(&self) -> impl Iterator<Item = (Phases, &Graph)> {
        self.0.iter().map(|(phases, graph)| (*phases, graph))
    }

    /// The graph that a phase runs.
    pub fn of(&self, phase: Phase) -> Option<&Graph> {
        self.0.iter().find(|(phases, _)| phases.contains(phase)).map(|(_, graph)| graph)
    }
}

impl Architecture {
    /// The graphs of this model's phases: one for prefill and decode alike, and one for the encode
    /// step of a model with an encoder.
    ///
    /// # Errors
    /// As [`Architecture::graph`].
    pub fn graphs(&self, options: &BuildOptions) -> Result<Graphs, GraphError> {
        let start = self.encoder.map(|encoder| encoder.start_tokens);
        let phases = start.map_or(Phases::DECODER, Phases::behind_encoder);
        let mut graphs = vec![(phases, self.graph(options)?)];
        if let Some(encoder) = self.encoder_graph(options)? {
            graphs.push((Phases::only(Phase::Encode), encoder));
        }
        Ok(Graphs(graphs))
    }
}
