//! Blobs that a record had need of before it was replaced. What no result names stays as long as a result would, since it may be
//! something that clusters know of their runs; of these it is known that they are not, so a grace is enough.

use cullet_digest::Digest;

use crate::{ActionResult, Output, OutputKind};

/// The name of the output that says so. No step can have one of this name.
const PATH: &str = "\0released";

/// The most blobs that one record says it of: some hundred kilobytes. What is more stays longer.
const MOST: usize = 2000;

/// An output that says that these blobs, the latest first, are not needed any more because of this record.
pub fn release(blobs: impl IntoIterator<Item = Digest>) -> Output {
    let texts: Vec<String> = blobs
        .into_iter()
        .take(MOST)
        .map(|blob| format!("{} {}/{}", blob.function(), blob.hash_hex(), blob.size()))
        .collect();
    Output { path: PATH.to_owned(), kind: OutputKind::Symlink(texts.join(",")) }
}

/// What the outputs of a result say of this.
pub fn released(result: &ActionResult) -> Vec<Digest> {
    let said = result.outputs.iter().find_map(|output| match &output.kind {
        OutputKind::Symlink(text) if output.path == PATH => Some(text),
        _ => None,
    });
    let parse = |text: &str| {
        let (function, digest) = text.split_once(' ')?;
        Digest::parse(function.parse().ok()?, digest).ok()
    };
    said.iter().flat_map(|text| text.split(',')).filter_map(parse).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use cullet_digest::DigestFunction;

    use super::*;
    use crate::conformance;

    #[test]
    fn what_is_said_is_heard() {
        let digest = |text: &str| DigestFunction::Blake3.digest(text.as_bytes());
        let with = |output| ActionResult { outputs: vec![output], ..conformance::result("") };
        for blobs in [vec![], vec![digest("a")], vec![digest("a"), DigestFunction::Sha256.digest(b"b")]] {
            let result = with(release(blobs.clone()));
            assert_eq!(released(&result), blobs);
            assert_eq!(result.digests().count(), 0, "it names none of them");
        }
        let kind = OutputKind::Symlink("blake3 x/1,,nonsense".to_owned());
        assert_eq!(released(&with(Output { path: PATH.to_owned(), kind: kind.clone() })), []);
        let many = (0..3000).map(|number: u32| digest(&number.to_string()));
        assert_eq!(released(&with(release(many))).len(), MOST);
        let named = with(Output { path: "released".to_owned(), ..release([digest("a")]) });
        assert_eq!(released(&named), []);
    }
}
