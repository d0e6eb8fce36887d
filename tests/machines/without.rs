//! A machine without one of its fences, to see that an attack succeeds then.

use udpchat_core::mutation::{Mutation, Mutations};

/// The fence that is taken out, if any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Without(pub(crate) Option<Mutation>);

impl Mutations for Without {
    fn has(&self, mutation: Mutation) -> bool {
        self.0 == Some(mutation)
    }
}
