//! The flags of copying a shared cache.

use clap::Args;
use cullet_cache::Scope;

use super::values::Format;

/// `cullet cache mirror`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cullet cache mirror s3://ci-cache/main oci://registry.lan/team/cache
  cullet cache mirror app.bundle s3://site-cache/main --scope protected")]
pub struct CacheMirrorArgs {
    /// What to copy: a bucket (s3://BUCKET/PREFIX, gs://, az://), oci://HOST/REPOSITORY, or the file of a bundle
    #[arg(value_name = "FROM")]
    pub from: String,
    /// Where to: a bucket (s3://BUCKET/PREFIX, gs://, az://) or oci://HOST/REPOSITORY
    #[arg(value_name = "TO")]
    pub to: String,
    /// Copy results of SCOPE only; may be repeated [default: of all scopes]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<Scope>,
    /// Read also what is there already, all of it, and copy again what is damaged
    #[arg(long)]
    pub verify: bool,
    /// How to say what was done
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}
