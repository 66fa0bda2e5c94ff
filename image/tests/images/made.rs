//! Images for tests.

use std::path::{Path, PathBuf};

use cullet_image::layer::{Compression, WriteOptions};
use cullet_image::{
    ImageConfig, ImageError, Layer, LayoutWriter, Platform, Reference, Registries, RegistryOptions, Resolved,
    WrittenImage, resolve,
};
use tempfile::TempDir;

/// A layout and the directories that its layers were made of.
pub(crate) struct Made {
    pub(crate) dir: TempDir,
    writer: LayoutWriter,
}

impl Made {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let writer = LayoutWriter::new(&dir.path().join("layout")).unwrap();
        Self { dir, writer }
    }

    /// Two layers of one image: `etc/os` in the first, `data` of `size` bytes in the second.
    pub(crate) fn image(name: &str, size: usize) -> (Self, WrittenImage) {
        let made = Self::new();
        let noise: Vec<u8> =
            (0..size as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let layers = [
            made.layer(&[("etc/os", b"test")], Compression::Gzip),
            made.layer(&[("data", &noise)], Compression::None),
        ];
        let image = made.writer.add_image(&config("linux/amd64"), &layers, Some(name)).unwrap();
        (made, image)
    }

    pub(crate) fn layout(&self) -> PathBuf {
        self.dir.path().join("layout")
    }

    pub(crate) fn layer(&self, files: &[(&str, &[u8])], compression: Compression) -> Layer {
        let tree = tempfile::tempdir_in(self.dir.path()).unwrap();
        for (path, bytes) in files {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let options = WriteOptions { compression, ..WriteOptions::default() };
        self.writer.add_layer(tree.path(), &options).unwrap().0
    }

    pub(crate) fn add(&self, platform: &str, layers: &[Layer], name: Option<&str>) -> WrittenImage {
        self.writer.add_image(&config(platform), layers, name).unwrap()
    }
}

pub(crate) fn config(platform: &str) -> ImageConfig {
    let text = |text: &str| text.to_owned();
    ImageConfig {
        platform: platform.parse().unwrap(),
        env: vec![(text("PATH"), text("/bin"))],
        working_dir: Some(text("/srv")),
        user: None,
        entrypoint: Vec::new(),
        cmd: vec![text("sh")],
        diff_ids: Vec::new(),
    }
}

pub(crate) fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

pub(crate) fn registries() -> Registries {
    Registries::new(RegistryOptions::default()).unwrap()
}

pub(crate) async fn find(text: &str, platform: &str) -> Result<Resolved, ImageError> {
    let reference: Reference = text.parse().unwrap();
    resolve(&reference, &platform.parse().unwrap(), &registries()).await
}

/// An error with everything below it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut at = error.source();
    while let Some(error) = at {
        text += &format!(": {error}");
        at = error.source();
    }
    text
}

/// Waits until nothing is in a directory: threads end a little later than whoever asked for their work.
pub(crate) async fn is_emptied(dir: &Path) {
    for _ in 0..1000 {
        if names(dir).is_empty() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{} still has {:?}", dir.display(), names(dir));
}

/// Whatever is in a directory of a store.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
