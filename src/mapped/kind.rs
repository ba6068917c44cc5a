//! The kinds of kernels, each with its parameters.

use super::parameter::Parameter;
use super::{AllReduce, Decode, Exchange, Grouped, Host, Matmul, Prefill, Stream, Unfused, Whole};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $parameters:expr;)*) => {
        /// A kind of kernel.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in calibration files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What a stack is described by.
            pub const fn parameters(self) -> &'static [Parameter] {
                match self { $(Self::$variant => $parameters,)* }
            }
        }
    };
}

kinds! {
    /// Products of matrices.
    Matmul = "matmul", Matmul::PARAMETERS;
    /// Attention of many queries per sequence.
    Prefill = "prefill", Prefill::PARAMETERS;
    /// Attention of one or few queries per sequence.
    Decode = "decode", Decode::PARAMETERS;
    /// Every element once.
    Stream = "elementwise", Stream::PARAMETERS;
    /// Attention of whole sequences whose scores pass through memory.
    Unfused = "unfused_attention", Unfused::PARAMETERS;
    /// Sums over devices.
    AllReduce = "all_reduce", AllReduce::PARAMETERS;
    /// Other exchanges over devices.
    Exchange = "exchange", Exchange::PARAMETERS;
    /// Products of experts.
    Grouped = "grouped_matmul", Grouped::PARAMETERS;
    /// Keys that every query head of a group reads for itself, in a stack whose kernels do not share them.
    Apart = "heads_apart", Decode::APART;
    /// Kernels that are not told apart.
    Whole = "whole_step", Whole::PARAMETERS;
    /// What the host takes beside kernels.
    Host = "host", Host::PARAMETERS;
}

impl Kind {
    /// The format of kinds that have none.
    pub const ANY: &str = "any";

    /// Whether it is a stack's way of running things, which no other stack's figures tell.
    pub const fn is_of_stack(self) -> bool {
        matches!(self, Self::Apart | Self::Whole | Self::Host)
    }
}
