//! The points of a sweep: devices x techniques x traffic.

use super::row::Row;
use super::subject::{Technique, Variant};
use crate::cost::speculative::{Speculated, Speculator, Target};
use crate::cost::{EstimateError, Estimator};
use crate::diagnostic::Diagnostic;
use crate::graph::GraphError;
use crate::graph::shard::ShardError;
use crate::mapping::{Plan, check_overrides};
use crate::model::{Architecture, BuildOptions};
use crate::op::Sampler;
use crate::workload::{Axis, Scenario, Setting, Traffic, checked_parallel};
use std::ops::Range;

/// A grid that cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum GridError {
    /// Input that a person can mend.
    #[error("{0}")]
    Input(#[from] Diagnostic),
    /// A model whose wiring does not type.
    #[error("{0}")]
    Graph(#[from] GraphError),
    /// A model that does not go over so many devices.
    #[error("{0}")]
    Shard(#[from] ShardError),
}

/// All points.
#[derive(Debug)]
pub struct Grid {
    /// Paths of the hardware axes.
    pub hardware_paths: Vec<String>,
    /// Devices.
    pub variants: Vec<Variant>,
    /// Techniques.
    pub techniques: Vec<Technique>,
    traffic: Traffic,
    traffic_axes: Vec<Axis>,
    allow_oom: bool,
}

/// Consecutive points on one device with one technique.
#[derive(Debug)]
pub struct Block<'a> {
    variant: &'a Variant,
    technique: &'a Technique,
    estimator: Result<Estimator<'a>, EstimateError>,
    /// Where the technique speculates.
    speculator: Option<Speculator<'a>>,
}

/// Most points: days of work and terabytes of CSV.
const MAX_POINTS: u128 = 1_000_000_000_000;

/// Most combinations of settings other than traffic.
const MAX_COMBINATIONS: u64 = 100_000;

impl Grid {
    /// Lays out a scenario over devices.
    ///
    /// `architecture` finds a model; `variants` are the devices with every combination of the
    /// scenario's hardware axes applied, in that order.
    ///
    /// # Errors
    /// An unknown model, or absurdly many combinations.
    pub fn new(
        scenario: &Scenario,
        variants: Vec<Variant>,
        architecture: &dyn Fn(&str) -> Result<Architecture, Diagnostic>,
        allow_oom: bool,
    ) -> Result<Self, GridError> {
        let (traffic_axes, others): (Vec<Axis>, Vec<Axis>) =
            scenario.axes.iter().cloned().partition(Axis::is_traffic);
        let (hardware, plan_axes): (Vec<Axis>, Vec<Axis>) =
            others.into_iter().partition(Axis::is_hardware);
        let techniques: Vec<Technique> = combinations(&plan_axes)?
            .into_iter()
            .map(|settings| technique(scenario, &settings, architecture))
            .collect::<Result<_, _>>()?;
        let blocks = variants.len() as u128 * techniques.len() as u128;
        let points =
            traffic_axes.iter().fold(blocks, |n, a| n.saturating_mul(a.values.len() as u128));
        if points > MAX_POINTS {
            let message = format!("the sweep has {points} points");
            return Err(Diagnostic::new(message).hint(format!("the limit is {MAX_POINTS}")).into());
        }
        let hardware_paths = hardware.into_iter().map(|a| a.path).collect();
        let traffic = scenario.traffic;
        Ok(Self { hardware_paths, variants, techniques, traffic, traffic_axes, allow_oom })
    }

    /// Number of points.
    pub fn len(&self) -> u64 {
        self.variants.len() as u64 * self.techniques.len() as u64 * self.points_per_block()
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Points that share device and technique.
    pub fn points_per_block(&self) -> u64 {
        self.traffic_axes.iter().map(|a| a.values.len() as u64).product()
    }

    /// The traffic axes, slowest first.
    pub fn traffic_axes(&self) -> &[Axis] {
        &self.traffic_axes
    }

    /// The block of a point.
    pub fn block(&self, index: u64) -> Block<'_> {
        let block = index / self.points_per_block();
        let variant = &self.variants[(block / self.techniques.len() as u64) as usize];
        let technique = &self.techniques[(block % self.techniques.len() as u64) as usize];
        let mut estimator = Estimator::new(&technique.plan, &variant.machine);
        if let Some(silicon) = &variant.silicon {
            estimator = estimator.map(|e| e.on(silicon));
        }
        let mut speculator = None;
        if let (Ok(target), Some(what)) = (&estimator, &technique.speculated) {
            match Speculator::new(target.clone(), what) {
                Ok(found) => speculator = Some(found),
                Err(error) => estimator = Err(error),
            }
        }
        Block { variant, technique, estimator, speculator }
    }

    /// Evaluates consecutive points, binding each plan to its machine once.
    pub fn for_each(&self, points: Range<u64>, mut visit: impl FnMut(u64, &Row<'_>)) {
        let per_block = self.points_per_block();
        let mut index = points.start;
        while index < points.end {
            let block = self.block(index);
            let end = points.end.min((index / per_block + 1) * per_block);
            for point in index..end {
                visit(point, &self.row(&block, point % per_block));
            }
            index = end;
        }
    }

    /// The point of a block with the given place among its traffic.
    pub fn row<'a>(&self, block: &Block<'a>, traffic: u64) -> Row<'a> {
        let traffic = self.traffic_at(traffic);
        let priced = match (&block.estimator, &block.speculator) {
            (Ok(estimator), speculator) => Ok((estimator, speculator.as_ref())),
            (Err(error), _) => Err(error),
        };
        Row::new(block.variant, block.technique, traffic, priced, self.allow_oom)
    }

    fn traffic_at(&self, mut index: u64) -> Traffic {
        let mut traffic = self.traffic;
        for axis in self.traffic_axes.iter().rev() {
            let values = axis.values.len() as u64;
            match axis.values[(index % values) as usize].1 {
                Setting::Batch(n) => traffic.batch = n,
                Setting::Prompt(n) => traffic.prompt = n,
                Setting::Output(n) => traffic.output = n,
                _ => {}
            }
            index /= values;
        }
        traffic
    }
}

