//! Finds all values of a run before anything of it runs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cullet_pipeline::Plan;
use cullet_pipeline::plan::{Identity, Secret, SecretSource, Settings};
use cullet_secrets::{
    COMMAND_TIMEOUT, Provider, Salt, SecretError, SecretValue, command_output, read_env, read_file,
};
use futures_util::stream::{self, StreamExt as _};

use super::{RunSecrets, conceal, place};
use crate::config::{Config, environment};
use crate::error::CliError;
use crate::runtime;

/// Asked of providers at the same time.
const AT_ONCE: usize = 8;

/// Problems that are shown; whoever has more has forgotten one thing.
const SHOWN: usize = 20;

type Found = BTreeMap<SecretSource, Result<SecretValue, SecretError>>;

/// Finds the values of all steps that run, and puts their identities into the plan where they are wanted. Blocks.
///
/// # Errors
/// One cannot be had; all that cannot are named.
pub(crate) fn resolve(
    plan: &mut Plan,
    file: &Path,
    base: &Path,
    config: &Config,
) -> Result<RunSecrets, CliError> {
    let mut wanted: BTreeMap<SecretSource, Secret> = BTreeMap::new();
    for secret in secrets(plan) {
        let first = wanted.entry(secret.source.clone()).or_insert_with(|| secret.clone());
        // One that is in a variable has more to fulfil.
        if secret.in_env && !first.in_env {
            *first = secret.clone();
        }
    }
    if wanted.is_empty() {
        return Ok(RunSecrets::default());
    }
    conceal();
    let found = find(&wanted, base, config)?;
    complain(&wanted, &found, file, config)?;
    let values: BTreeMap<SecretSource, SecretValue> =
        found.into_iter().filter_map(|(source, value)| Some((source, value.ok()?))).collect();
    identify(plan, &values, config)?;
    let mut steps = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.skip.is_none() && !step.settings.secrets.is_empty()) {
        let value = |secret: &Secret| Some((secret.name.clone(), values.get(&secret.source)?.clone()));
        steps.insert(step.name.clone(), step.settings.secrets.iter().filter_map(value).collect());
    }
    Ok(RunSecrets { steps })
}

/// Of all steps that run.
fn secrets(plan: &Plan) -> impl Iterator<Item = &Secret> {
    let mut last = std::ptr::null();
    plan.steps
        .iter()
        .filter(|step| step.skip.is_none())
        // Instances of a step come together and mostly have the same.
        .filter(move |step| {
            std::mem::replace(&mut last, Arc::as_ptr(&step.settings)) != Arc::as_ptr(&step.settings)
        })
        .flat_map(|step| &step.settings.secrets)
}

fn find(wanted: &BTreeMap<SecretSource, Secret>, base: &Path, config: &Config) -> Result<Found, CliError> {
    let mut found = Found::new();
    let mut asked: Vec<(SecretSource, Arc<dyn Provider>, String)> = Vec::new();
    let mut providers: BTreeMap<&str, Option<Arc<dyn Provider>>> = BTreeMap::new();
    for source in wanted.keys() {
        let value = match source {
            SecretSource::Env(name) => read_env(name, environment(name)),
            SecretSource::File(path) => read_file(&base.join(path)),
            SecretSource::Command(arguments) => command_output(arguments, base, COMMAND_TIMEOUT),
            SecretSource::Provider { provider, key } => {
                let known = match providers.get(provider.as_str()) {
                    Some(known) => known.clone(),
                    None => {
                        let one = config.secrets.provider(provider)?;
                        providers.insert(provider, one.clone());
                        one
                    }
                };
                match known {
                    Some(one) => {
                        asked.push((source.clone(), one, key.clone()));
                        continue;
                    }
                    None => Err(SecretError::Missing(format!("there is no provider `{provider}`"))),
                }
            }
        };
        found.insert(source.clone(), value);
    }
    if !asked.is_empty() {
        let runtime = runtime::of_one_thread()?;
        let answers = asked.into_iter().map(|(source, provider, key)| async move {
            let value = provider.get(&key).await;
            (source, value)
        });
        let answers: Vec<_> = runtime.block_on(stream::iter(answers).buffer_unordered(AT_ONCE).collect());
        found.extend(answers);
    }
    Ok(found)
}

