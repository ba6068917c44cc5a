//! The graphs of a model: one for each set of phases that runs alike.

use super::{Architecture, BuildOptions, LatentForm, Output};
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

    /// The same phases with graphs made from these.
    pub fn map(&self, of: impl Fn(&Graph) -> Graph) -> Self {
        Self(self.0.iter().map(|(phases, graph)| (*phases, of(graph))).collect())
    }

    /// The graph that a phase runs.
    pub fn of(&self, phase: Phase) -> Option<&Graph> {
        self.0.iter().find(|(phases, _)| phases.contains(phase)).map(|(_, graph)| graph)
    }
}

impl Architecture {
    /// The graphs of this model's phases: one for prefill and decode alike, one for the encode step of
    /// a model with an encoder, and one for each of the two with latent attention in its usual form:
    /// expanded in prefill, absorbed in decoding (A47). Of a model that ends with its encoder, the encode
    /// step's alone.
    ///
    /// # Errors
    /// As [`Architecture::graph`].
    pub fn graphs(&self, options: &BuildOptions) -> Result<Graphs, GraphError> {
        if options.output == Output::Encoded {
            let encoder = self.encoder_graph(options)?;
            return Ok(Graphs(
                encoder.map(|g| (Phases::only(Phase::Encode), g)).into_iter().collect(),
            ));
        }
        if self.attention.latent.is_some() {
            return self.formed(|model| model.graph(options));
        }
        let start = self.encoder.map(|encoder| encoder.start_tokens);
        let phases = start.map_or(Phases::DECODER, Phases::behind_encoder);
        let mut graphs = vec![(phases, self.graph(options)?)];
        if let Some(encoder) = self.encoder_graph(options)? {
            graphs.push((Phases::only(Phase::Encode), encoder));
        }
        Ok(Graphs(graphs))
    }

    /// The graphs of one multi-token-prediction module, in phases as the model's own.
    ///
    /// # Errors
    /// As [`Architecture::mtp_module`].
    pub fn mtp_modules(&self, options: &BuildOptions) -> Result<Graphs, GraphError> {
        self.formed(|model| model.mtp_module(options))
    }

    /// One graph for prefill and decode, or one for each where latent attention differs (A47).
    fn formed(
        &self,
        graph: impl Fn(&Self) -> Result<Graph, GraphError>,
    ) -> Result<Graphs, GraphError> {
        if self.attention.latent.is_none_or(|latent| latent.form != LatentForm::Auto) {
            return Ok(Graphs(vec![(Phases::DECODER, graph(self)?)]));
        }
        let of = |phase: Phase, form: LatentForm| {
            let mut model = self.clone();
            model.attention.latent.iter_mut().for_each(|latent| latent.form = form);
            Ok((Phases::only(phase), graph(&model)?))
        };
        let decode = of(Phase::Decode, LatentForm::Absorbed)?;
        Ok(Graphs(vec![decode, of(Phase::Prefill, LatentForm::Expanded)?]))
    }
}