impl<'a> Block<'a> {
    /// The estimator of the block's plan on its machine.
    pub fn estimator(&self) -> Option<&Estimator<'a>> {
        self.estimator.as_ref().ok()
    }
}

/// Every combination of the axes' settings, the last axis varying fastest.
pub(crate) fn combinations(axes: &[Axis]) -> Result<Vec<Vec<&(String, Setting)>>, Diagnostic> {
    let count = axes.iter().fold(1, |n: u64, a| n.saturating_mul(a.values.len() as u64));
    if count > MAX_COMBINATIONS {
        let message = format!("{count} combinations of settings other than traffic");
        let hint = format!("the limit is {MAX_COMBINATIONS}; traffic may vary more");
        return Err(Diagnostic::new(message).hint(hint));
    }
    Ok(axes.iter().fold(vec![vec![]], |done, axis| {
        let extended = done.iter().flat_map(|head| {
            axis.values.iter().map(move |value| {
                let mut all = head.clone();
                all.push(value);
                all
            })
        });
        extended.collect()
    }))
}

impl Variant {
    /// The combinations of a scenario's hardware axes: the text and the setting per axis.
    ///
    /// # Errors
    /// Absurdly many combinations.
    pub fn settings(scenario: &Scenario) -> Result<Vec<Vec<(String, Setting)>>, Diagnostic> {
        let axes: Vec<Axis> = scenario.axes.iter().filter(|a| a.is_hardware()).cloned().collect();
        let all = combinations(&axes)?;
        Ok(all.into_iter().map(|c| c.into_iter().cloned().collect()).collect())
    }
}

fn technique(
    scenario: &Scenario,
    settings: &[&(String, Setting)],
    architecture: &dyn Fn(&str) -> Result<Architecture, Diagnostic>,
) -> Result<Technique, GridError> {
    let mut scenario = scenario.clone();
    for (_, setting) in settings {
        scenario.set(setting)?;
    }
    let model = architecture(&scenario.model)?.what_if(&scenario.what_if)?;
    let options = BuildOptions {
        attention: scenario.attention,
        fusions: scenario.fusions,
        sampler: Sampler::Greedy,
        routing: scenario.routing,
        ..BuildOptions::default()
    };
    let parallel = checked_parallel(scenario.parallel, &model)?;
    let graphs = model.graphs(&options)?;
    check_overrides(graphs.parts().map(|(_, graph)| graph), &scenario.scheme)?;
    let placement = scenario.placement()?;
    let plan = Plan::parallel(graphs.parts(), &scenario.scheme, parallel)?.placed(placement);
    let target = Target {
        architecture: &model,
        options: &options,
        scheme: &scenario.scheme,
        parallel,
        placement,
    };
    let speculated = Speculated::new(&scenario.speculative, target, architecture)?;
    Ok(Technique {
        heads: model.head_form(),
        windows: model.window_pattern(),
        model: model.id,
        model_name: model.name,
        scheme: scenario.scheme,
        speculative: scenario.speculative,
        speculated,
        options,
        plan,
    })
}
