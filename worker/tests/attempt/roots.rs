//! Attempts that continue the roots of other steps, and that leave one.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use cullet_cache::action::ROOT_OUTPUT;
use cullet_cache::{Action, OutputPath, StoreError};
use cullet_digest::{Digest, TreeRef};
use cullet_worker::attempt::{AttemptReport, Worker, WorkerConfig};
use cullet_worker::{
    CaptureFault, Exit, HeldLayer, HeldRoot, ImageFault, ImageRoot, ImageRoots, LayerFault, LocalFiles,
    RootUpper,
};

use crate::fixture::{FUNCTION, Fixture, action, failed, run, succeeded, tree};

/// Layers are the paths of their archives, and roots are what is in the file `root`.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl ImageRoots for Plain {
    async fn root(&self, _: &str, _: Option<&str>) -> Result<HeldRoot, ImageFault> {
        let root = ImageRoot { layers: vec!["/base".into()], ..ImageRoot::default() };
        Ok(HeldRoot { root, program: cullet_worker::ImageProgram::default(), hold: Box::new(()) })
    }

    async fn layer(
        &self,
        layer: &Digest,
        _ranged: Option<(u32, u32)>,
        files: Arc<dyn LocalFiles>,
    ) -> Result<HeldLayer, LayerFault> {
        let dir = tempfile::tempdir().unwrap();
        match files.link_to(layer, false, &dir.path().join("archive")) {
            Ok(()) => Ok(HeldLayer { tree: dir.path().to_owned(), hold: Box::new(dir) }),
            Err(StoreError::NotFound { .. }) => Err(LayerFault::Lost),
            Err(error) => Err(LayerFault::Machine(error.into())),
        }
    }

    fn capture(&self, upper: &RootUpper, to: &Path) -> Result<(), CaptureFault> {
        match fs::read_to_string(upper.path.join("file")).unwrap() {
            text if text == "impossible" => Err(CaptureFault::Step("it is impossible".to_owned())),
            text if text == "broken" => Err(CaptureFault::Machine("the disk is broken".into())),
            text => {
                fs::write(to, text).unwrap();
                Ok(())
            }
        }
    }
}

fn plain(config: &mut WorkerConfig) {
    config.images = Arc::new(Plain);
}

fn fixture() -> Fixture {
    Fixture { change: plain, ..Fixture::new() }
}

fn in_image(layers: &[Digest]) -> Action {
    let mut action = Action { platform: vec![("image".to_owned(), "sha256:x".to_owned())], ..action(&[]) };
    action.set_root_layers(layers);
    action
}

/// Leaves its root, and a file of its workspace on both sides of it.
fn leaving() -> Action {
    let mut action = in_image(&[]);
    action.outputs = [".a", ROOT_OUTPUT, "z"]
        .map(|path| OutputPath { path: path.to_owned(), globs: false, optional: false })
        .into();
    action
}

/// A step whose root has this in it.
fn worker(fixture: &Fixture, text: &'static str, exit: Exit) -> Worker {
    fixture.worker(move |sight, _| {
        sight.write(".a", "a");
        sight.write("z", "z");
        let root = sight.launch.scratch.join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("file"), text).unwrap();
        exit
    })
}

#[tokio::test]
async fn layers_lie_above_the_image_in_their_order() {
    let fixture = fixture();
    let (one, two) = (fixture.put("one").await, fixture.put("two").await);
    let worker = fixture.worker(|sight, _| {
        let layers = &sight.launch.image.as_ref().unwrap().layers;
        let read = |layer: &Path| fs::read_to_string(layer.join("archive")).unwrap();
        match layers.as_slice() {
            [base, first, second] if base == Path::new("/base") => {
                Exit::Code(i32::from((&*read(first), &*read(second)) != ("two", "one")))
            }
            _ => Exit::Code(2),
        }
    });
    succeeded(run(&worker, in_image(&[two, one])).await);
    drop(worker);
    fixture.assert_clean();
}

#[tokio::test]
async fn all_lost_layers_are_named_before_anything_runs() {
    let fixture = fixture();
    let there = fixture.put("there").await;
    let [one, two] = ["gone", "gone as well"].map(|text| FUNCTION.digest(text.as_bytes()));
    let worker = fixture.worker(|_, _| panic!("it ran"));
    let AttemptReport::InputLost(lost) = run(&worker, in_image(&[one, there, two])).await else { panic!() };
    let named: Vec<(&str, Digest)> =
        lost.inputs.iter().map(|lost| (lost.path.as_str(), lost.digest)).collect();
    assert_eq!(named, [("//root/000", one), ("//root/002", two)]);
}

#[tokio::test]
async fn a_root_is_an_output_among_others() {
    let fixture = fixture();
    let result = succeeded(run(&worker(&fixture, "root", Exit::Code(0)), leaving()).await);
    let paths: Vec<&str> = result.outputs.iter().map(|output| output.path.as_str()).collect();
    assert_eq!(paths, [".a", ROOT_OUTPUT, "z"]);
    let kept = TreeRef::File { digest: FUNCTION.digest(b"root"), executable: false };
    assert_eq!(tree(&result, ROOT_OUTPUT), kept);
    assert_eq!(fs::read(fixture.blob_path(&kept.digest())).unwrap(), b"root");
    fixture.assert_clean();
}

#[tokio::test]
async fn a_root_that_cannot_be_kept_is_the_steps_fault_or_the_machines() {
    let fixture = fixture();
    let reason = failed(run(&worker(&fixture, "impossible", Exit::Code(0)), leaving()).await);
    assert_eq!(reason, "the step's root cannot be kept: it is impossible");
    let AttemptReport::Infra { reason, .. } =
        run(&worker(&fixture, "broken", Exit::Code(0)), leaving()).await
    else {
        panic!()
    };
    assert!(reason.contains("the disk is broken"), "{reason}");
    // Of a step that failed by itself nobody asks for it.
    let AttemptReport::Failed { result, reason, warnings } =
        run(&worker(&fixture, "impossible", Exit::Code(1)), leaving()).await
    else {
        panic!()
    };
    assert_eq!((result.exit_code, reason, warnings.len()), (1, None, 0));
    fixture.assert_clean();
}

#[tokio::test]
async fn who_runs_steps_without_keeping_roots_says_so() {
    let fixture = fixture();
    let mut action = leaving();
    action.platform.clear();
    let AttemptReport::Infra { reason, .. } = run(&worker(&fixture, "root", Exit::Code(0)), action).await
    else {
        panic!()
    };
    assert!(reason.contains("does not keep their root directories"), "{reason}");
}