/// Says what is missing, where, and what to do about it.
fn complain(
    wanted: &BTreeMap<SecretSource, Secret>,
    found: &Found,
    file: &Path,
    config: &Config,
) -> Result<(), CliError> {
    let mut problems: Vec<(&Secret, String)> = Vec::new();
    let (mut permanent, mut hints) = (false, Vec::new());
    for (source, value) in found {
        let Some(secret) = wanted.get(source) else { continue };
        let problem = match value {
            Err(error) => {
                permanent |= error.is_permanent();
                error.to_string()
            }
            Ok(value) => match value.check_env() {
                Err(problem) if secret.in_env => {
                    permanent = true;
                    problem.to_string()
                }
                _ => continue,
            },
        };
        problems.push((secret, problem));
        let hint = hint(source, config);
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort_by_key(|(secret, _)| (secret.line, secret.column));
    let more = problems.len().saturating_sub(SHOWN);
    let lines = problems.iter().take(SHOWN).map(|(secret, problem)| {
        format!("{}: the secret `{}` cannot be had: {problem}", place(file, secret), secret.name)
    });
    let mut text = lines.collect::<Vec<_>>().join("\n");
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    let error = if permanent { CliError::usage(text) } else { CliError::infra(text) };
    Err(hints.into_iter().fold(error, CliError::hint))
}

fn hint(source: &SecretSource, config: &Config) -> String {
    match source {
        SecretSource::Env(_) => {
            "set the variable for this command, or name another place in the pipeline".to_owned()
        }
        SecretSource::File(_) => "paths of secrets are relative to the pipeline file".to_owned(),
        SecretSource::Command(_) => {
            "programs of secrets are started in the directory of the pipeline file".to_owned()
        }
        SecretSource::Provider { provider, .. } => {
            let names: Vec<&str> = config.secrets.provider_names().collect();
            let file = config.file.as_ref().map_or_else(
                || "the configuration file".to_owned(),
                |path| format!("the configuration file {}", path.display()),
            );
            match names.contains(&provider.as_str()) {
                true => format!("the provider is [secrets.providers.{provider}] in {file}"),
                false => format!("add [secrets.providers.{provider}] to {file}"),
            }
        }
    }
}

/// Replaces identities that are wanted by those of the values.
fn identify(
    plan: &mut Plan,
    values: &BTreeMap<SecretSource, SecretValue>,
    config: &Config,
) -> Result<(), CliError> {
    let is_wanted =
        |settings: &Settings| settings.secrets.iter().any(|secret| secret.identity == Identity::Wanted);
    if !plan.steps.iter().any(|step| step.skip.is_none() && is_wanted(&step.settings)) {
        return Ok(());
    }
    let path = config.secrets.salt_file().ok_or_else(|| {
        CliError::usage("there is no place for the salt of secrets' identities")
            .hint("set HOME, or `salt-file` in [secrets] of the configuration file")
    })?;
    let salt = Salt::of(path).map_err(|error| {
        CliError::usage(error.to_string())
            .because(error.source)
            .hint("name another one as `salt-file` in [secrets] of the configuration file")
    })?;
    // What instances have in common stays common.
    let mut known: HashMap<*const Settings, Arc<Settings>> = HashMap::new();
    for step in plan.steps.iter_mut().filter(|step| step.skip.is_none() && is_wanted(&step.settings)) {
        let before = Arc::clone(&step.settings);
        let identified = known.entry(Arc::as_ptr(&before)).or_insert_with(|| {
            let mut settings = Settings::clone(&before);
            for secret in settings.secrets.iter_mut().filter(|secret| secret.identity == Identity::Wanted) {
                if let Some(value) = values.get(&secret.source) {
                    secret.identity = Identity::Known(salt.identity(&secret.name, value));
                }
            }
            Arc::new(settings)
        });
        step.settings = Arc::clone(identified);
    }
    Ok(())
}
