//! Cases of the grouped matrix product of a mixture of experts.

use super::dtype::Dtype;
use super::evaluate::{Evaluated, of, rounded, run, values};
use super::random::Random;
use crate::formats::Kind;
use crate::op::scalar::Scalar;
use crate::op::{Choices, ExpertLoad, GroupedMatMul, Held};
use crate::tensor::{Dim, Step};
use crate::validate::case::sizes;
use crate::validate::{
    Array, Case, CaseError, Inputs, Layout, Mutant, Output, Outputs, Precision, Stored, Usual,
};
use serde::{Deserialize, Serialize};

/// Projection of every token by each of its experts. The defaults show every known bug.
#[derive(Debug, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupedMatMulCase {
    /// Tokens
    #[arg(long, default_value = "29")]
    pub tokens: u64,
    /// Experts
    #[arg(long, default_value = "8")]
    pub experts: u64,
    /// Experts per token
    #[arg(long, default_value = "2")]
    pub active: u64,
    /// Elements of a token (K)
    #[arg(long, default_value = "80")]
    pub inputs: u64,
    /// Elements of a result (N)
    #[arg(long, default_value = "48")]
    pub outputs: u64,
    /// Format of inputs and output
    #[arg(long, value_enum, default_value_t)]
    pub dtype: Dtype,
    /// Of the inputs
    #[arg(long, default_value = "1")]
    pub seed: u64,
}

/// Sizes of tiles that are tried where a bug depends on them.
const TILES: [u64; 3] = [16, 32, 64];

impl GroupedMatMulCase {
    fn layout(&self, name: &str, says: &'static str, axes: &[(&'static str, u64)]) -> Layout {
        Layout::new(name, says, axes, self.dtype.stored())
    }

    /// Rows of a matrix turned end to end: the same sums in the other order.
    fn reversed(&self, inputs: &Inputs, name: &str) -> Vec<f64> {
        let rows = inputs.of(name).chunks_exact(self.inputs as usize);
        rows.flat_map(|row| row.iter().rev().copied()).collect()
    }

    /// With the choices of a token changed.
    fn chosen(&self, inputs: &Inputs, change: impl Fn(usize, &[f64]) -> Vec<f64>) -> Inputs {
        let rows = inputs.of("experts").chunks_exact(self.active as usize).enumerate();
        inputs.with("experts", rows.flat_map(|(t, row)| change(t, row)).collect())
    }

    /// Where the results stand that a kernel sorts by expert: for each, the choice it belongs to.
    fn sorted(&self, inputs: &Inputs) -> Vec<usize> {
        let experts = inputs.of("experts");
        let mut order: Vec<usize> = (0..experts.len()).collect();
        order.sort_by_key(|&choice| experts[choice] as u64);
        order
    }

    fn rows<'a>(&self, out: &'a [f64]) -> Vec<&'a [f64]> {
        out.chunks_exact(self.outputs as usize).collect()
    }

    /// Elements from `kept` on of every row of the tokens are not read.
    fn cut(&self, inputs: &Inputs, kept: u64) -> Inputs {
        let zeroed = |(i, &x): (usize, &f64)| if i as u64 % self.inputs < kept { x } else { 0.0 };
        inputs.with("x", inputs.of("x").iter().enumerate().map(zeroed).collect())
    }
}

impl Evaluated for GroupedMatMulCase {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let Self { experts, active, .. } = *self;
        let [tokens, width, outputs] = [self.tokens, self.inputs, self.outputs].map(|n| n as usize);
        let step = Step::prefill(1, self.tokens).expect("invariant: a checked case has a step");
        let load = ExpertLoad::Uniform { experts, active, held: experts };
        let choices = Choices { active, ranks: 1, held: Held::all(experts), load };
        let op = GroupedMatMul {
            rows: Dim::Tokens,
            choices,
            inputs: self.inputs,
            outputs: self.outputs,
        };
        let k = active as usize;
        // Weights of the choices, which the projection does not read.
        let rows = inputs.of("experts").chunks_exact(k);
        let routes: Vec<f64> = rows.flat_map(|row| [row, &vec![1.0; k]].concat()).collect();
        let [x, w] = ["x", "w"].map(|name| of::<S>(inputs.of(name)));
        let routes = of::<S>(&routes);
        let operands = [(&x[..], width), (&routes[..], 2 * k), (&w[..], width)];
        values(&rounded(format, run(&op, &step, &operands, (tokens * k, outputs))))
    }
}

