//! How an image wants its programs to be started.

use oci_spec::image::ImageConfiguration;

use crate::{Digest, ImageError, Platform};

/// The part of an image's configuration that matters to whoever runs something in it. Every text is free of NULs and
/// short enough to be an argument or a variable of a process.
///
/// Source: OCI image-spec, `config.md`, "Properties".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it was built for.
    pub platform: Platform,
    /// Variables by name, in the order of the image (`ENV`).
    pub env: Vec<(String, String)>,
    /// Where programs start (`WORKDIR`); none means the root.
    pub working_dir: Option<String>,
    /// `USER[:GROUP]`, names or numbers; none means root (`USER`). Names are those of the image's `/etc/passwd`.
    pub user: Option<String>,
    /// What is always run (`ENTRYPOINT`).
    pub entrypoint: Vec<String>,
    /// What is run, or passed to the entrypoint, where nothing else is asked for (`CMD`).
    pub cmd: Vec<String>,
    /// Digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// The most bytes of one text: `MAX_ARG_STRLEN` of Linux, which no argument and no variable may exceed.
const LONGEST: usize = 128 << 10;
/// The most variables, and the most arguments: as many as fit into the 2 MiB that Linux gives to both with words of
/// some length.
const MOST: usize = 10_000;
/// The most layers: as many as overlayfs takes. Docker makes no more than 127.
pub(crate) const MOST_LAYERS: usize = 500;

impl ImageConfig {
    /// Reads a configuration of `image`.
    ///
    /// # Errors
    /// [`ImageError::Document`] for anything else than a configuration whose texts a process can have.
    pub fn read(json: &[u8], image: &str) -> Result<Self, ImageError> {
        let bad = |problem: String| ImageError::document("configuration", image, problem);
        let read: ImageConfiguration =
            serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        let platform = Platform::new(
            &read.os().to_string(),
            &read.architecture().to_string(),
            read.variant().as_deref(),
        );
        let config = read.config().clone().unwrap_or_default();
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let diff_ids: Result<Vec<Digest>, _> =
            read.rootfs().diff_ids().iter().map(|digest| digest.parse::<Digest>()).collect();
        let found = Self {
            platform,
            env: variables(&words(config.env())).map_err(bad)?,
            working_dir: text(config.working_dir()),
            user: text(config.user()),
            entrypoint: words(config.entrypoint()),
            cmd: words(config.cmd()),
            diff_ids: diff_ids.map_err(|error| bad(error.to_string()))?,
        };
        found.check().map_err(bad)?;
        Ok(found)
    }

    fn check(&self) -> Result<(), String> {
        if self.diff_ids.len() > MOST_LAYERS {
            return Err(format!("it has {} layers, more than {MOST_LAYERS}", self.diff_ids.len()));
        }
        if self.env.len() > MOST || self.entrypoint.len() + self.cmd.len() > MOST {
            return Err(format!("it has more than {MOST} variables or arguments"));
        }
        let variables = self.env.iter().flat_map(|(name, value)| [name, value]);
        let others = self.working_dir.iter().chain(&self.user).chain(&self.entrypoint).chain(&self.cmd);
        for text in variables.chain(others) {
            if text.contains('\0') || text.len() > LONGEST {
                return Err(format!("a text in it has a NUL or more than {LONGEST} bytes"));
            }
        }
        match &self.working_dir {
            Some(dir) if !dir.starts_with('/') => {
                Err(format!("its working directory `{dir}` is not absolute"))
            }
            _ => Ok(()),
        }
    }
}

/// The last value of a name counts, at the place of the first.
fn variables(lines: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for line in lines.iter().take(MOST + 1) {
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("`{line}` is no variable: NAME=VALUE"))?;
        let place = *places.entry(name).or_insert(found.len());
        if place == found.len() {
            found.push((name.to_owned(), value.to_owned()));
        } else {
            value.clone_into(&mut found[place].1);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Result<ImageConfig, ImageError> {
        let json = format!(
            r#"{{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{{"type":"layers","diff_ids":["{}"]}},
                "config":{config},"history":null,"container_config":{{}},"docker_version":"20"}}"#,
            Digest::of(b"")
        );
        ImageConfig::read(json.as_bytes(), "img")
    }

    #[test]
    fn what_docker_writes_is_read() {
        let config = read(
            r#"{"Env":["PATH=/bin","A=1=2","PATH=/usr/bin"],"WorkingDir":"/srv","User":"app:app","Entrypoint":null,
                "Cmd":["sh","-c","x"],"ExposedPorts":{"80/tcp":{}},"Volumes":null,"Labels":null,"OnBuild":null}"#,
        )
        .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(config.env, [pair("PATH", "/usr/bin"), pair("A", "1=2")]);
        assert_eq!((config.working_dir.as_deref(), config.user.as_deref()), (Some("/srv"), Some("app:app")));
        assert_eq!((config.entrypoint.len(), config.cmd.len()), (0, 3));
        assert_eq!(
            (config.platform.to_string(), config.diff_ids),
            ("linux/arm64".to_owned(), vec![Digest::of(b"")])
        );
        assert_eq!(read(r#"{"WorkingDir":"","User":""}"#).unwrap().working_dir, None);
        assert!(read("null").is_ok());
    }

    #[test]
    fn what_no_process_can_have_is_refused() {
        let long = format!(r#"{{"Cmd":["{}"]}}"#, "x".repeat(LONGEST + 1));
        let many = format!(r#"{{"Env":[{}"A=1"]}}"#, r#""A=1","#.repeat(MOST + 5));
        let many_words = format!(r#"{{"Cmd":[{}"x"]}}"#, r#""x","#.repeat(MOST));
        for bad in [
            r#"{"Env":["A"]}"#,
            r#"{"Env":["=x"]}"#,
            r#"{"Cmd":["a\u0000b"]}"#,
            r#"{"WorkingDir":"srv"}"#,
            r#"{"Cmd":"text"}"#,
            &long,
            &many_words,
        ] {
            assert!(
                matches!(read(bad), Err(ImageError::Document { what: "configuration", .. })),
                "{bad:.60}"
            );
        }
        assert_eq!(read(&many).unwrap().env.len(), 1);
        assert!(ImageConfig::read(b"[]", "img").is_err());
    }
}
