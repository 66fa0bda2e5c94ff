//! A pipeline with images of its own, and a registry for them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use cullet_image::layer::{Compression, WriteOptions};
use cullet_image::{
    Credentials, ImageConfig, LayoutWriter, Outgoing, Platform, Reference, Registries, RegistryOptions,
    WrittenImage,
};
use tempfile::TempDir;

use crate::{run, stderr, stdout};

pub(super) struct Project {
    pub(super) home: TempDir,
}

impl Project {
    /// A pipeline with a step for each image.
    pub(super) fn with(images: &[&str]) -> Self {
        let project = Self { home: tempfile::tempdir().unwrap() };
        project.pipeline(images);
        project
    }

    pub(super) fn pipeline(&self, images: &[&str]) {
        let step = |(number, image)| format!("  s{number}: {{ run: 'true', image: '{image}' }}\n");
        let steps: String = images.iter().enumerate().map(step).collect();
        std::fs::write(
            self.path("cullet.yaml"),
            format!("cullet: 1\nname: p\nsteps:\n  h: {{ run: 'true' }}\n{steps}"),
        )
        .unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn read(&self) -> String {
        std::fs::read_to_string(self.path("cullet.lock")).unwrap()
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::write(self.path("cullet.lock"), text).unwrap();
    }

    /// Runs a command that has to end so, and gives all it said.
    #[track_caller]
    pub(super) fn says(&self, args: &[&str], code: i32) -> String {
        let output: Output = run(self.home.path(), args);
        let said = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        said
    }

    /// Makes or replaces the only image of a layout, for this machine; `text` is all there is in it.
    pub(super) fn layout(&self, name: &str, text: &str) -> WrittenImage {
        let (dir, tree) = (self.path(name), tempfile::tempdir().unwrap());
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::write(tree.path().join("file"), text).unwrap();
        let writer = LayoutWriter::new(&dir).unwrap();
        let options = WriteOptions { compression: Compression::None, ..WriteOptions::default() };
        let (layer, _) = writer.add_layer(tree.path(), &options).unwrap();
        writer.add_image(&config(), &[layer], None).unwrap()
    }

    /// The same as `docker save` writes it.
    pub(super) fn archive(&self, name: &str, text: &str) {
        let image = self.layout("saved", text);
        let dir = self.path("saved");
        let inside = |at: usize| image.blobs[at].1.strip_prefix(&dir).unwrap().display().to_string();
        let (config, layer) = (inside(0), inside(1));
        let manifest = format!(r#"[{{"Config":"{config}","RepoTags":["app:1"],"Layers":["{layer}"]}}]"#);
        std::fs::write(dir.join("manifest.json"), manifest).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&dir).arg("-cf").arg(self.path(name)).args(["manifest.json", &config, &layer]);
        assert!(tar.status().unwrap().success());
    }
}

fn config() -> ImageConfig {
    ImageConfig {
        platform: Platform::host(),
        env: Vec::new(),
        working_dir: None,
        user: None,
        entrypoint: Vec::new(),
        cmd: Vec::new(),
        diff_ids: Vec::new(),
    }
}

/// Debian's `docker-registry`, gone with the value.
pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    _dir: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Registry {
    pub(super) fn start() -> Option<Self> {
        Self::configured("")
    }

    /// One that only `user` with the password `secret` may ask.
    pub(crate) fn private() -> Option<Self> {
        Self::configured("auth:\n  htpasswd:\n    realm: test\n    path: DIR/users\n")
    }

    /// Starts it; nothing where it is not installed (`./test` does that).
    #[expect(clippy::print_stderr, reason = "whoever runs the tests has to see what they leave out")]
    fn configured(more: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yml");
        let data = dir.path().join("data");
        let text = format!(
            "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
            data.display()
        );
        std::fs::write(&config, text + &more.replace("DIR", &dir.path().display().to_string())).unwrap();
        // `user:secret`, by bcrypt.
        let user = "user:$2y$05$l7w3bkvYw3OvEmtjfcfk8O3okwT48KF31Y3XyA/.11nMItbhX5M4i\n";
        std::fs::write(dir.path().join("users"), user).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stderr(Stdio::piped()).stdout(Stdio::null());
        let Ok(mut process) = command.spawn() else {
            eprintln!("left out: docker-registry is not installed");
            return None;
        };
        // It takes a free port and says which.
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on 127.0.0.1:")?;
            Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
        });
        // Nobody reads on, and a full pipe would stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { process, address: format!("127.0.0.1:{}", port.unwrap()), _dir: dir })
    }

    pub(super) fn push(&self, name: &str, image: &WrittenImage) {
        let to = match format!("{}/{name}", self.address).parse().unwrap() {
            Reference::Registry(reference) => reference,
            other => unreachable!("{other}"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let login = [(self.address.clone(), ("user".to_owned(), "secret".to_owned()))];
        let credentials = Credentials::Fixed(login.into());
        let options = RegistryOptions { credentials, ..RegistryOptions::default() };
        let registries = Registries::new(options).unwrap();
        let image = Outgoing::from(image);
        runtime.block_on(registries.push(&to, &image, &[], &|_, _| ())).unwrap();
    }
}

/// What a lock says of one image on this machine.
pub(super) fn lock_of(reference: &str, digest: &str) -> String {
    let platform = Platform::host();
    format!(
        "{{\n  \"version\": 1,\n  \"images\": {{\n    \"{reference}\": {{\n      \"{platform}\": \"{digest}\"\n    }}\n  }}\n}}\n"
    )
}

/// Everything in a directory whose name begins so.
pub(super) fn beginning(dir: &Path, start: &str) -> Vec<String> {
    let names =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(start)).collect()
}
