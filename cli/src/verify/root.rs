//! What differs in the root directories that two executions leave.

use std::fmt::Display;
use std::ops::ControlFlow;

use cullet_cache::BlobStore;
use cullet_digest::Digest;
use cullet_image::layer::{Contents, EntryDifference, EntryFacts, EntryKind, Limits, compare_layers};
use cullet_worker::Masks;

use super::how::How;
use super::token::{Cause, Window};
use super::{FileDifference, MOST_BYTES, of_bytes, of_links, of_sizes};

/// How people call what is in the cache as an archive.
const NAME: &str = "the root directory";

/// What differs in two archives of roots, at most `most` entries; whether there is more.
pub(super) async fn compare(
    blobs: &dyn BlobStore,
    (old, new): (Digest, Digest),
    most: usize,
    (window, masks): (Window, &Masks),
) -> (Vec<FileDifference>, bool) {
    if most == 0 {
        return (Vec::new(), true);
    }
    let whole = |what: String| {
        let how = How { causes: [Cause::Unknown].into(), excerpt: Vec::new() };
        (vec![FileDifference { path: NAME.to_owned(), what, how }], false)
    };
    let unread = |error: &dyn Display| whole(format!("it cannot be looked into: {error}"));
    let archives = match (blobs.get(&old).await, blobs.get(&new).await) {
        (Ok(old), Ok(new)) => (old.into_reader(), new.into_reader()),
        (Err(error), _) | (_, Err(error)) => return unread(&error),
    };
    let masks = masks.clone();
    let compared = tokio::task::spawn_blocking(move || {
        let (mut files, mut more) = (Vec::new(), false);
        let mut tell = |difference| {
            if files.len() == most {
                more = true;
                return ControlFlow::Break(());
            }
            files.push(entry(difference, (window, &masks)));
            ControlFlow::Continue(())
        };
        compare_layers(archives, Limits::default(), MOST_BYTES, &mut tell).map(|()| (files, more))
    });
    match compared.await {
        Ok(Ok((files, _))) if files.is_empty() => whole("the archives themselves".to_owned()),
        Ok(Ok(found)) => found,
        Ok(Err(error)) => unread(&error),
        Err(error) => unread(&error),
    }
}

fn entry(difference: EntryDifference, (window, masks): (Window, &Masks)) -> FileDifference {
    let EntryDifference { path, first, second, contents } = difference;
    // Masked as it is: a value need not be UTF-8.
    let path = format!("{NAME}: /{}", String::from_utf8_lossy(&masks.bytes(&path)));
    let (what, how) = match (first, second) {
        (Some(first), Some(second)) if first.kind == second.kind => {
            both(&first, &second, contents, (window, masks))
        }
        (Some(first), Some(second)) => {
            (format!("{}, then {}", kind(first.kind), kind(second.kind)), How::default())
        }
        (first, second) => {
            let which = if first.is_some() { "first" } else { "second" };
            let what = match first.or(second).map(|facts| facts.kind) {
                Some(EntryKind::Removed) => "removed only by",
                Some(EntryKind::Emptied) => "its old content removed only by",
                _ => "there only after",
            };
            (format!("{what} the {which} execution"), How::default())
        }
    };
    FileDifference { path, what, how }
}

fn kind(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "a file",
        EntryKind::Directory => "a directory",
        EntryKind::Symlink => "a link",
        EntryKind::HardLink => "a further name of a file",
        EntryKind::Other(_) => "something else",
        EntryKind::Removed => "removed",
        EntryKind::Emptied => "its old content removed",
    }
}

/// Two entries of one kind.
fn both(
    first: &EntryFacts,
    second: &EntryFacts,
    contents: Contents,
    (window, masks): (Window, &Masks),
) -> (String, How) {
    let mut what = Vec::new();
    let mut how = How::default();
    match contents {
        Contents::Same => {}
        Contents::Are(old, new) => {
            what.push("content".to_owned());
            how = of_bytes(&old, &new, (window, masks));
        }
        Contents::Differ(old, new) => {
            what.push("content".to_owned());
            how = of_sizes(old, new);
        }
    }
    if first.link != second.link {
        what.push("where the link leads".to_owned());
        how = of_links(&first.link, &second.link, (window, masks));
    }
    if first.mode != second.mode {
        what.push(format!("mode {:o}, then {:o}", first.mode, second.mode));
    }
    if first.owner != second.owner {
        let ((user, group), (new_user, new_group)) = (first.owner, second.owner);
        what.push(format!("owner {user}:{group}, then {new_user}:{new_group}"));
    }
    if first.time != second.time {
        what.push(format!("time {}, then {}", first.time.0, second.time.0));
        how.causes.insert(Cause::Time);
    }
    if first.attributes != second.attributes {
        what.push("extended attributes".to_owned());
    }
    (what.join(", "), how)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from_ms: 1_790_000_000_000, to_ms: 1_790_000_003_000 };

    fn facts(kind: EntryKind) -> EntryFacts {
        EntryFacts {
            kind,
            mode: 0o644,
            owner: (0, 0),
            time: (0, 0),
            link: Vec::new(),
            attributes: Vec::new(),
        }
    }

    fn said(first: Option<EntryFacts>, second: Option<EntryFacts>, contents: Contents) -> FileDifference {
        let path = b"opt/x".to_vec();
        entry(EntryDifference { path, first, second, contents }, (WINDOW, &Masks::default()))
    }

    #[test]
    fn a_difference_is_named_in_the_words_of_people() {
        let file = || facts(EntryKind::File);
        let differ =
            said(Some(file()), Some(file()), Contents::Are(b"10:00:01\n".into(), b"10:00:03\n".into()));
        assert_eq!((&*differ.path, &*differ.what), ("the root directory: /opt/x", "content"));
        assert_eq!(differ.how.causes, [Cause::Time].into());
        assert_eq!(differ.how.excerpt, ["- 10:00:01", "+ 10:00:03"]);
        let other = EntryFacts { mode: 0o4755, owner: (7, 8), ..file() };
        let differ = said(Some(file()), Some(other), Contents::Differ(20_000_000, 20_000_001));
        assert_eq!(differ.what, "content, mode 644, then 4755, owner 0:0, then 7:8");
        assert_eq!(differ.how.excerpt, ["20000000 bytes, then 20000001; not looked into"]);
        let link = |to: &str| Some(EntryFacts { link: to.into(), ..facts(EntryKind::Symlink) });
        assert_eq!(said(link("a"), link("b"), Contents::Same).how.excerpt, ["- a", "+ b"]);
        for (first, second, wanted) in [
            (Some(file()), None, "there only after the first execution"),
            (None, Some(facts(EntryKind::Removed)), "removed only by the second execution"),
            (Some(file()), Some(facts(EntryKind::Directory)), "a file, then a directory"),
        ] {
            assert_eq!(said(first, second, Contents::Same).what, wanted);
        }
    }
}
