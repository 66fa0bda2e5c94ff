//! What of an image is not in its root directory, said once to whoever runs steps in it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use cullet_image::{Digest, StoredLayer};

use crate::ui::clean;

/// The most images that are remembered; a worker that has said it of more begins again.
const MOST: usize = 1000;
/// The most examples in the sentence.
const EXAMPLES: usize = 3;

/// The images of which it was said.
#[derive(Debug, Default)]
pub(super) struct LeftOut(Mutex<HashSet<Digest>>);

impl LeftOut {
    /// The sentence, the first time that there is one to say of this image. `owned` is whether owners are kept at all:
    /// where they are not, everything is one user's, and nothing is missing that a step could see.
    pub(super) fn first(
        &self,
        (image, name): (&Digest, &str),
        layers: &[StoredLayer],
        owned: bool,
    ) -> Option<String> {
        let said = sentence(name, layers, owned)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(*image).then_some(said)
    }
}

fn sentence(name: &str, layers: &[StoredLayer], owned: bool) -> Option<String> {
    let sum = |of: fn(&StoredLayer) -> u64| layers.iter().map(of).sum::<u64>();
    let owners = if owned { sum(|layer| layer.notes.owners) } else { 0 };
    let kinds = [
        (sum(|layer| layer.notes.devices), "device file or named pipe", "device files and named pipes"),
        (sum(|layer| layer.notes.attributes), "extended attribute", "extended attributes"),
        (owners, "owner", "owners"),
    ];
    let counted = kinds.into_iter().filter(|(count, ..)| *count > 0);
    let counted: Vec<String> = counted
        .map(|(count, one, more)| format!("{count} {}", if count == 1 { one } else { more }))
        .collect();
    if counted.is_empty() {
        return None;
    }
    let examples = layers.iter().flat_map(|layer| &layer.notes.examples).take(EXAMPLES);
    let examples: Vec<String> = examples.map(|example| clean::line(example)).collect();
    let counted = counted.join(", ");
    Some(format!("the image {} is unpacked without {counted}: {}", clean::line(name), examples.join("; ")))
}

#[cfg(test)]
mod tests {
    use cullet_image::layer::Notes;

    use super::*;

    fn layer(devices: u64, owners: u64, examples: &[&str]) -> StoredLayer {
        let examples = examples.iter().map(|&text| text.to_owned()).collect();
        let notes = Notes { devices, owners, attributes: 0, examples };
        StoredLayer { diff_id: Digest::of(b"1"), tree: "/tree".into(), notes, bytes: 0 }
    }

    #[test]
    fn what_is_missing_is_said_once_for_each_image() {
        let (left_out, [one, two]) = (LeftOut::default(), [Digest::of(b"one"), Digest::of(b"two")]);
        let layers =
            [layer(1, 5, &["dev/a, a block device"]), layer(1, 0, &["dev/b\u{1b}[1m, a named pipe"])];
        let said = left_out.first((&one, "app:1"), &layers, false).unwrap();
        let expected = "the image app:1 is unpacked without 2 device files and named pipes: dev/a, a block device; dev/b, a \
                        named pipe";
        assert_eq!(said, expected);
        assert_eq!(left_out.first((&one, "app:1"), &layers, false), None);
        assert!(left_out.first((&two, "app:2"), &layers, true).unwrap().contains("named pipes, 5 owners: "));
        assert_eq!(left_out.first((&Digest::of(b"3"), "x"), &[layer(0, 5, &[])], false), None);
    }
}
