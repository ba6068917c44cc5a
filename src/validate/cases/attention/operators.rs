//! Attention by the graph's operators: scores, softmax, weighted sum.

use super::super::evaluate::{Evaluated, of, rounded, run, values};
use super::Attention;
use crate::op::scalar::Scalar;
use crate::op::{ScoreBias, Scores, Softmax, WeightedSum};
use crate::validate::{Inputs, Stored};

impl Evaluated for Attention {
    fn format(&self) -> Stored {
        self.dtype.stored()
    }

    fn evaluated<S: Scalar>(&self, inputs: &Inputs, format: Option<Stored>) -> Vec<f64> {
        let step = self.step().expect("invariant: a checked case has a step");
        let (mask, heads, kv_heads) = (self.mask(), self.heads, self.kv_heads);
        let (head_dim, value_dim) = (self.head_dim, self.value_dim());
        let scores = Scores {
            heads,
            kv_heads,
            head_dim,
            mask,
            scale: self.scale(),
            softcap: self.softcap,
            bias: self.alibi.then_some(ScoreBias::Alibi),
        };
        let softmax = Softmax { heads, mask, sinks: self.sinks };
        let sum = WeightedSum { heads, kv_heads, head_dim: value_dim, mask, expanded: false };
        let [q, k, v] = ["q", "k", "v"].map(|name| of::<S>(inputs.of(name)));
        let sinks: Vec<S> = if self.sinks { of(inputs.of("sinks")) } else { vec![] };
        let [of_q, of_k, of_v, of_out] =
            [heads * head_dim, kv_heads * head_dim, kv_heads * value_dim, heads * value_dim]
                .map(|n| n as usize);
        let (pairs, h) = (step.pairs(mask) as usize, heads as usize);
        let s = run(&scores, &step, &[(&q, of_q), (&k, of_k)], (pairs, h));
        let operands: [(&[S], usize); 2] = [(&s, h), (&sinks, h)];
        let p = run(&softmax, &step, &operands[..1 + usize::from(self.sinks)], (pairs, h));
        let p = rounded(format, p);
        let rows = q.len() / of_q;
        let out = run(&sum, &step, &[(&p, h), (&v, of_v)], (rows, of_out));
        values(&rounded(format, out))
    }
}
