//! The files of a model, and the weights of its graphs in them.

use super::assemble::{extents, formed, take, taken};
use super::decode::{decode, microscaled};
use super::found::{Found, Stored};
use crate::diagnostic::{clip, nearest_hint};
use crate::formats::values::Value;
use crate::formats::{Entry, FormatError, Kind, gguf, safetensors};
use crate::graph::{Graph, Kind as NodeKind};
use crate::model::Architecture;
use crate::model::checkpoint::{Layout, Part};
use crate::tensor::{Role, Step};
use indexmap::IndexMap;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Seek};

/// Weights that do not fit the model.
#[derive(Debug, thiserror::Error)]
pub enum WeightError {
    /// A file that cannot be read.
    #[error("{file}: {error}")]
    File {
        /// Its name.
        file: String,
        /// Why.
        error: FormatError,
    },
    /// A tensor that two files hold.
    #[error("tensor `{tensor}` lies in {first} and in {second}")]
    Twice {
        /// Its name.
        tensor: String,
        /// One file.
        first: String,
        /// The other.
        second: String,
    },
    /// A weight of the graph that no tensor holds.
    #[error(
        "the model needs tensor `{tensor}` (weight `{weight}` of the graph), which no file holds"
    )]
    Missing {
        /// The stored name.
        tensor: String,
        /// The graph's name.
        weight: String,
        /// The closest names that are there.
        hint: String,
    },
    /// A weight of the graph that the checkpoint's form has no name for.
    #[error("weight `{weight}` of the graph has no name in this form of checkpoint")]
    Unnamed {
        /// The graph's name.
        weight: String,
    },
    /// A tensor of another shape than the configuration says.
    #[error("tensor `{tensor}` has shape {shape:?}; the configuration makes it {expected}")]
    Shape {
        /// The stored name.
        tensor: String,
        /// As stored.
        shape: Vec<u64>,
        /// As the graph has it.
        expected: String,
    },
    /// A tensor that no weight of the graph is made of.
    #[error("tensor `{tensor}` belongs to no weight of the model: its mathematics would be lost")]
    Unused {
        /// The stored name.
        tensor: String,
    },
}

/// A file of tensors.
#[derive(Debug)]
struct File<F> {
    name: String,
    file: RefCell<F>,
}

/// The files of a model with the weights of its graphs.
#[derive(Debug)]
pub struct Checkpoint<F> {
    files: Vec<File<F>>,
    entries: IndexMap<String, (usize, Entry)>,
    layout: Layout,
    arch: Architecture,
}

impl<F: Read + Seek> Checkpoint<F> {
    /// The tensors of safetensors files, by name.
    ///
    /// # Errors
    /// A file that cannot be read, or a tensor in two of them.
    pub fn safetensors(
        files: Vec<(String, F)>,
        (arch, layout): (Architecture, Layout),
    ) -> Result<Self, WeightError> {
        let mut checkpoint = Self { files: vec![], entries: IndexMap::new(), layout, arch };
        for (name, mut file) in files {
            let directory = safetensors::directory(&mut file)
                .map_err(|error| WeightError::File { file: name.clone(), error })?;
            checkpoint.add(name, file, directory.entries.into_values())?;
        }
        Ok(checkpoint)
    }

    /// The tensors of a GGUF file whose directory was read.
    ///
    /// # Errors
    /// None: a directory has every name once.
    pub fn gguf(
        (name, file): (String, F),
        directory: gguf::Directory,
        arch: Architecture,
    ) -> Result<Self, WeightError> {
        let layout = Layout::of_gguf();
        let mut checkpoint = Self { files: vec![], entries: IndexMap::new(), layout, arch };
        checkpoint.add(name, file, directory.entries.into_values())?;
        Ok(checkpoint)
    }

    fn add(
        &mut self,
        name: String,
        file: F,
        entries: impl Iterator<Item = Entry>,
    ) -> Result<(), WeightError> {
        let index = self.files.len();
        self.files.push(File { name, file: RefCell::new(file) });
        for entry in entries {
            let name = entry.name.clone();
            if let Some((other, _)) = self.entries.insert(name.clone(), (index, entry)) {
                let first = self.files[other].name.clone();
                let second = self.files[index].name.clone();
                return Err(WeightError::Twice { tensor: clip(&name), first, second });
            }
        }
        Ok(())
    }

    /// The model.
    pub const fn architecture(&self) -> &Architecture {
        &self.arch
    }

