//! All weights of a model under a scheme.

use super::awq::awq_scales;
use super::calibration::Calibration;
use super::calibrations::{Calibrations, Key, layers};
use super::fold::{Fold, Site, sites};
use super::grid::Grid;
use super::matrix::{Matrix, Ragged, Sharing};
use super::rows::static_scale;
use super::smooth::smooth;
use super::storage::{Method, clipped, matrix, nearest};
use super::{Awq, QuantizeError};
use crate::dtype::Storage;
use crate::graph::{Graph, Kind, NodeId, Source};
use crate::op::scalar::Scalar;
use crate::tensor::{Dim, TensorName, TensorSource, TensorType};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What becomes of each weight of a model: scales first, then codes.
///
/// A recipe is made for a graph, optionally given scales ([`Recipe::smooth`], [`Recipe::scale_for_awq`]), and asked
/// for the values of tensors.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    weights: BTreeMap<Key, (TensorType, Option<Storage>)>,
    sites: Vec<Site>,
    calibrations: Option<&'a Calibrations>,
    fold: Fold,
    /// The method of every storage with scales; `None` takes that of its name, [`Method::of`].
    pub method: Option<Method>,
    /// What becomes of rows that are no whole number of groups.
    pub ragged: Ragged,
}

impl<'a> Recipe<'a> {
    /// The weights of a graph under the storages that are given for a weight in a layer, that of
    /// `mapping::Formats::matrix_in` for instance; `None` leaves a weight as it is.
    pub fn new(
        graph: &Graph,
        storage: &dyn Fn(NodeId, Option<u64>) -> Option<Storage>,
        calibrations: Option<&'a Calibrations>,
    ) -> Self {
        let mut weights = BTreeMap::new();
        for (id, node) in graph.nodes() {
            if matches!(node.kind, Kind::Source(Source::Weight)) {
                for layer in layers(graph, id) {
                    weights.insert((layer, node.name.clone()), (node.ty, storage(id, layer)));
                }
            }
        }
        let (fold, ragged) = (Fold::default(), Ragged::default());
        Self { weights, sites: sites(graph), calibrations, fold, method: None, ragged }
    }

    /// Whether any weight's method needs a calibration.
    pub fn needs_calibration(&self) -> bool {
        let storages = self.weights.values().filter_map(|(_, storage)| storage.as_ref());
        storages.into_iter().any(|storage| {
            matches!(storage, Storage::Scaled(_)) && self.method_of(storage).needs_calibration()
        })
    }

    /// The scales so far.
    pub const fn fold(&self) -> &Fold {
        &self.fold
    }

    fn method_of(&self, storage: &Storage) -> Method {
        self.method.unwrap_or_else(|| Method::of(storage))
    }

    /// Gives every site SmoothQuant's scales, [`smooth`]; the weights come from `source`.
    ///
    /// # Errors
    /// No calibration.
    pub fn smooth<S: Scalar>(
        &mut self,
        source: &dyn TensorSource<S>,
        alpha: f64,
    ) -> Result<(), QuantizeError> {
        self.scale(source, |_, known, weights| Some(smooth(weights, known.largest(), alpha)))
    }

