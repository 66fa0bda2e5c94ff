//! `cullet run --push`: images that a run wrote, into registries, once all of it has succeeded.

use cullet_image::{Reference, RegistryReference};
use cullet_pipeline::Plan;

use super::deliver::Written;
use crate::commands::image;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};

/// What is to be pushed, and where to.
#[derive(Debug, Clone, Default)]
pub(super) struct Pushes(Vec<(String, RegistryReference)>);

impl Pushes {
    /// `OUTPUT=REFERENCE` of each flag.
    ///
    /// # Errors
    /// One of them is no such thing.
    pub(super) fn of(flags: &[String]) -> Result<Self, CliError> {
        let read = |flag: &String| {
            let (output, reference) = flag.split_once('=').filter(|(output, _)| !output.is_empty()).ok_or_else(|| {
                CliError::usage(format!("--push takes OUTPUT=REFERENCE, and '{flag}' is none"))
                    .hint("such as `--push app=registry.example/app:1`, where `app` is in `outputs` of the pipeline")
            })?;
            Ok((output.to_owned(), image::target(reference)?))
        };
        flags.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Fails where the run is not going to write them.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), CliError> {
        let images = || plan.outputs.iter().filter(|output| output.image.is_some());
        let Some((missing, _)) = self.0.iter().find(|(name, _)| !images().any(|output| output.path == *name))
        else {
            return Ok(());
        };
        let known: Vec<&str> = images().map(|output| output.path.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let error =
            CliError::usage(format!("--push: no output of this run is called '{missing}' and is an image"));
        Err(error.hint(format!(
            "its images are: {known}; an image is an output of the pipeline that is `rootfs` of a step"
        )))
    }

    /// Pushes them, in the order of the flags. What was pushed is said on standard error.
    pub(super) fn push(&self, written: Option<&Written>, config: &Config) -> Result<ExitStatus, CliError> {
        for (name, target) in &self.0 {
            // What an earlier run wrote is not what this one made.
            let file = written.and_then(|written| written.path_of(name)).ok_or_else(|| {
                CliError::usage(format!(
                    "the image '{name}' is not pushed to {target}: this run did not write it"
                ))
                .hint("its step was skipped: leave --push out, or change what skips it (`if`)")
            })?;
            let source = if file.is_dir() {
                Reference::Layout { dir: file, which: None }
            } else {
                Reference::Archive { file, name: None }
            };
            match image::push_to(&source, std::slice::from_ref(target), &[], config, &mut std::io::stderr())?
            {
                ExitStatus::Success => {}
                other => return Ok(other),
            }
        }
        Ok(ExitStatus::Success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_images_of_the_run_can_be_pushed() {
        let text = "cullet: 1\nsteps:\n  a: { image: a/b, run: x, outputs: { i: rootfs, f: f } }\noutputs: { app: a.i, file: a.f }\n";
        let plan = cullet_pipeline::load("f", text).unwrap().plan(&[], &[]).unwrap();
        let check = |flag: &str| Pushes::of(&[flag.to_owned()]).and_then(|pushes| pushes.check(&plan));
        check("app=registry.example/app:1").unwrap();
        for (flag, says) in [
            ("app", "takes OUTPUT=REFERENCE"),
            ("=registry.example/app:1", "takes OUTPUT=REFERENCE"),
            ("app=oci-layout:x", "is on this machine"),
            ("app=App", "where to push is wrong"),
            ("file=registry.example/app:1", "is called 'file' and is an image"),
            ("other=registry.example/app:1", "is called 'other'"),
        ] {
            let error = check(flag).unwrap_err();
            assert!(error.to_string().contains(says), "{flag}: {error}");
        }
        let pushes = Pushes::of(&["app=registry.example/app:1".to_owned()]).unwrap();
        let config = Config::from_sources(&crate::args::GlobalArgs::default(), &|name: &str| {
            (name == "CULLET_CACHE_DIR").then(|| "/nowhere".to_owned())
        });
        let error = pushes.push(None, &config.unwrap()).unwrap_err();
        assert!(error.to_string().contains("this run did not write it"), "{error}");
    }
}
