//! Values that steps get and that nobody else may see: where they come from, and how they are kept out of everything
//! that is stored or sent.

mod command;
mod directory;
mod forms;
mod identity;
mod mask;
mod places;
mod provider;
mod search;
mod stream;
mod value;
mod vault;

pub use command::{COMMAND_TIMEOUT, command_output};
pub use directory::SecretDir;
pub use identity::{Salt, SaltError};
pub use mask::{Masker, Unmaskable};
pub use places::{read_env, read_file};
pub use provider::{Provider, SecretError};
pub use search::Search;
pub use stream::MaskedStream;
pub use value::{MOST_BYTES, SHORTEST, SecretValue, ValueProblem};
pub use vault::{Login, Vault, VaultOptions};