impl Case for GroupedMatMulCase {
    fn check(&self) -> Result<(), CaseError> {
        let Self { tokens, experts, active, inputs, outputs, .. } = *self;
        let named = [("tokens", tokens), ("experts", experts), ("active", active)];
        let named = [&named[..], &[("inputs", inputs), ("outputs", outputs)]].concat();
        let work = [tokens, active, inputs, outputs].map(|n| n as f64).iter().product::<f64>();
        sizes(&named, work.max(experts as f64 * inputs as f64 * outputs as f64))?;
        if active > experts {
            let why = format!("active is {active}, above the {experts} experts");
            return Err(CaseError::Number(why));
        }
        Ok(())
    }

    fn title(&self) -> String {
        let Self { tokens, experts, active, inputs, outputs, dtype, .. } = self;
        format!(
            "grouped matmul, {tokens} tokens to {active} of {experts} experts of {outputs} x {inputs}, \
             {dtype}"
        )
    }

    fn conventions(&self) -> Vec<String> {
        vec![
            "out[t, j, n] = sum over i of x[t, i] w[e, n, i], with e = experts[t, j].".to_owned(),
            "Sums are kept in at least fp32 and rounded once.".to_owned(),
            "One expert in four has no token.".to_owned(),
        ]
    }

    fn inputs(&self) -> Inputs {
        let mut random = Random::new(self.seed);
        let Self { tokens, experts, active, inputs, outputs, .. } = *self;
        let x =
            random.array(self.layout("x", "the tokens", &[("token", tokens), ("element", inputs)]));
        let axes = [("expert", experts), ("output", outputs), ("element", inputs)];
        let w = self.layout("w", "the experts' weights", &axes);
        let w = random.scaled(w, 0.0, 1.0 / (inputs as f64).sqrt());
        let axes = [("token", tokens), ("choice", active)];
        let layout = Layout::new(
            "experts",
            "numbers of a token's experts",
            axes,
            Stored::Integer(Kind::I32),
        );
        // Experts 3, 7, ... stay idle while there are others enough.
        let busy: Vec<u64> = (0..experts).filter(|e| e % 4 != 3).collect();
        let pool = if busy.len() as u64 >= active { busy } else { (0..experts).collect() };
        let mut values = vec![];
        for _ in 0..tokens {
            values.extend(random.distinct(&pool, active as usize).iter().map(|&e| e as f64));
        }
        Inputs(vec![x, w, Array { layout, values }])
    }

    fn outputs(&self) -> Vec<Output> {
        let axes = [("token", self.tokens), ("choice", self.active), ("output", self.outputs)];
        vec![Output { layout: self.layout("out", "the results", &axes), discrete: false }]
    }

    fn eval(&self, inputs: &Inputs, precision: Precision) -> Outputs {
        self.in_precision(inputs, precision)
    }

    /// Sums from the last element to the first.
    fn orders(&self, inputs: &Inputs) -> Vec<Outputs> {
        let turned = inputs.with("x", self.reversed(inputs, "x"));
        let turned = turned.with("w", self.reversed(inputs, "w"));
        vec![self.eval(&turned, Precision::Kernel)]
    }

