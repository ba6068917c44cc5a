//! Where a run gets its values: weights from files, what was given, and the cache.

use super::checkpoint::{Checkpoint, WeightError};
use crate::formats::values::Value;
use crate::op::scalar::Scalar;
use crate::tensor::{Role, TensorName, TensorSource, TensorType};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Read, Seek};
use std::sync::Arc;

/// Gives weights by layer and name.
pub trait Weights<S> {
    /// The `rows x width` elements of a weight.
    ///
    /// # Errors
    /// A weight that is not there, or cannot be read.
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<S>, WeightError>;
}

impl<F: Read + Seek, S: Value> Weights<S> for Checkpoint<F> {
    fn weight(
        &self,
        name: TensorName<'_>,
        ty: &TensorType,
        rows: u64,
    ) -> Result<Vec<S>, WeightError> {
        Self::weight(self, name.layer, name.name, (rows, ty.width))
    }
}

type Key = (Option<u64>, String);

/// The values of a run: weights, kept in memory while there is room, and what is given by name.
pub struct Given<'a, S> {
    weights: &'a dyn Weights<S>,
    /// Elements of weights that may be kept.
    room: RefCell<usize>,
    kept: RefCell<BTreeMap<Key, Arc<Vec<S>>>>,
    failure: RefCell<Option<WeightError>>,
    values: BTreeMap<Key, Arc<Vec<S>>>,
}

impl<'a, S: Scalar> Given<'a, S> {
    /// Weights of which so many elements may be kept in memory.
    pub fn new(weights: &'a dyn Weights<S>, room: usize) -> Self {
        Self {
            weights,
            room: RefCell::new(room),
            kept: RefCell::default(),
            failure: RefCell::default(),
            values: BTreeMap::new(),
        }
    }

    /// Gives a value by layer and name.
    pub fn set(&mut self, layer: Option<u64>, name: &str, value: Vec<S>) {
        self.values.insert((layer, name.to_owned()), Arc::new(value));
    }

    /// Forgets all values that were given.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Values that were given under names that begin so, by layer and name without `.past`.
    pub fn values_of(&self, prefix: &str) -> BTreeMap<(Option<u64>, String), Vec<S>> {
        let of_prefix = self.values.iter().filter(|((_, name), _)| name.starts_with(prefix));
        let bare = |name: &str| name.strip_suffix(".past").unwrap_or(name).to_owned();
        of_prefix.map(|((layer, name), v)| ((*layer, bare(name)), v.as_ref().clone())).collect()
    }

    /// What went wrong since the last call.
    ///
    /// # Errors
    /// The first weight that could not be read; the values of that run are nothing.
    pub fn checked(&self) -> Result<(), WeightError> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn weight(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Arc<Vec<S>> {
        let key = (name.layer, name.name.to_owned());
        if let Some(kept) = self.kept.borrow().get(&key) {
            return Arc::clone(kept);
        }
        let elements = rows * ty.width as usize;
        let read = self.weights.weight(name, ty, rows as u64);
        let value = Arc::new(read.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            vec![S::constant(f64::NAN); elements]
        }));
        let mut room = self.room.borrow_mut();
        if let Some(left) = room.checked_sub(elements) {
            *room = left;
            self.kept.borrow_mut().insert(key, Arc::clone(&value));
        }
        value
    }
}

impl<S: Scalar> TensorSource<S> for Given<'_, S> {
    fn tensor(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Vec<S> {
        self.shared(name, ty, rows).as_ref().clone()
    }

    fn shared(&self, name: TensorName<'_>, ty: &TensorType, rows: usize) -> Arc<Vec<S>> {
        if let Role::Weight(_) = ty.role {
            return self.weight(name, ty, rows);
        }
        let given = self.values.get(&(name.layer, name.name.to_owned()));
        given
            .cloned()
            .unwrap_or_else(|| Arc::new(vec![S::constant(f64::NAN); rows * ty.width as usize]))
    }
}
