//! Keeping a step's root, against `tar` of the same files.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use cullet_cache::disk::{DiskStore, OpenOptions};
use cullet_digest::DigestFunction;
use cullet_image::layer::{Capture, Limits, capture_layer};

use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::measure::middle;
use crate::scale::Scale;

/// Everything that a step pays, over `tar c`.
const TARGET: f64 = 1.5;
const FILES: usize = 10_000;
const DIRECTORIES: usize = 100;
/// Of one file: what sources and the files of packages mostly have.
const BYTES: usize = 2048;

pub(crate) fn run(scale: &Scale, report: &mut Report) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let tree = dir.path().join("tree");
    fill(&tree)?;
    report.heading(&format!("capture: the root of a step that wrote {FILES} small files"));
    let (mut captures, mut tars) = (Vec::new(), Vec::new());
    for round in 0..scale.fans.max(3) {
        // To which what is kept is new.
        let store = DiskStore::open(&OpenOptions::new(dir.path().join(format!("cache-{round}"))))?;
        captures.push(capture(&tree, dir.path(), &store)?);
        tars.push(tar(&tree, &dir.path().join("tar"))?);
    }
    let what = "a layer in the cache, hashed, over `tar c` into a file";
    report.compare(what, middle(captures), middle(tars), Target::AtMost(TARGET), seconds);
    Ok(())
}

fn fill(tree: &Path) -> Result<()> {
    for number in 0..FILES {
        let dir = tree.join(format!("directory-{}", number % DIRECTORIES));
        if number < DIRECTORIES {
            std::fs::create_dir_all(&dir)?;
        }
        // No two alike, so that nothing is there before it is written.
        let mut content = vec![b'x'; BYTES];
        content[..8].copy_from_slice(&number.to_le_bytes());
        std::fs::write(dir.join(format!("file-{number}")), content)?;
    }
    Ok(())
}

/// As a worker does it: an archive beside the step, which the cache then takes.
fn capture(tree: &Path, dir: &Path, store: &DiskStore) -> Result<f64> {
    let archive = dir.join("root.tar");
    let start = Instant::now();
    let rules = Capture { owners: &|_, _| (0, 0), without: &["tmp"], mtime_s: 0, limits: Limits::default() };
    capture_layer(tree, BufWriter::with_capacity(256 << 10, File::create_new(&archive)?), &rules)?;
    store.adopt_file(&archive, DigestFunction::Blake3)?;
    let took = start.elapsed().as_secs_f64();
    drop(std::fs::remove_file(&archive));
    Ok(took)
}

fn tar(tree: &Path, to: &Path) -> Result<f64> {
    let start = Instant::now();
    let status = Command::new("tar").arg("-cf").arg(to).arg("-C").arg(tree).arg(".").status()?;
    let took = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err("tar failed".into());
    }
    std::fs::remove_file(to)?;
    Ok(took)
}
