//! `cullet bundle create`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_bundle::{Bundle, BundleWriter, Contents, Image, StepResult, Tree};
use cullet_cache::{
    Blob, BlobStore, LocalCache, NoPeers, ObjectOptions, SharedCache, SigningKey, StoreError, Tiers,
    TiersOptions,
};
use cullet_coordinator::resolve::describe;
use cullet_digest::{Digest, TreeRef};
use cullet_image::Platform;
use cullet_source::SourceTree;
use tokio::runtime::Handle;

use super::project::{self, Places};
use super::{base, unusable};
use crate::args::{BundleCreateArgs, RunArgs};
use crate::commands::pipeline_file;
use crate::commands::run::behind;
use crate::commands::run::look::{Seen, look};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::images::{Lock, Outbound};
use crate::runtime;
use crate::shared_store;
use crate::ui::duration::{now_ms, rfc3339};
use crate::ui::{clean, size};

pub(super) fn create(
    args: &BundleCreateArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let keys = args.signing_key.iter().map(|path| SigningKey::read(path)).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|error| CliError::usage(error.to_string()))?;
    let base = base(&args.since)?;
    let run = RunArgs {
        targets: args.targets.clone(),
        pipeline: args.pipeline.clone(),
        shared_cache: if args.no_results { Some(String::new()) } else { args.shared_cache.clone() },
        no_cache: args.no_results,
        ..RunArgs::default()
    };
    let Some(seen) = look(&run, config)? else { return Ok(ExitStatus::Usage) };
    seen.warnings.iter().for_each(|text| diagnostics::report(&format!("warning: {text}\n")));
    if args.complete && !seen.misses.is_empty() {
        let (count, names) = (seen.misses.len(), clean::line(&seen.misses.join(", ")).to_string());
        return Err(CliError::usage(format!("{count} steps have no result in any cache: {names}"))
            .hint("run the pipeline first, or leave out --complete"));
    }
    let places = project::places(&args.pipeline.file, &seen.sources)?;
    if let Some(source) = project::source_with(&args.output, &args.pipeline.file, &seen.sources) {
        diagnostics::report(&format!(
            "note: {} lies in source '{}': unless that leaves it out, the next run takes it for an input\n",
            args.output.display(),
            clean::line(source),
        ));
    }
    let making = Making { args, config, seen: &seen, places: &places };
    let runtime = runtime::of_threads(3)?;
    let made = runtime.block_on(async {
        tokio::select! {
            made = making.make(base, &keys) => made.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    });
    runtime.shutdown_background();
    let Some((digest, size)) = made? else { return Ok(ExitStatus::Interrupted) };
    let text = format!(
        "{}: {}, {} results, {} to execute, {} images\n{digest}\n",
        args.output.display(),
        size::human(size),
        if args.no_results { 0 } else { seen.hits.len() },
        if args.no_results { seen.hits.len() + seen.misses.len() } else { seen.misses.len() },
        if args.no_images { 0 } else { seen.images.len() },
    );
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

struct Making<'a> {
    args: &'a BundleCreateArgs,
    config: &'a Config,
    seen: &'a Seen,
    places: &'a Places,
}

