//! A plan bound to silicon: what each kernel is, and where its parameters come from.

use super::memo::{Lookups, Memo};
use super::silicon::Silicon;
use crate::cost::estimator::Estimator;
use crate::mapped::Parameter;
use crate::mapped::calibration::Tuned;
use crate::mapping::{Plan, PlanKernel};
use crate::op::Pattern;
use crate::provenance::Basis;
use crate::tensor::{Phase, Step};

/// What a kernel is, by the patterns of its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An exchange over devices, of the node.
    Exchange(usize),
    /// Fused attention; the node of its scores.
    Attention(usize),
    /// Products.
    Products,
    /// Everything else.
    Stream,
}

/// What a plan's kernels are mapped with.
#[derive(Debug, Clone)]
pub(in crate::cost) struct Binding<'a> {
    pub(super) silicon: &'a Silicon,
    pub(super) memo: Memo,
    /// Of each kernel, at the place of its first node.
    roles: Vec<Role>,
    /// From where the parameters in use come, and how well each is known.
    pub(in crate::cost) origins: Vec<(Basis, String)>,
    /// Whether some kernel keeps the roofline's time.
    pub(in crate::cost) keeps_roofline: bool,
    /// Named fallbacks: the chip's, and kernels that keep the roofline's time.
    pub(in crate::cost) fallbacks: Vec<String>,
}

impl<'a> Binding<'a> {
    pub(in crate::cost) const fn silicon(&self) -> &'a Silicon {
        self.silicon
    }

    pub(super) fn role(&self, kernel: &PlanKernel) -> Role {
        self.roles[kernel.nodes.start]
    }

    /// Seconds that the stack's host adds to a phase, and what 80 % of measurements lie between.
    pub(in crate::cost) fn host(&self, phase: Phase) -> (f64, [f64; 2]) {
        let Some(host) = &self.silicon.host else { return (0.0, [0.0; 2]) };
        let seconds = match phase {
            Phase::Encode => 0.0,
            Phase::Prefill => host.values[0],
            Phase::Decode => host.values[1],
        };
        let known = seconds > 2.0 * Parameter::NOTHING;
        let seconds = if known { seconds } else { 0.0 };
        (seconds, [host.interval.low, host.interval.high].map(|edge| edge * seconds))
    }

    pub(in crate::cost) fn lookups(&self) -> Lookups {
        self.memo.lookups()
    }
}

impl<'a> Estimator<'a> {
    /// The same with kernels mapped onto a device's units, caches and DRAM under a software stack.
    #[must_use]
    pub fn on(mut self, silicon: &'a Silicon) -> Self {
        self.binding = Some(Binding {
            silicon,
            memo: Memo::default(),
            roles: roles(self.plan),
            origins: vec![],
            keeps_roofline: false,
            fallbacks: silicon.chip.fallbacks.clone(),
        });
        self.trace();
        self
    }

    /// Finds out where the parameters of all kernels come from.
    fn trace(&mut self) {
        let Some(mut binding) = self.binding.take() else { return };
        let steps = [Step::prefill(1, TOKENS), Step::decode(1, TOKENS)];
        let mut kept: Vec<String> = vec![];
        for (kernel, step) in
            self.plan.kernels.iter().flat_map(|k| steps.iter().map(move |s| (k, s)))
        {
            let step = step.as_ref().expect("invariant: 64 tokens are a step");
            let decodes = kernel.phases.contains(Phase::Decode);
            if !decodes && step.tokens() < TOKENS as f64 {
                continue;
            }
            let cost = self.kernel(kernel, step);
            let mut origins = std::mem::take(&mut binding.origins);
            let found = self.parts(&binding, kernel, (step, &cost), &mut |part| {
                let origin = origin(part.tuned);
                if !origins.contains(&origin) {
                    origins.push(origin);
                }
            });
            binding.origins = origins;
            if found.is_none() && !kept.contains(&kernel.name) {
                kept.push(kernel.name.clone());
            }
        }
        binding.keeps_roofline = !kept.is_empty();
        if binding.keeps_roofline {
            let names = kept.join(", ");
            binding
                .fallbacks
                .push(format!("roofline times for {names}: not measured anywhere (A149)"));
        }
        if let Some(host) = binding.silicon.host.as_ref().map(origin)
            && !binding.origins.contains(&host)
        {
            binding.origins.push(host);
        }
        self.binding = Some(binding);
    }

    /// How often products had been mapped before; `None` where kernels take the roofline's time.
    pub fn lookups(&self) -> Option<Lookups> {
        self.binding.as_ref().map(Binding::lookups)
    }
}

/// How well parameters are known, and from where.
fn origin(tuned: &Tuned) -> (Basis, String) {
    (tuned.basis, format!("calibration: {}", tuned.origin))
}

/// Tokens of the step that kernels are told by: more than kernels for few queries take.
const TOKENS: u64 = 64;

/// What each kernel of a plan is, at the place of its first node.
fn roles(plan: &Plan) -> Vec<Role> {
    let step = Step::decode(1, 1).expect("invariant: one token is a step");
    let mut roles = vec![Role::Stream; plan.nodes.len()];
    for kernel in &plan.kernels {
        let patterns = || kernel.nodes.clone().map(|i| (i, plan.nodes[i].op.pattern(&step)));
        let exchange = patterns().find_map(|(i, p)| match p {
            Pattern::Collective { .. } => Some(Role::Exchange(i)),
            _ => None,
        });
        let attends = patterns().find_map(|(i, p)| match p {
            Pattern::Attention { head_dim, .. } if head_dim > 0.0 => Some(Role::Attention(i)),
            _ => None,
        });
        let attends = attends.filter(|_| kernel.nodes.len() > 1);
        let multiplies = patterns().any(|(_, p)| matches!(p, Pattern::Contraction { .. }));
        roles[kernel.nodes.start] =
            exchange.or(attends).unwrap_or(if multiplies { Role::Products } else { Role::Stream });
    }
    roles
}