    fn mutants(&self) -> Vec<Mutant<'_>> {
        type Change = fn(&GroupedMatMulCase, &Inputs) -> Inputs;
        let on = |name, says, change: Change| {
            Mutant::new(name, says, move |inputs: &Inputs, p| self.eval(&change(self, inputs), p))
        };
        let mut mutants = vec![
            on("expert-plus-1", "the next expert's weights", |c, inputs| {
                c.chosen(inputs, |_, row| {
                    row.iter().map(|e| (e + 1.0) % c.experts as f64).collect()
                })
            }),
            on("first-choice", "every choice takes the token's first expert", |c, inputs| {
                c.chosen(inputs, |_, row| vec![row[0]; row.len()])
            }),
            on("choices-reversed", "the choices stand in the other order", |c, inputs| {
                c.chosen(inputs, |_, row| row.iter().rev().copied().collect())
            }),
            on("expert-0", "every choice takes expert 0", |c, inputs| {
                c.chosen(inputs, |_, row| vec![0.0; row.len()])
            }),
            on("weights-layout", "weights are read as [experts, inputs, outputs]", |c, inputs| {
                let (outputs, width) = (c.outputs as usize, c.inputs as usize);
                let of = |w: &[f64]| -> Vec<f64> {
                    let at = |n: usize, i: usize| w[i * outputs + n];
                    (0..outputs).flat_map(|n| (0..width).map(move |i| at(n, i))).collect()
                };
                let w = inputs.of("w").chunks_exact(outputs * width).flat_map(of).collect();
                inputs.with("w", w)
            }),
        ];
        mutants.push(Mutant::new("unsorted", "results stay sorted by expert", |inputs, p| {
            let out = self.eval(inputs, p).remove(0);
            let rows = self.rows(&out);
            vec![self.sorted(inputs).into_iter().flat_map(|c| rows[c].to_vec()).collect()]
        }));
        mutants.push(Mutant::new(
            "row-map",
            "choice c reads token c, not token c / k",
            |inputs, p| {
                let (k, tokens) = (self.active as usize, self.tokens as usize);
                let rows: Vec<&[f64]> = inputs.of("x").chunks_exact(self.inputs as usize).collect();
                let mut out = vec![];
                for j in 0..k {
                    let x = (0..tokens).flat_map(|t| rows[(t * k + j) % tokens].to_vec()).collect();
                    out.push(self.eval(&inputs.with("x", x), p).remove(0));
                }
                let row = |c: usize| self.rows(&out[c % k])[c].to_vec();
                vec![(0..tokens * k).flat_map(row).collect()]
            },
        ));
        mutants.push(Mutant::new("capacity", "an expert drops what is beyond its even share", {
            |inputs, p| {
                let out = self.eval(inputs, p).remove(0);
                let share = (self.tokens * self.active).div_ceil(self.experts) as usize;
                let mut taken = vec![0; self.experts as usize];
                let of = |(c, row): (usize, &[f64])| {
                    let expert = inputs.of("experts")[c] as usize;
                    taken[expert] += 1;
                    if taken[expert] > share { vec![0.0; row.len()] } else { row.to_vec() }
                };
                vec![self.rows(&out).into_iter().enumerate().flat_map(of).collect()]
            }
        }));
        mutants.extend(TILES.map(|tile| Mutant {
            form: Some(format!("tiles of {tile}")),
            ..Mutant::new(
                "tile-missing",
                "the last tile of the sum is not read",
                move |inputs, p| self.eval(&self.cut(inputs, (self.inputs - 1) / tile * tile), p),
            )
        }));
        mutants
    }

    fn usual(&self) -> Usual {
        Usual { nmse: 5e-4, ..Usual::PLAIN }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::holds;
    use super::*;

    #[test]
    fn bugs_are_told_apart() {
        let case = |tokens, active, dtype| GroupedMatMulCase {
            tokens,
            experts: 8,
            active,
            inputs: 72,
            outputs: 24,
            dtype,
            seed: 3,
        };
        let cases = [
            case(29, 2, Dtype::Bf16),
            case(29, 2, Dtype::Fp32),
            case(1, 3, Dtype::Fp16),
            GroupedMatMulCase { experts: 5, ..case(40, 1, Dtype::Bf16) },
        ];
        holds(&cases.each_ref().map(|case| case as &dyn Case));
    }
}
