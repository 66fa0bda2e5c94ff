//! The flags of logins to registries.

use clap::Args;

/// `cullet login`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  cullet login registry.example.com
  cullet login oci://registry.example.com/team/cache -u ada --password-stdin < token

The registry is asked whether it knows the login. It is kept as `docker login` keeps it, for images and for shared
caches: in ~/.docker/config.json (or in the directory that DOCKER_CONFIG names), or with the credential helper that
this file names. Buckets know no login: AWS_*, GOOGLE_* and AZURE_* variables reach them.")]
pub struct LoginArgs {
    /// A registry, HOST or HOST:PORT, or a cache in one, oci://HOST/REPOSITORY
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
    /// Log in as USER [default: asked for]
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Read the password or token from standard input [default: asked for]
    #[arg(long, requires = "user")]
    pub password_stdin: bool,
}

/// `cullet logout`.
#[derive(Debug, Clone, Args)]
pub struct LogoutArgs {
    /// A registry, HOST or HOST:PORT, or a cache in one, oci://HOST/REPOSITORY
    #[arg(value_name = "REGISTRY")]
    pub registry: String,
}
