//! `cullet bundle`: a pipeline with everything that it needs, in one file.

mod create;
mod import;
mod project;
mod run;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use cullet_bundle::{Bundle, BundleError};

use crate::args::{BundleArgs, BundleCommand, BundleFileArgs, BundleInspectArgs, Format};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{clean, size};

/// Makes a bundle, or does something with one.
pub(super) fn bundle(
    args: &BundleArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    match &args.command {
        BundleCommand::Create(args) => create::create(args, config, out),
        BundleCommand::Inspect(args) => inspect(args, out),
        BundleCommand::Verify(args) => verify(args, out),
        BundleCommand::Import(args) => import::import(args, config, out),
        BundleCommand::Run(args) => run::run(args, config),
    }
}

/// What is wrong with a bundle is for whoever brought it to mend.
fn unusable(error: BundleError) -> CliError {
    match error {
        BundleError::Io { action, path, source } => {
            CliError::infra(format!("cannot {action} {}", path.display())).because(source)
        }
        BundleError::Base { .. } => CliError::usage(error.to_string())
            .hint("name the file of that one, too, with --base (or --since, for one in the making)"),
        BundleError::Signature { .. } => CliError::usage(error.to_string()).hint(
            "a bundle is signed by `cullet bundle create --signing-key`; ask whoever made it for their key",
        ),
        error => CliError::usage(error.to_string()).hint("get it again from where it was made"),
    }
}

/// Opens a bundle, and compares everything in it with what it should be, before anything of it is used.
fn open(args: &BundleFileArgs) -> Result<(Arc<Bundle>, cullet_bundle::Verified), CliError> {
    let bundle = Bundle::open(&args.bundle, &args.base).map_err(unusable)?;
    if !args.trusted_key.is_empty() {
        bundle.refuse_strangers(&args.trusted_key).map_err(unusable)?;
    }
    let verified = bundle.verify(&mut |_| {}).map_err(unusable)?;
    Ok((Arc::new(bundle), verified))
}

/// For a bundle that is made: what it continues.
fn base(since: &[PathBuf]) -> Result<Option<Arc<Bundle>>, CliError> {
    let Some((last, earlier)) = since.split_first() else { return Ok(None) };
    Ok(Some(Arc::new(Bundle::open(last, earlier).map_err(unusable)?)))
}

fn verify(args: &BundleFileArgs, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let (bundle, verified) = open(args)?;
    let text = format!(
        "{}: {} entries, {}, all as they should be\nsigned by {}\n",
        args.bundle.display(),
        verified.entries,
        size::human(verified.bytes),
        signers(&bundle),
    );
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn signers(bundle: &Bundle) -> String {
    let signers: BTreeSet<String> = bundle.signers().iter().map(ToString::to_string).collect();
    if signers.is_empty() {
        "nobody".to_owned()
    } else {
        signers.into_iter().collect::<Vec<_>>().join(" and ")
    }
}

fn inspect(args: &BundleInspectArgs, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let bundle = Bundle::open_alone(&args.bundle).map_err(unusable)?;
    let text = match args.format {
        Format::Human => described(&bundle),
        Format::Json => {
            let signers: Vec<String> = bundle.signers().iter().map(ToString::to_string).collect();
            let object = serde_json::json!({
                "digest": bundle.digest(),
                "signers": signers,
                "contents": bundle.contents(),
            });
            format!("{object}\n")
        }
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

/// Names of one kind that are listed; beyond, they are counted.
const NAMED: usize = 20;

fn described(bundle: &Bundle) -> String {
    let contents = bundle.contents();
    let mut lines = vec![
        ("pipeline", format!("{} ({})", clean::line(&contents.pipeline), clean::line(&contents.file))),
        ("made", format!("{} by cullet {}", clean::line(&contents.made_at), clean::line(&contents.made_by))),
        ("for", clean::line(&contents.platform).to_string()),
        ("digest", bundle.digest().to_string()),
        ("signed by", signers(bundle)),
    ];
    let list = |names: Vec<String>| {
        let more = names.len().saturating_sub(NAMED);
        let named = names.into_iter().take(NAMED).map(|name| clean::line(&name).to_string());
        let named = named.collect::<Vec<_>>().join(", ");
        match (&*named, more) {
            ("", _) => "none".to_owned(),
            (_, 0) => named,
            _ => format!("{named} and {more} more"),
        }
    };
    if let Some(base) = &contents.base {
        lines.push(("continues", base.to_string()));
    }
    let source = |tree: &cullet_bundle::Tree| match tree.included {
        true => tree.name.clone(),
        false => format!("{} (only its digest)", tree.name),
    };
    lines.push(("sources", list(contents.sources.iter().map(source).collect())));
    lines.push(("images", list(contents.images.iter().map(|image| image.reference.clone()).collect())));
    let results = contents.results.iter().map(|result| result.step.clone()).collect::<Vec<_>>();
    lines.push(("results", format!("{}: {}", results.len(), list(results))));
    lines.push(("to execute", list(contents.without_result.clone())));
    let program = contents.program.as_ref();
    lines.push(("program", program.map_or("none".to_owned(), |program| size::human(program.size))));
    let mut text = String::new();
    for (name, what) in lines {
        text += &format!("{name:<11} {what}\n");
    }
    text
}