    /// Gives every site whose readers are quantized by AWQ its scales, [`awq_scales`].
    ///
    /// # Errors
    /// No calibration.
    pub fn scale_for_awq<S: Scalar>(
        &mut self,
        source: &dyn TensorSource<S>,
    ) -> Result<(), QuantizeError> {
        let recipe = self.clone();
        self.scale(source, |site, known, weights| {
            let (storage, options) = recipe.awq(site)?;
            let round = |w: Matrix<'_, f64>| {
                nearest(&storage, w, recipe.ragged).unwrap_or_else(|_| w.to_f64())
            };
            let merge = |scales: &mut [f64]| site.merge(scales);
            Some(awq_scales(weights, known, &options, &merge, &round))
        })
    }

    /// The storage that all readers of a site have, where it is AWQ's.
    fn awq(&self, site: &Site) -> Option<(Storage, Awq)> {
        let of = |name: &String| self.weights.get(&(site.layer, name.clone()))?.1;
        let mut storages = site.readers.iter().filter_map(of).filter(Storage::is_scaled);
        let first = storages.next().filter(|first| storages.all(|other| other == *first))?;
        match self.method_of(&first) {
            Method::Awq(options) => Some((first, options)),
            Method::Nearest | Method::Gptq(_) => None,
        }
    }

    fn scale<S: Scalar>(
        &mut self,
        source: &dyn TensorSource<S>,
        scales: impl Fn(&Site, &Calibration, &[Matrix<'_, S>]) -> Option<Vec<f64>>,
    ) -> Result<(), QuantizeError> {
        let calibrations = self.calibrations.ok_or(QuantizeError::NoCalibration)?;
        for site in &self.sites {
            let known = calibrations.of_activation(site.layer, &site.activation);
            let Some(known) = known.filter(|known| known.rows() > 0) else { continue };
            let given: Vec<Vec<S>> = site
                .readers
                .iter()
                .filter_map(|name| {
                    let (ty, storage) = self.weights.get(&(site.layer, name.clone()))?;
                    storage.as_ref().filter(|storage| storage.is_scaled())?;
                    let name = TensorName { layer: site.layer, name };
                    let mut values = source.tensor(name, ty, rows(ty));
                    self.fold.apply(name, ty, &mut values);
                    Some(values)
                })
                .collect();
            let width = site.channels.len();
            let weights: Vec<_> = given.iter().map(|values| Matrix::new(values, width)).collect();
            if weights.is_empty() {
                continue;
            }
            let known = match self.columns(site) {
                Some(scales) => Cow::Owned(known.divided(&scales)),
                None => Cow::Borrowed(known),
            };
            if let Some(mut scales) = scales(site, &known, &weights) {
                site.merge(&mut scales);
                self.fold.insert(site, &scales)?;
            }
        }
        Ok(())
    }

    /// By what the columns of a site's readers are multiplied so far.
    fn columns(&self, site: &Site) -> Option<Vec<f64>> {
        let reader = site.readers.first()?;
        self.fold.columns(TensorName { layer: site.layer, name: reader })
    }

    /// The scale of the activation that a weight multiplies, where it has one for the whole tensor, known before:
    /// from the largest magnitude that the calibration saw, behind the scales of the recipe (A123); `None` where
    /// the calibration saw nothing of it, or without such a scale.
    pub fn input_scale(&self, weight: TensorName<'_>, storage: &Storage) -> Option<f64> {
        let known = self.calibrations?.of_weight(weight).filter(|known| known.rows() > 0)?;
        let scales = self.fold.columns(weight);
        let scale = |j: usize| scales.as_ref().map_or(1.0, |scales| scales[j]);
        let each = known.largest().iter().enumerate().map(|(j, x)| x / scale(j));
        static_scale(storage, each.fold(0.0, f64::max))
    }

    /// What a weight becomes: `values` row-major as the model has them. Tensors that the recipe does not know stay
    /// as they are.
    ///
    /// # Errors
    /// As [`matrix`].
    pub fn values<S: Scalar>(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        mut values: Vec<S>,
    ) -> Result<Vec<S>, QuantizeError> {
        self.fold.apply(name, ty, &mut values);
        let known = self.weights.get(&(name.layer, name.name.to_owned()));
        let Some((_, Some(storage))) = known else { return Ok(values) };
        let weight = Matrix::new(&values, ty.width as usize);
        let method = self.method_of(storage);
        let scaled = matches!(storage, Storage::Scaled(_));
        if !scaled || !method.needs_calibration() {
            return nearest(storage, weight, self.ragged);
        }
        let calibrations = self.calibrations.ok_or(QuantizeError::NoCalibration)?;
        let unseen = || QuantizeError::Unseen { weight: name.name.to_owned() };
        let known = calibrations.of_weight(name).ok_or_else(unseen)?;
        let known = match self.fold.columns(name) {
            Some(scales) => Cow::Owned(known.divided(&scales)),
            None => Cow::Borrowed(known),
        };
        match (method, storage) {
            // The scales are in the model already, or have no place there.
            (Method::Awq(options), Storage::Scaled(s)) => {
                let sharing = Sharing { group: s.group, ragged: self.ragged };
                Ok(clipped(weight, &known, (&Grid::of(s), sharing), &options))
            }
            _ => matrix(storage, weight, Some(&known), &method, self.ragged),
        }
    }

    /// The values of all weights that change.
    ///
    /// # Errors
    /// As [`Recipe::values`].
    pub fn replaced<S: Scalar>(
        &self,
        source: &'a dyn TensorSource<S>,
    ) -> Result<Replaced<'a, S>, QuantizeError> {
        let mut values = BTreeMap::new();
        for ((layer, name), (ty, storage)) in &self.weights {
            let key = TensorName { layer: *layer, name };
            if storage.is_some() || !self.fold.leaves(key) {
                let weight = self.values(key, ty, source.tensor(key, ty, rows(ty)))?;
                values.insert((*layer, name.clone()), Arc::new(weight));
            }
        }
        Ok(Replaced { source, values })
    }
}

/// Rows of a weight.
fn rows(ty: &TensorType) -> usize {
    match ty.rows {
        Dim::Fixed(rows) => rows as usize,
        _ => 0,
    }
}

/// A source with other values for some tensors.
pub struct Replaced<'a, S> {
    source: &'a dyn TensorSource<S>,
    values: BTreeMap<Key, Arc<Vec<S>>>,
}

impl<S: Scalar> Replaced<'_, S> {
    fn found(&self, name: TensorName<'_>) -> Option<&Arc<Vec<S>>> {
        self.values.get(&(name.layer, name.name.to_owned()))
    }
}

impl<S: Scalar> TensorSource<S> for Replaced<'_, S> {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<S> {
        let replaced = self.found(name).map(|values| values.to_vec());
        replaced.unwrap_or_else(|| self.source.tensor(name, ty, rows))
    }

    fn shared(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Arc<Vec<S>> {
        let replaced = self.found(name).cloned();
        replaced.unwrap_or_else(|| self.source.shared(name, ty, rows))
    }
}