impl Making<'_> {
    async fn make(
        &self,
        base: Option<Arc<Bundle>>,
        keys: &[SigningKey],
    ) -> Result<(cullet_image::Digest, u64), CliError> {
        let (args, seen) = (self.args, self.seen);
        let writer = BundleWriter::create(&args.output, base).map_err(unusable)?;
        let mut contents = Contents {
            pipeline: seen.pipeline.clone(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: rfc3339(now_ms()),
            platform: Platform::host().to_string(),
            targets: args.targets.clone(),
            params: args.pipeline.params.iter().cloned().collect(),
            file: self.places.file.clone(),
            without_result: seen.misses.clone(),
            ..Contents::default()
        };
        self.files(&writer, &mut contents)?;
        if !args.no_images {
            self.images(&writer).await?;
        }
        let cache = shared_store::local(&self.config.cache_options(), self.config.trust(None).local_scope())?;
        let options = ObjectOptions::new(self.config.cache_dir.join("spool"));
        let kept = SharedCache::over(Arc::new(writer.clone()), &options)?;
        self.sources(&kept, &mut contents).await?;
        if args.no_results {
            contents.without_result.extend(seen.hits.iter().map(|(step, _)| step.clone()));
        } else {
            self.results(&kept, &cache, &mut contents).await?;
        }
        tokio::task::block_in_place(|| {
            if !args.no_program {
                let program = std::env::current_exe()
                    .map_err(|error| CliError::infra("cannot find this program").because(error))?;
                writer.add_program(&program).map_err(unusable)?;
            }
            writer.finish(contents, keys).map_err(unusable)
        })
    }

    /// The pipeline file, and a lock that knows every image.
    fn files(&self, writer: &BundleWriter, contents: &mut Contents) -> Result<(), CliError> {
        let path = &self.places.file;
        let text = pipeline_file::read(&self.args.pipeline.file)?;
        contents.files.push(writer.add_file(path, text.as_bytes()).map_err(unusable)?);
        if self.seen.images.is_empty() {
            return Ok(());
        }
        let mut lock = Lock::default();
        for (reference, digest) in &self.seen.images {
            lock.set(reference, &Platform::host(), *digest);
        }
        let beside = Path::new(path).with_file_name(crate::images::LOCK_NAME);
        let file = writer.add_file(&beside.to_string_lossy(), lock.render().as_bytes());
        contents.files.push(file.map_err(unusable)?);
        Ok(())
    }

    async fn images(&self, writer: &BundleWriter) -> Result<(), CliError> {
        let outbound = Outbound::new(self.config, &pipeline_file::base_directory(&self.args.pipeline.file));
        for (reference, digest) in &self.seen.images {
            let (image, layers) = outbound.parts(reference, *digest).await?;
            let named = Image { reference: reference.clone(), manifest: *digest };
            let added = tokio::task::block_in_place(|| writer.add_image(named, image.documents(), &layers));
            added.map_err(unusable)?;
        }
        Ok(())
    }

    async fn sources(&self, kept: &SharedCache, contents: &mut Contents) -> Result<(), CliError> {
        let from = TreeFiles(Arc::clone(&self.seen.trees));
        let named = self.seen.sources.iter().zip(&self.places.sources);
        for (((name, _), path), tree) in named.zip(self.seen.trees.iter()) {
            let (root, included) = (tree.root(), !self.args.no_sources);
            if included {
                let stored = kept.objects.put_tree(&root, &from).await;
                stored.map_err(|error| {
                    CliError::infra(format!("source '{}' cannot be put into the bundle", clean::line(name)))
                        .because(describe(&error))
                })?;
            }
            contents.sources.push(Tree::new(name, path, &root, included));
        }
        Ok(())
    }

    async fn results(
        &self,
        kept: &SharedCache,
        cache: &LocalCache,
        contents: &mut Contents,
    ) -> Result<(), CliError> {
        let shared = self.config.shared_cache(self.args.shared_cache.as_deref())?;
        let backing = behind::reading(shared, self.config, cache, &Handle::current())?;
        let live = cache.live_run()?;
        let options = TiersOptions::default();
        let to = Tiers::new(
            cache.disk.clone(),
            Arc::new(NoPeers),
            kept.objects.clone(),
            &options,
            Handle::current(),
        )?;
        for (step, action) in &self.seen.hits {
            let kept = async {
                let found = match &backing {
                    Some(backing) => backing.actions().get(action).await?,
                    None => cache.actions.get(action).await?,
                };
                let result = found.ok_or(StoreError::NotFound { digest: *action })?;
                if let Some(backing) = &backing {
                    for root in result.directories() {
                        backing.fetch_tree(&TreeRef::Directory(root)).await?;
                    }
                    for digest in result.digests() {
                        drop(backing.blobs().get(&digest).await?);
                    }
                }
                to.upload(&result).await?;
                kept.all_actions.put(action, &result).await
            };
            match kept.await {
                Ok(()) => contents.results.push(StepResult::new(step, action)),
                Err(StoreError::NotFound { .. }) => contents.without_result.push(step.clone()),
                Err(error) => {
                    let step = clean::line(step);
                    return Err(CliError::infra(format!(
                        "the result of '{step}' cannot be put into the bundle"
                    ))
                    .because(describe(&error)));
                }
            }
        }
        drop(live);
        Ok(())
    }
}

/// The files of sources as blobs. Whoever keeps them compares them with their digests.
#[derive(Debug)]
struct TreeFiles(Arc<Vec<SourceTree>>);

#[async_trait]
impl BlobStore for TreeFiles {
    async fn find_missing(&self, _: &[Digest]) -> Result<Vec<Digest>, StoreError> {
        Ok(Vec::new())
    }

    async fn get(&self, digest: &Digest) -> Result<Blob, StoreError> {
        if let Some(bytes) = self.0.iter().find_map(|tree| tree.directory_bytes(digest)) {
            return Ok(Blob::from(bytes));
        }
        let path = self.0.iter().find_map(|tree| tree.file(digest));
        let path = path.ok_or(StoreError::NotFound { digest: *digest })?;
        let file = std::fs::File::open(&path).map_err(|error| StoreError::io("read", &path, error))?;
        Ok(Blob::File { file, path, len: digest.size() })
    }

    async fn put(&self, digest: &Digest, _: Blob) -> Result<(), StoreError> {
        Err(StoreError::NotFound { digest: *digest })
    }
}
