//! `cullet image push`: what is on this machine, into registries.

use std::io::Write;
use std::path::Path;

use cullet_image::{
    BlobPushed, MOST_MOUNTS, Outgoing, Pick, Pushed, Reference, Registries, RegistryReference,
};

use crate::args::{ImageArgs, ImageCommand, ImagePushArgs};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::images::{push_failed, unreadable_source, unusable_registries};
use crate::runtime;
use crate::ui::{clean, size};

/// Does what is wanted with an image.
pub(super) fn image(args: &ImageArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match &args.command {
        ImageCommand::Push(args) => push(args, config, out),
    }
}

fn push(args: &ImagePushArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let source = source(&args.source)?;
    let targets = args.references.iter().map(|text| target(text)).collect::<Result<Vec<_>, _>>()?;
    if args.mount_from.len() > MOST_MOUNTS {
        return Err(CliError::usage(format!("--mount-from can be given {MOST_MOUNTS} times")));
    }
    push_to(&source, &targets, &args.mount_from, config, out)
}

/// Pushes an image to each of these places, and writes to `out` what is there then.
pub(super) fn push_to(
    source: &Reference,
    targets: &[RegistryReference],
    mount_from: &[String],
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let registries = Registries::new(config.registries.options()?).map_err(unusable_registries)?;
    let runtime = runtime::of_one_thread()?;
    let done = runtime.block_on(async {
        tokio::select! {
            pushed = push_all(source, targets, mount_from, &registries, out) => pushed.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    // A credential helper that does not answer must not hold up the end.
    runtime.shutdown_background();
    if done?.is_none() {
        diagnostics::report(
            "interrupted: what was pushed is there, and the rest is pushed by the same command\n",
        );
        return Ok(ExitStatus::Interrupted);
    }
    Ok(ExitStatus::Success)
}

/// A path stands for what is there.
fn source(path: &Path) -> Result<Reference, CliError> {
    let wrong =
        |problem: String| CliError::usage(format!("'{}' cannot be pushed: {problem}", path.display()));
    let text = path.to_str().unwrap_or_default();
    if text.starts_with("oci-layout:") || text.starts_with("docker-archive:") {
        return text
            .parse::<Reference>()
            .map_err(|error| CliError::usage("the source is wrong").because(error));
    }
    let found = std::fs::metadata(path).map_err(|error| {
        wrong(error.to_string()).hint(
            "name a directory or a file that `cullet run --output DIR` wrote, or write oci-layout:DIR[:TAG] or \
             docker-archive:FILE[:NAME]",
        )
    })?;
    if found.is_dir() {
        return Ok(Reference::Layout { dir: path.to_owned(), which: None });
    }
    Ok(Reference::Archive { file: path.to_owned(), name: None })
}

pub(super) fn target(text: &str) -> Result<RegistryReference, CliError> {
    match text.parse::<Reference>() {
        Ok(Reference::Registry(reference)) => Ok(reference),
        Ok(_) => {
            Err(CliError::usage(format!("'{text}' is on this machine, and an image is pushed to a registry")))
        }
        Err(error) => Err(CliError::usage("where to push is wrong").because(error)),
    }
}

/// One after the other: whatever one has sent, the next one of the same registry need not send.
async fn push_all(
    source: &Reference,
    targets: &[RegistryReference],
    mount_from: &[String],
    registries: &Registries,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let image = Outgoing::open(source).await.map_err(|error| unreadable_source(source, error))?;
    for (number, target) in targets.iter().enumerate() {
        if let (Pick::Digest(wanted), Some(digest)) = (&target.which, image.digest())
            && *wanted != digest
        {
            let problem = format!("the digest of {source} is {digest}: {target} can be pushed by a tag only");
            return Err(CliError::usage(problem));
        }
        let mut mounts = mount_from.to_vec();
        let before = targets[..number].iter().filter(|other| other.registry == target.registry);
        mounts
            .extend(before.map(|other| other.repository.clone()).filter(|other| *other != target.repository));
        mounts.dedup();
        let pushed = registries.push(target, &image, &mounts, &told);
        let pushed = pushed.await.map_err(|error| push_failed(target, error))?;
        say(target, pushed, out)?;
    }
    Ok(())
}

fn told(blob: &cullet_image::Blob, how: BlobPushed) {
    if how == BlobPushed::Sent {
        diagnostics::report(&format!("sent {} ({})\n", blob.digest, size::human(blob.size)));
    }
}

fn say(target: &RegistryReference, pushed: Pushed, out: &mut dyn Write) -> Result<(), CliError> {
    let Pushed { digest, sent_bytes, sent, present, mounted } = pushed;
    let sent_bytes = size::human(sent_bytes);
    let target_text = clean::line(&target.to_string());
    diagnostics::report(&format!(
        "pushed {target_text}: {sent} blobs sent ({sent_bytes}), {present} were there, {mounted} were in another \
         repository\n"
    ));
    let RegistryReference { registry, repository, .. } = target;
    writeln!(out, "{registry}/{repository}@{digest}").map_err(CliError::output)?;
    out.flush().map_err(CliError::output)
}
