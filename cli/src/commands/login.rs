//! `cullet login` and `cullet logout`: who somebody is to a registry.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};
use std::path::PathBuf;

use cullet_image::{LoginPlace, Registries, forget_login, keep_login};

use crate::args::{LoginArgs, LogoutArgs};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};

/// Asks the registry, and keeps the login if it is accepted.
pub(super) fn login(args: &LoginArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let registry = registry(&args.registry)?;
    let file = file(config)?;
    let user = match &args.user {
        Some(user) => user.clone(),
        None => asked_user(&registry)?,
    };
    if user.is_empty() || user.contains(':') || user.chars().any(char::is_control) {
        return Err(CliError::usage("a user has a name without `:` and control characters"));
    }
    let password = if args.password_stdin { piped_password()? } else { asked_password(&registry)? };
    let failed = |error: cullet_image::RegistryError| {
        CliError::infra(format!("{registry} did not take the login")).because(*error.problem)
    };
    let registries = Registries::new(config.registries.options()?).map_err(failed)?;
    let asked = registries.accepts(&registry, (&user, &password));
    if !crate::runtime::of_one_thread()?.block_on(asked).map_err(failed)? {
        diagnostics::report(&format!(
            "{registry} asks nobody who they are, so nobody knows whether the password is right\n"
        ));
    }
    let place = keep_login(&file, &registry, (&user, &password))
        .map_err(|error| CliError::infra("the login is not kept").because(error))?;
    let place = match place {
        LoginPlace::File => format!("in {}, where whoever can read the file can read it", file.display()),
        LoginPlace::Helper(helper) => format!("with {helper}"),
    };
    writeln!(out, "Logged in to {registry} as {user}. The login is kept {place}.")
        .map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

/// Forgets it.
pub(super) fn logout(
    args: &LogoutArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let registry = registry(&args.registry)?;
    let gone = forget_login(&file(config)?, &registry)
        .map_err(|error| CliError::infra("the login is not forgotten").because(error))?;
    let said = if gone {
        format!("Logged out of {registry}.")
    } else {
        format!("Nobody is logged in to {registry}.")
    };
    writeln!(out, "{said}").map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn file(config: &Config) -> Result<PathBuf, CliError> {
    config.registries.docker_config.clone().ok_or_else(|| {
        CliError::usage("there is no place for logins").hint("set HOME, or DOCKER_CONFIG to a directory")
    })
}

/// Host and port, as references of images have them.
fn registry(text: &str) -> Result<String, CliError> {
    const BUCKETS: [&str; 3] = ["s3://", "gs://", "az://"];
    if BUCKETS.iter().any(|scheme| text.starts_with(scheme)) {
        return Err(CliError::usage(format!("`{text}` is a bucket, and buckets know no login")).hint(
            "AWS_*, GOOGLE_* or AZURE_* variables reach it, as the tools of their providers know them",
        ));
    }
    let place = ["oci://", "https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
    let host = place.unwrap_or(text).split('/').next().unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
    if host.is_empty() || !host.chars().all(allowed) {
        // Not repeated: somebody may have written a password into it.
        return Err(CliError::usage("this is no registry")
            .hint("write HOST or HOST:PORT, such as registry.example.com:5000, or oci://HOST/REPOSITORY"));
    }
    Ok(match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        host => host.to_owned(),
    })
}

/// More than any token has.
const LONGEST: u64 = 64 << 10;

fn asked_user(registry: &str) -> Result<String, CliError> {
    if !io::stdin().is_terminal() {
        return Err(
            CliError::usage("who is it? There is no terminal to ask").hint("use --user and --password-stdin")
        );
    }
    diagnostics::report(&format!("User of {registry}: "));
    let mut user = String::new();
    let read = io::stdin().lock().take(LONGEST).read_line(&mut user);
    read.map_err(|error| CliError::usage("the name cannot be read").because(error))?;
    Ok(user.trim().to_owned())
}

/// Where nobody sees it, and from the terminal itself.
fn asked_password(registry: &str) -> Result<String, CliError> {
    let asked = rpassword::prompt_password(format!("Password of {registry}: "));
    asked.map_err(|error| {
        CliError::usage("there is no terminal to ask for a password")
            .because(error)
            .hint("use --password-stdin")
    })
}

fn piped_password() -> Result<String, CliError> {
    let mut password = String::new();
    let read = io::stdin().lock().take(LONGEST).read_to_string(&mut password);
    read.map_err(|error| CliError::usage("the password cannot be read").because(error))?;
    let password = password.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(CliError::usage("standard input has no password"));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_read_in_whatever_form_people_have_it() {
        for (text, expected) in [
            ("registry.example.com", "registry.example.com"),
            ("registry.example.com:5000", "registry.example.com:5000"),
            ("oci://registry.example.com:5000/team/cache", "registry.example.com:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(registry(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "oci://", "user:pass@host", "a b", "s3://bucket", "az://c/p"] {
            let error = registry(wrong).unwrap_err().to_string();
            assert!(!error.contains("pass"), "{error}");
        }
    }
}
