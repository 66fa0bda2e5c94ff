//! Manifests and indexes, read and written.

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::{Deserialize, Serialize};

use crate::config::MOST_LAYERS;
use crate::{Digest, ImageError, Platform};

/// The most bytes of a manifest, an index or a configuration: what the distribution specification has registries
/// accept ("Pushing manifests").
pub(crate) const MOST_BYTES: u64 = 4 << 20;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What is asked of registries, best first.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// Layers that are read, without the compression, which the bytes tell.
///
/// Source: OCI image-spec, `layer.md`; Docker's "Image Manifest Version 2, Schema 2".
const LAYERS: [&str; 4] = [
    OCI_LAYER,
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
];

/// Something that a document refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Blob {
    /// What it is.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// Of the same.
    pub size: u64,
}

/// A document, known for what it is.
#[derive(Debug)]
pub(crate) enum Document {
    /// One image.
    Manifest(Manifest),
    /// Images, or indexes again, one of which is taken.
    Index(Vec<Choice>),
}

/// One image. Fields are written in this order, always: the digest of a manifest that is made here is part of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    pub(crate) media_type: String,
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Blob>,
}

/// An entry of an index.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) blob: Blob,
    pub(crate) platform: Option<Platform>,
    /// Its tag in an image layout.
    pub(crate) name: Option<String>,
}

/// What tells documents apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: u32,
    media_type: Option<String>,
    layers: Option<serde::de::IgnoredAny>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document of `image`. One that could be taken for either kind is refused, so that its digest cannot
    /// mean two images (CVE-2021-41190).
    pub(crate) fn read(json: &[u8], image: &str) -> Result<Self, ImageError> {
        let bad = |problem: String| ImageError::document("manifest", image, problem);
        let shape: Shape = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if shape.schema_version != 2 {
            return Err(bad(format!(
                "it has schema version {}; push it again with a tool of this decade",
                shape.schema_version
            )));
        }
        let kind = shape.media_type.as_deref();
        match (shape.layers.is_some(), shape.manifests.is_some()) {
            (true, false) if matches!(kind, None | Some(OCI_MANIFEST | DOCKER_MANIFEST)) => {
                let read = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
                manifest(&read, kind.unwrap_or(OCI_MANIFEST)).map(Self::Manifest).map_err(bad)
            }
            (false, true) if matches!(kind, None | Some(OCI_INDEX | DOCKER_LIST)) => {
                let read: ImageIndex =
                    serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
                let choices: Result<_, String> = read.manifests().iter().map(choice).collect();
                choices.map(Self::Index).map_err(bad)
            }
            _ => Err(bad(format!(
                "it is neither one image nor an index of images (its media type is {})",
                kind.unwrap_or("not given")
            ))),
        }
    }
}

impl Manifest {
    /// A manifest in the form of OCI.
    pub(crate) fn new(config: Blob, layers: Vec<Blob>) -> Self {
        Self { schema_version: 2, media_type: OCI_MANIFEST.to_owned(), config, layers }
    }

    /// The bytes that its digest is of.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        // Numbers and texts: there is nothing that could fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn manifest(read: &ImageManifest, media_type: &str) -> Result<Manifest, String> {
    let config = blob(read.config())?;
    if !matches!(&config.media_type[..], OCI_CONFIG | DOCKER_CONFIG) {
        return Err(format!("it is no image of a container (its configuration is {})", config.media_type));
    }
    if read.layers().len() > MOST_LAYERS {
        return Err(format!("it has {} layers, more than {MOST_LAYERS}", read.layers().len()));
    }
    let layers: Vec<Blob> = read.layers().iter().map(blob).collect::<Result<_, _>>()?;
    let known = |kind: &str| {
        let plain = kind.strip_suffix("+gzip").or_else(|| kind.strip_suffix("+zstd")).unwrap_or(kind);
        let plain = plain.strip_suffix(".gzip").or_else(|| plain.strip_suffix(".zstd")).unwrap_or(plain);
        LAYERS.contains(&plain)
    };
    if let Some(other) = layers.iter().find(|layer| !known(&layer.media_type)) {
        return Err(format!("it has a layer of the unknown kind {}", other.media_type));
    }
    Ok(Manifest { schema_version: 2, media_type: media_type.to_owned(), config, layers })
}

fn blob(descriptor: &Descriptor) -> Result<Blob, String> {
    let digest =
        descriptor.digest().to_string().parse().map_err(|error: crate::DigestError| error.to_string())?;
    Ok(Blob { media_type: descriptor.media_type().to_string(), digest, size: descriptor.size() })
}

/// What an image layout calls its images, and how containerd writes it.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

fn choice(descriptor: &Descriptor) -> Result<Choice, String> {
    let annotations = descriptor.annotations().as_ref();
    let name = annotations.and_then(|all| NAMES.iter().find_map(|name| all.get(*name))).cloned();
    let platform = descriptor.platform().as_ref().map(|platform| {
        let variant = platform.variant().as_deref();
        Platform::new(&platform.os().to_string(), &platform.architecture().to_string(), variant)
    });
    Ok(Choice { blob: blob(descriptor)?, platform, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(media_type: &str, digest: Digest) -> Blob {
        Blob { media_type: media_type.to_owned(), digest, size: 3 }
    }

    fn read(json: &str) -> Result<Document, ImageError> {
        Document::read(json.as_bytes(), "img")
    }

    #[track_caller]
    fn refused(json: &str, part: &str) {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_is_written_is_read() {
        let layers =
            [OCI_LAYER, "application/vnd.docker.image.rootfs.diff.tar.gzip", &format!("{OCI_LAYER}+zstd")]
                .map(|kind| of(kind, Digest::of(kind.as_bytes())));
        let manifest = Manifest::new(of(OCI_CONFIG, Digest::of(b"c")), layers.to_vec());
        let bytes = manifest.bytes();
        let Ok(Document::Manifest(found)) = Document::read(&bytes, "img") else { panic!() };
        assert_eq!(found, manifest);
        assert!(bytes.starts_with(br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType""#));
    }

    #[test]
    fn what_is_two_things_or_none_is_refused() {
        refused(r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, "neither");
        refused(r#"{"schemaVersion":2}"#, "neither");
        refused(&format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","layers":[]}}"#), "neither");
        refused(r#"{"schemaVersion":1,"fsLayers":[]}"#, "schema version 1");
        refused("{", "EOF");
        let config = |kind: &str| {
            let digest = Digest::of(b"");
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"{kind}","digest":"{digest}","size":1}},"layers":[]}}"#
            )
        };
        refused(&config("application/vnd.cncf.helm.config.v1+json"), "no image of a container");
        let with_layer = config(OCI_CONFIG).replace(
            "\"layers\":[]",
            &format!(r#""layers":[{{"mediaType":"text/html","digest":"{}","size":1}}]"#, Digest::of(b"")),
        );
        refused(&with_layer, "unknown kind text/html");
        refused(&config(OCI_CONFIG).replace("sha256:e3", "sha256:E3"), "");
        assert!(matches!(read(&config(DOCKER_CONFIG)), Ok(Document::Manifest(_))));
    }
}
