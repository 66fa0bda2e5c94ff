//! Records as manifests.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use cullet_image::{Blob, Digest};
use serde::{Deserialize, Serialize};

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// A record, and each part of an index with what it needs.
const RECORD: &str = "application/vnd.cullet.record.v1";
const PART: &str = "application/vnd.cullet.record.part.v1";
/// What is in place of a record that could not be deleted.
const REMOVED: &str = "application/vnd.cullet.record.removed.v1";
const DATA: &str = "application/vnd.cullet.data.v1";
const CONTENT: &str = "application/vnd.cullet.content.v1";
/// OCI image-spec, "Guidance for an Empty Descriptor".
const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of that.
pub(crate) const EMPTY_BYTES: &[u8] = b"{}";

/// The tag. With it, manifests of different names differ, so that whoever deletes one deletes no other.
const NAME_KEY: &str = "dev.cullet.name";
/// The content of a short record, in base64.
const CONTENT_KEY: &str = "dev.cullet.content";
/// The digest and the length of the blob that a long one is.
const BLOB_KEY: &str = "dev.cullet.content.digest";
const SIZE_KEY: &str = "dev.cullet.content.size";

/// Up to this many bytes, the content stands in the manifest, of which a registry has to accept 4 MiB.
pub(crate) const INLINE: usize = 64 << 10;

/// The most layers of one manifest. Registries look for each of them before they accept it, which takes those that keep blobs in a
/// bucket some ten milliseconds for each.
pub(crate) const MOST_NEEDS: usize = 250;

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Inline(Bytes),
    /// A blob of this length.
    Blob(Digest, u64),
}

/// What is under a tag.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Record(Content),
    Removed,
    /// Nothing that this version wrote under this name. Says why.
    Other(&'static str),
}

/// A manifest or an index, and where to put it.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) tag: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Bytes,
}

/// Fields are written in this order, always: the same record is the same manifest, whoever puts it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u32,
    media_type: &'a str,
    artifact_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Blob>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Blob>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Blob>>,
    annotations: BTreeMap<&'a str, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(default)]
    artifact_type: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ReadIndex {
    manifests: Vec<Blob>,
}

/// A record in the form of documents, which are to be put in this order. `needs` are digests and lengths of blobs.
pub(crate) fn documents(name: &str, content: &Content, needs: &[(Digest, u64)]) -> Vec<Document> {
    let mut annotations = BTreeMap::from([(NAME_KEY, name.to_owned())]);
    let mut layers = Vec::new();
    match content {
        Content::Inline(bytes) => {
            annotations.insert(CONTENT_KEY, BASE64_STANDARD.encode(bytes));
        }
        Content::Blob(digest, size) => {
            annotations.insert(BLOB_KEY, digest.to_string());
            annotations.insert(SIZE_KEY, size.to_string());
            layers.push(blob(CONTENT, *digest, *size));
        }
    }
    layers.extend(needs.iter().map(|(digest, size)| blob(DATA, *digest, *size)));
    if layers.len() <= MOST_NEEDS {
        return vec![manifest(name, RECORD, layers, annotations)];
    }
    let parts = layers.chunks(MOST_NEEDS).zip(1..).map(|(layers, number)| {
        let tag = part_tag(name, number);
        let annotations = BTreeMap::from([(NAME_KEY, tag.clone())]);
        manifest(&tag, PART, layers.to_vec(), annotations)
    });
    let mut documents: Vec<Document> = parts.collect();
    let parts = documents.iter().map(|part| blob(MANIFEST, Digest::of(&part.bytes), part.bytes.len() as u64));
    let index = Written {
        schema_version: 2,
        media_type: INDEX,
        artifact_type: RECORD,
        config: None,
        layers: None,
        manifests: Some(parts.collect()),
        annotations,
    };
    documents.push(document(name, &index));
    documents
}

/// What says that there is no record of this name.
pub(crate) fn removed(name: &str) -> Document {
    manifest(name, REMOVED, Vec::new(), BTreeMap::from([(NAME_KEY, name.to_owned())]))
}

/// The tag of a part of an index. At most 125 characters, of the 128 that a tag may have.
pub(crate) fn part_tag(name: &str, number: usize) -> String {
    format!("{name}.{number}")
}

/// Reads what is under the tag `name`.
pub(crate) fn read(name: &str, bytes: &[u8]) -> Found {
    let Ok(Read { artifact_type, annotations }) = serde_json::from_slice(bytes) else {
        return Found::Other("it cannot be read");
    };
    if annotations.get(NAME_KEY).map(String::as_str) != Some(name) {
        return Found::Other("it is of another name");
    }
    match artifact_type.as_str() {
        RECORD => content(&annotations).map_or(Found::Other("it has no content"), Found::Record),
        REMOVED => Found::Removed,
        _ => Found::Other("it is of another kind"),
    }
}