    /// Bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.entries.values().map(|(_, entry)| entry.bytes).sum()
    }

    /// The stored tensors and their kinds.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|(_, entry)| entry)
    }

    /// Holds that every weight of the graphs is there in its shape, and that every tensor is taken.
    ///
    /// # Errors
    /// What is missing, of another shape, or left over.
    pub fn check<'g>(&self, graphs: impl Iterator<Item = &'g Graph>) -> Result<(), WeightError> {
        let mut used = BTreeSet::new();
        let step = Step::decode(1, 1).expect("invariant: one token is a step");
        for graph in graphs {
            for (id, node) in graph.nodes() {
                let Role::Weight(_) = node.ty.role else { continue };
                if !matches!(node.kind, NodeKind::Source(_)) {
                    continue;
                }
                let region = graph.region(id);
                for iteration in 0..region.count {
                    let layer = region.first_layer + iteration * region.layers + node.layer;
                    let layer = region.carry.map(|_| layer);
                    let rows = node.ty.rows.extent(&step) as u64;
                    for part in self.parts(layer, &node.name, (rows, node.ty.width))? {
                        used.extend(self.found(&part).map_or_else(Vec::new, |found| found.names()));
                    }
                }
            }
        }
        let unused = self.entries.keys().find(|n| !used.contains(n.as_str()) && !self.ignored(n));
        unused.map_or(Ok(()), |tensor| Err(WeightError::Unused { tensor: clip(tensor) }))
    }

    /// Tables that follow from the configuration, and a head that repeats a tied embedding.
    fn ignored(&self, tensor: &str) -> bool {
        self.layout.is_ignored(tensor)
            || self.arch.head.tied && matches!(tensor, "lm_head.weight" | "output.weight")
    }

    /// A stored tensor under its name, or under its name with or without a prefix of the form.
    fn stored(&self, tensor: &str) -> Option<Stored<'_>> {
        let bare = self.layout.prefixes().iter().find_map(|p| tensor.strip_prefix(p));
        let found = self.entries.get_key_value(tensor);
        let found = found.or_else(|| self.entries.get_key_value(bare?));
        found.map(|(name, entry)| (name.as_str(), entry))
    }

    /// What a part is read from.
    fn found(&self, part: &Part) -> Option<Found<'_>> {
        let also = |ending: &str| self.stored(&format!("{}_{ending}", part.tensor));
        let pair = || Some(Found::Microscaled { blocks: also("blocks")?, scales: also("scales")? });
        let pair = || pair().filter(Found::is_whole);
        self.stored(&part.tensor).map(Found::One).or_else(pair)
    }

    /// The bytes of a tensor as `of` makes them.
    fn read<T>(
        &self,
        (_, (index, entry)): &Stored<'_>,
        of: impl Fn(Kind, Vec<u8>) -> Result<T, FormatError>,
    ) -> Result<T, WeightError> {
        let file = &self.files[*index];
        let bytes = entry.read(&mut *file.file.borrow_mut());
        let made = bytes.and_then(|bytes| of(entry.kind, bytes));
        made.map_err(|error| WeightError::File { file: file.name.clone(), error })
    }

    /// The parts of a weight, each found and together of its shape.
    fn parts(
        &self,
        layer: Option<u64>,
        name: &str,
        (rows, width): (u64, u64),
    ) -> Result<Vec<Part>, WeightError> {
        let weight = || layer.map_or_else(|| name.to_owned(), |l| format!("{name} of layer {l}"));
        let parts = self.layout.parts(&self.arch, layer, name);
        let parts = parts.ok_or_else(|| WeightError::Unnamed { weight: weight() })?;
        let mut elements = 0;
        for part in &parts {
            let Some(found) = self.found(part) else {
                let names: Vec<&str> = self.entries.keys().map(String::as_str).collect();
                let hint = nearest_hint(&part.tensor, &names);
                let tensor = part.tensor.clone();
                return Err(WeightError::Missing { tensor, weight: weight(), hint });
            };
            let shape = || WeightError::Shape {
                tensor: part.tensor.clone(),
                shape: found.shape(),
                expected: format!("{rows} x {width} for {}", weight()),
            };
            let (own, columns) =
                extents(found.form(part.form), &found.shape()).ok_or_else(shape)?;
            let own = taken(part, own).ok_or_else(shape)?;
            // A vector may be stored in any shape; a matrix has its columns.
            if rows > 1 && columns != width && !(columns == 1 && own == width) {
                return Err(shape());
            }
            elements += own * columns;
            if elements > rows * width || parts.len() == 1 && elements != rows * width {
                return Err(shape());
            }
        }
        Ok(parts)
    }

    /// The `rows x width` elements of a weight.
    ///
    /// # Errors
    /// As [`Self::check`], and a file that cannot be read.
    pub fn weight<V: Value>(
        &self,
        layer: Option<u64>,
        name: &str,
        shape: (u64, u64),
    ) -> Result<Vec<V>, WeightError> {
        let mut all = vec![];
        for part in self.parts(layer, name, shape)? {
            let Some(found) = self.found(&part) else { continue };
            let data = match &found {
                Found::One(stored) => self.read(stored, |kind, bytes| decode::<V>(kind, &bytes))?,
                Found::Microscaled { blocks, scales } => {
                    let scales = self.read(scales, |_, bytes| Ok(bytes))?;
                    self.read(blocks, |_, bytes| Ok(microscaled::<V>(&bytes, &scales)))?
                }
            };
            if let Some(matrix) = formed(found.form(part.form), &found.shape(), data) {
                take(&part, matrix, &mut all);
            }
        }
        Ok(all)
    }
}
