//! What a case of an operator states.

use super::layout::{Inputs, Layout};
use crate::tensor::StepError;

/// Arithmetic that a case is computed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f64, nothing rounded.
    Exact,
    /// The kernel's: f32, rounded to the case's format where the kernel stores or passes on.
    Kernel,
}

/// The elements of each output.
pub type Outputs = Vec<Vec<f64>>;

/// An output that a kernel writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// How it lies.
    pub layout: Layout,
    /// Codes, indices, copies: right kernels differ where rounding decides and nowhere else.
    pub discrete: bool,
}

/// What other projects' tests allow of an operator, where their rule depends on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usual {
    /// NMSE of ggml's test-backend-ops.
    pub nmse: f64,
    /// Times the emulation's largest error in FlashAttention's tests.
    pub multiple: f64,
    /// Mean absolute error over mean magnitude, in vLLM's tests of quantized products.
    pub mean_ratio: Option<f64>,
}

impl Usual {
    /// Where nothing else is known: ggml's default, FlashAttention's 2.
    pub const PLAIN: Self = Self { nmse: 1e-7, multiple: 2.0, mean_ratio: None };
}

type Run<'a> = Box<dyn Fn(&Inputs, Precision) -> Outputs + Send + Sync + 'a>;

type Rows<'a> = Box<dyn Fn(&Inputs, &[usize]) -> Vec<f64> + Send + Sync + 'a>;

/// A known bug of a case.
pub struct Mutant<'a> {
    /// Stable name.
    pub name: &'static str,
    /// What is wrong, for a person.
    pub says: &'static str,
    /// Which of several forms of the bug.
    pub form: Option<String>,
    /// The outputs that a kernel with the bug writes.
    pub run: Run<'a>,
    /// Some rows (along the last axis) of the only output in f64, one behind the other: where that takes
    /// less than all of it.
    pub rows: Option<Rows<'a>>,
    /// It errs alike in every row, or in none, being of what the case does not have.
    pub even: bool,
}

impl<'a> Mutant<'a> {
    /// A bug of one form.
    pub fn new(
        name: &'static str,
        says: &'static str,
        run: impl Fn(&Inputs, Precision) -> Outputs + Send + Sync + 'a,
    ) -> Self {
        Self { name, says, form: None, run: Box::new(run), rows: None, even: false }
    }

    /// The case with other parameters than the kernel was given.
    pub fn changed<C: Case + Clone + 'a>(
        case: &C,
        name: &'static str,
        says: &'static str,
        change: impl FnOnce(&mut C),
    ) -> Self {
        let mut case = case.clone();
        change(&mut case);
        Self::new(name, says, move |inputs, precision| case.eval(inputs, precision))
    }
}

impl std::fmt::Debug for Mutant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutant").field("name", &self.name).field("form", &self.form).finish()
    }
}

/// Why there is no such case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Heads that cannot share.
    #[error("{heads} query heads cannot share {kv_heads} key heads")]
    Heads {
        /// Query heads.
        heads: u64,
        /// Key heads.
        kv_heads: u64,
    },
    /// More queries than keys.
    #[error("{queries} queries cannot end {keys} positions")]
    Keys {
        /// Queries.
        queries: u64,
        /// Positions.
        keys: u64,
    },
    /// A number out of bounds, or numbers that do not fit together.
    #[error("{0}")]
    Number(String),
    /// Sizes that no step has.
    #[error(transparent)]
    Step(#[from] StepError),
}

/// Inputs of an operator with what must come out, and the bugs that its kernels are known for.
pub trait Case: Sync + Send {
    /// Checks the numbers; nothing else may be asked of a case that fails.
    ///
    /// # Errors
    /// Numbers that make no case, or one whose truth would take minutes.
    fn check(&self) -> Result<(), CaseError>;
    /// One line: what is computed, of which size.
    fn title(&self) -> String;
    /// What a kernel author must know beyond the layouts.
    fn conventions(&self) -> Vec<String>;
    /// Whether its inputs are the files beside it, not made from a seed.
    fn is_on_files(&self) -> bool {
        false
    }
    /// The inputs.
    fn inputs(&self) -> Inputs;
    /// The outputs.
    fn outputs(&self) -> Vec<Output>;
    /// The graph's operators on some inputs.
    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs;
    /// Right kernels in the kernel's precision that differ in the order of their sums; their largest error
    /// and that of the operators is what the default policy allows twice.
    fn orders(&self, _inputs: &Inputs) -> Vec<Outputs> {
        vec![]
    }
    /// The default policy's tolerance of every element of the only output, where it is not that of its row's
    /// largest and of the emulations' largest error (A105).
    fn tolerance(&self, _inputs: &Inputs, _right: &[&[f64]], _truth: &[f64]) -> Option<Vec<f64>> {
        None
    }
    /// Known bugs; those that change nothing here are found out by running them.
    fn mutants(&self) -> Vec<Mutant<'_>>;
    /// What other projects' tests allow.
    fn usual(&self) -> Usual {
        Usual::PLAIN
    }
}

/// Most multiplications of a case: a minute or so on a core.
const LARGEST: f64 = 1e11;

/// Sizes that a case may have: each between 1 and 2^24, `products` of them as work.
///
/// # Errors
/// A size out of bounds, or more than 1e11 multiplications.
pub fn sizes(named: &[(&str, u64)], products: f64) -> Result<(), CaseError> {
    for (name, size) in named {
        if !(1..=1 << 24).contains(size) {
            return Err(CaseError::Number(format!("{name} is {size}, not 1 to 16777216")));
        }
    }
    if products > LARGEST {
        let why = "the case needs more than 1e11 multiplications; take smaller sizes";
        return Err(CaseError::Number(why.to_owned()));
    }
    Ok(())
}
