//! The check that operands are what an operator was made for.

use crate::tensor::{Role, TensorType};

/// An operand that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InferError {
    /// More or fewer operands than the operator reads.
    #[error("{op} reads {expected} operands, not {found}")]
    Count {
        /// Operator.
        op: &'static str,
        /// Operands it reads.
        expected: usize,
        /// Operands given.
        found: usize,
    },
    /// Wrong shape or role.
    #[error("{op}: operand `{operand}` is {found} {found_role:?}; expected {expected} {expected_role:?}", found_role = .found.role, expected_role = .expected.role)]
    Operand {
        /// Operator.
        op: &'static str,
        /// Which operand.
        operand: &'static str,
        /// Its type.
        found: Box<TensorType>,
        /// The type that the operator was made for.
        expected: Box<TensorType>,
    },
}

/// Compares operands with what the operator expects; any kind of weight serves as a weight.
pub(super) fn check(
    op: &'static str,
    operands: &[TensorType],
    expected: &[(&'static str, TensorType)],
) -> Result<(), InferError> {
    if operands.len() != expected.len() {
        return Err(InferError::Count { op, expected: expected.len(), found: operands.len() });
    }
    for (&found, &(operand, expected)) in operands.iter().zip(expected) {
        let role = match (found.role, expected.role) {
            (Role::Weight(_), Role::Weight(_)) => true,
            (a, b) => a == b,
        };
        if !role || found.rows != expected.rows || found.width != expected.width {
            let (found, expected) = (Box::new(found), Box::new(expected));
            return Err(InferError::Operand { op, operand, found, expected });
        }
    }
    Ok(())
}
