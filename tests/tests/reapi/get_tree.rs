//! `ContentAddressableStorage.GetTree`.

use std::collections::BTreeMap;

use cullet_proto::reapi::Digest;
use cullet_proto::reapi::storage::{GetTreeRequest, GetTreeResponse};
use tonic::{Code, Status};

use super::api::{Api, refused};
use super::blobs::{Blob, Function};
use super::directories::Directory;
use super::servers::of_caches;

async fn pages(
    api: &Api,
    root: &Blob,
    page_size: i32,
    page_token: &str,
) -> Result<Vec<GetTreeResponse>, Status> {
    let request = GetTreeRequest {
        root_digest: Some(root.digest.clone()),
        page_size,
        page_token: page_token.to_owned(),
        digest_function: root.function.number,
        ..GetTreeRequest::default()
    };
    let mut stream = api.storage().get_tree(request).await?.into_inner();
    let mut pages = Vec::new();
    while let Some(page) = stream.message().await? {
        pages.push(page);
    }
    Ok(pages)
}

/// The directories of these pages, and how often each came.
fn directories(function: Function, pages: &[GetTreeResponse]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for directory in pages.iter().flat_map(|page| &page.directories) {
        *found.entry(function.digest(directory).hash).or_default() += 1;
    }
    found
}

/// A directory that nobody has seen before: of a file that is not there, which is no matter.
fn leaf(function: Function) -> Blob {
    Directory::default().file("f", &Blob::unseen(function, 20)).blob(function)
}

/// A root with two directories, the second of which has two more, all of them stored.
async fn tree(api: &Api, function: Function) -> [Blob; 5] {
    let [a, x, y] = [(); 3].map(|()| leaf(function));
    let b = Directory::default().directory("x", &x).directory("y", &y).blob(function);
    let root = Directory::default().directory("a", &a).directory("b", &b).blob(function);
    api.put(&[&a, &x, &y, &b, &root]).await;
    [root, a, b, x, y]
}

fn once(blobs: &[&Blob]) -> BTreeMap<String, usize> {
    blobs.iter().map(|blob| (blob.digest.hash.clone(), 1)).collect()
}

/// `GetTreeResponse.directories`: the directory and every one below it; the last page has no `next_page_token`.
#[test]
fn all_directories_come() {
    of_caches(async |api| {
        for function in api.functions() {
            let all = tree(api, function).await;
            let pages = pages(api, &all[0], 0, "").await.unwrap();
            assert_eq!(directories(function, &pages), once(&all.each_ref()));
            assert_eq!(pages.last().unwrap().next_page_token, "");
            let alone = super::get_tree::pages(api, &all[1], 0, "").await.unwrap();
            assert_eq!(directories(function, &alone), once(&[&all[1]]));
        }
    });
}

/// `GetTreeRequest.page_size`: so many directories at most in one answer.
#[test]
fn pages_are_no_larger_than_asked_for() {
    of_caches(async |api| {
        for function in api.functions() {
            let all = tree(api, function).await;
            for size in [1, 2, 5, 1000] {
                let pages = pages(api, &all[0], size, "").await.unwrap();
                let largest = pages.iter().map(|page| page.directories.len()).max();
                assert!(largest <= Some(size as usize), "{size}: {largest:?}");
                assert_eq!(directories(function, &pages), once(&all.each_ref()), "{size}");
            }
        }
    });
}

/// `GetTreeRequest.page_token`: one of an earlier answer, behind which it goes on; every page before the last one has one.
#[test]
fn it_goes_on_behind_a_page() {
    of_caches(async |api| {
        for function in api.functions() {
            let all = tree(api, function).await;
            let whole = pages(api, &all[0], 2, "").await.unwrap();
            let (last, before) = whole.split_last().unwrap();
            assert_eq!(last.next_page_token, "");
            for (index, page) in before.iter().enumerate() {
                assert_ne!(page.next_page_token, "");
                let rest = pages(api, &all[0], 2, &page.next_page_token).await.unwrap();
                let expected = directories(function, &whole[index + 1..]);
                assert_eq!(directories(function, &rest), expected, "behind page {index}");
            }
            refused(pages(api, &all[0], 0, "nonsense").await, Code::InvalidArgument, "no token");
        }
    });
}

/// `ContentAddressableStorage.GetTree`: what is missing below the root is left out; a root that is missing is `NOT_FOUND`.
#[test]
fn what_is_missing_is_left_out() {
    of_caches(async |api| {
        for function in api.functions() {
            let [there, gone, below] = [(); 3].map(|()| leaf(function));
            let lost = Directory::default().directory("below", &below).blob(function);
            let root =
                Directory::default().directory("a", &there).directory("b", &gone).directory("c", &lost);
            let root = root.blob(function);
            api.put(&[&root, &there, &below]).await;
            let pages = pages(api, &root, 0, "").await.unwrap();
            assert_eq!(directories(function, &pages), once(&[&root, &there]));
            let missing = super::get_tree::pages(api, &gone, 0, "").await;
            refused(missing, Code::NotFound, "the root");
        }
    });
}

/// `ContentAddressableStorage`: empty blobs are always there, and one is an empty `Directory`.
#[test]
fn the_empty_directory_is_there() {
    of_caches(async |api| {
        for function in api.functions() {
            let empty = Directory::default().blob(function);
            let alone = pages(api, &empty, 0, "").await.unwrap();
            assert_eq!(directories(function, &alone), once(&[&empty]));
            let root = Directory::default()
                .directory("e", &empty)
                .directory(&format!("f{}", fastrand::u64(..)), &empty);
            let root = root.blob(function);
            api.put(&[&root]).await;
            let both = pages(api, &root, 0, "").await.unwrap();
            let found = directories(function, &both);
            assert_eq!(found.len(), 2, "{found:?}");
        }
    });
}

/// `GetTreeRequest.root_digest`: a digest that is one, of a blob that is a `Directory`.
#[test]
fn what_is_no_directory_is_refused() {
    of_caches(async |api| {
        let function = api.functions()[0];
        let request = GetTreeRequest::default();
        let answer = api.storage().get_tree(request).await.map(drop);
        api.refuses_name(answer, "no digest");
        let mut root = leaf(function);
        root.digest = Digest { hash: "abc".to_owned(), ..root.digest };
        let answer = pages(api, &root, 0, "").await;
        api.refuses_name(answer, "a short hash");
        let file = Blob::new(function, "\u{7}no message");
        api.put(&[&file]).await;
        assert!(pages(api, &file, 0, "").await.is_err(), "a file");
        let request = GetTreeRequest {
            instance_name: "a/b/c".to_owned(),
            root_digest: Some(leaf(function).digest),
            ..GetTreeRequest::default()
        };
        refused(api.storage().get_tree(request).await.map(drop), Code::InvalidArgument, "a/b/c");
    });
}