fn content(annotations: &BTreeMap<String, String>) -> Option<Content> {
    if let Some(text) = annotations.get(CONTENT_KEY) {
        return Some(Content::Inline(BASE64_STANDARD.decode(text).ok()?.into()));
    }
    let (digest, size) = (annotations.get(BLOB_KEY)?, annotations.get(SIZE_KEY)?);
    Some(Content::Blob(digest.parse().ok()?, size.parse().ok()?))
}

/// The manifests that an index names, in order; none where it is a manifest itself.
pub(crate) fn parts(bytes: &[u8]) -> Vec<Digest> {
    let index = serde_json::from_slice::<ReadIndex>(bytes);
    index.map_or_else(|_| Vec::new(), |index| index.manifests.iter().map(|part| part.digest).collect())
}

fn manifest(tag: &str, kind: &str, mut layers: Vec<Blob>, annotations: BTreeMap<&str, String>) -> Document {
    let empty = blob(EMPTY, Digest::of(EMPTY_BYTES), EMPTY_BYTES.len() as u64);
    if layers.is_empty() {
        // Not every registry takes a manifest without any.
        layers.push(empty.clone());
    }
    let written = Written {
        schema_version: 2,
        media_type: MANIFEST,
        artifact_type: kind,
        config: Some(empty),
        layers: Some(layers),
        manifests: None,
        annotations,
    };
    document(tag, &written)
}

fn document(tag: &str, written: &Written<'_>) -> Document {
    let media_type = if written.manifests.is_some() { INDEX } else { MANIFEST };
    // Texts and numbers always become JSON; what is empty no registry takes.
    let bytes = serde_json::to_vec(written).unwrap_or_default().into();
    Document { tag: tag.to_owned(), media_type, bytes }
}

fn blob(media_type: &str, digest: Digest, size: u64) -> Blob {
    Blob { media_type: media_type.to_owned(), digest, size }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(count: usize) -> Vec<(Digest, u64)> {
        (0..count).map(|number| (Digest::of(&number.to_be_bytes()), u64::MAX)).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let inline = |bytes: &'static [u8]| Content::Inline(Bytes::from_static(bytes));
        let long = Content::Blob(Digest::of(b"long"), 70_000);
        for content in [inline(b""), inline(b"\0\xff\"text"), long] {
            for count in [0, 1, MOST_NEEDS, MOST_NEEDS + 1, 3 * MOST_NEEDS] {
                let documents = documents("name", &content, &needs(count));
                let (last, before) = documents.split_last().unwrap();
                assert_eq!(read("name", &last.bytes), Found::Record(content.clone()));
                assert_eq!(last.tag, "name");
                let digests: Vec<Digest> = before.iter().map(|part| Digest::of(&part.bytes)).collect();
                assert_eq!(parts(&last.bytes), digests);
                assert_eq!(last.media_type == INDEX, !before.is_empty());
                let all: String =
                    documents.iter().map(|it| String::from_utf8(it.bytes.to_vec()).unwrap()).collect();
                for (digest, _) in needs(count) {
                    assert!(all.contains(&digest.to_string()), "{count}");
                }
                for part in before {
                    assert!(matches!(read(&part.tag, &part.bytes), Found::Other(_)), "a part is no record");
                }
            }
        }
    }

    #[test]
    fn the_most_that_a_record_can_need_fits() {
        let content = Content::Inline(vec![0xff; INLINE].into());
        // Two million are in no record of 64 MiB, which names each with 32 bytes.
        let few = documents(&"n".repeat(114), &content, &needs(40 * MOST_NEEDS));
        let per_part = few.last().unwrap().bytes.len().saturating_sub(INLINE * 4 / 3) / 40;
        assert!(per_part * (2 << 20) / MOST_NEEDS + INLINE * 4 / 3 < 4 << 20, "{per_part}");
        assert!(few.iter().all(|document| document.bytes.len() < 1 << 20 && document.tag.len() <= 128));
    }

    #[test]
    fn what_is_no_record_of_this_name_is_told() {
        let of = |name: &str| documents(name, &Content::Inline(Bytes::new()), &[]).remove(0).bytes;
        assert!(matches!(read("b", &of("a")), Found::Other(_)));
        assert_ne!(of("a"), of("b"));
        assert_eq!(read("a", &removed("a").bytes), Found::Removed);
        assert!(matches!(read("b", &removed("a").bytes), Found::Other(_)));
        let text = String::from_utf8(of("a").to_vec()).unwrap();
        for (from, to) in [("record.v1", "record.v2"), ("cullet.content", "cullet.other"), ("{", "")] {
            let changed = text.replacen(from, to, 1);
            assert!(changed != text && matches!(read("a", changed.as_bytes()), Found::Other(_)), "{from}");
        }
        for bytes in [&b""[..], b"[]", b"{}", b"\xff"] {
            assert!(matches!(read("a", bytes), Found::Other(_)));
        }
    }
}
