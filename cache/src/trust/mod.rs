//! Who may write which results, and who believes them.
//!
//! A result belongs to a **scope**. Whoever reads looks into the own scope and then into the protected one; whoever writes
//! writes to the own scope only, so that what a branch or a laptop made cannot become what production is built from.
//! A **signature** says which worker made a result, of which action, in which scope: somebody who can write to the storage
//! but has no key can neither make results nor move them from one scope to another. Readers that ask for signatures take
//! everything else for missing.

mod keys;
mod options;
mod refused;
mod scope;
mod scoped;
mod signature;
mod signed;
mod statement;
#[cfg(test)]
mod tests;

pub use keys::{KeyError, PublicKey, SigningKey};
pub use options::TrustOptions;
pub use refused::{Refusals, Refused};
pub use scope::{Scope, ScopeError};
pub use scoped::ScopedActions;
pub use signature::Signature;
pub use signed::{Signed, Trusted};
