//! Images that are pulled while the disk is full, twice at once, and by whoever is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cullet_tests::{Checkout, User};

use super::disk::Tmpfs;
use super::made::Image;
use super::stub::{Fault, Request, Stub};
use super::support::{expect, files, is_plain, shell, skip, start, until};

/// Bytes that no compression and no hole makes less of, as text.
fn noise(bytes: usize) -> String {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        char::from(b'!' + (state >> 25) as u8 % 90)
    };
    (0..bytes).map(|_| next()).collect()
}

/// A pipeline with one step in an image, and one that has none.
fn pipeline(image: &str) -> Checkout {
    let text = format!(
        "cullet: 1\nname: images\nsteps:\n  inside: {{ image: '{image}', run: 'head -c 3 /layer' }}\n  \
         outside: {{ run: 'echo ok' }}\n"
    );
    Checkout::of_pipeline(&text)
}

/// What is in a directory of the images of a cache.
fn names(cache: &Path, dir: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(cache.join("images").join(dir)).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The unpacked layers with the inodes of their directories.
fn layers(cache: &Path) -> BTreeMap<String, u64> {
    let forms = names(cache, "layers").into_iter().map(|form| cache.join("images/layers").join(form));
    let inside = forms.flat_map(|form| fs::read_dir(form).into_iter().flatten().flatten());
    inside
        .filter_map(|layer| Some((layer.file_name().into_string().ok()?, layer.metadata().ok()?.ino())))
        .collect()
}

/// How many layers are unpacked.
pub(crate) fn unpacked(cache: &Path) -> usize {
    layers(cache).len()
}

#[track_caller]
pub(crate) fn nothing_half_made(cache: &Path) {
    for dir in ["unpacking", "partial"] {
        assert_eq!(names(cache, dir), BTreeSet::new(), "{dir}");
    }
}

/// A registry that has an image, and a checkout whose step runs in it. `script` is asked for requests of layers, with
/// how many there were for that one.
fn registry(image: &Image<'_>, script: impl Fn(usize) -> Fault + Send + Sync + 'static) -> (Stub, Checkout) {
    let checkout = pipeline("none");
    let app = checkout.path().join("app");
    let digest = image.layout(&app);
    let config = config_of(&app, &digest);
    let stub = Stub::new(&app, move |request: &Request, count| {
        let is_layer = request.is_blob() && !request.path.ends_with(&config);
        if is_layer { script(count) } else { Fault::None }
    });
    checkout.edit("cullet.yaml", "'none'", &format!("'{}'", stub.reference(&format!("@{digest}"))));
    (stub, checkout)
}

fn document(layout: &Path, digest: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()).unwrap()
}

fn config_of(layout: &Path, digest: &str) -> String {
    document(layout, digest)["config"]["digest"].as_str().unwrap().to_owned()
}

/// The digests of the layers of an image.
pub(crate) fn layers_of(layout: &Path, digest: &str) -> Vec<String> {
    let manifest = document(layout, digest);
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_space_while_an_image_is_unpacked_or_fetched() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let big = noise(40 << 20);
    let image = Image { layers: &[&big], ..Image::default() };
    let (stub, from_registry) = registry(&image, |_| Fault::None);
    let from_layout = pipeline("oci-layout:app");
    image.layout(&from_layout.path().join("app"));
    for checkout in [&from_layout, &from_registry] {
        let Some(disk) = Tmpfs::mount("size=24m") else { return skip("this user cannot mount") };
        let cache = disk.path().join("cache");
        let run = |arguments: &[&str]| {
            let mut command = User::new().command(checkout.path(), arguments.iter().copied());
            // By default it is a tenth of the disk, and then nothing is kept of a large image.
            command.env("CULLET_CACHE_DIR", &cache).env("CULLET_CACHE_SIZE", "1GiB").output().unwrap()
        };
        let words = ["inside: failed", "no space left for images", "CULLET_CACHE_DIR", "outside: "];
        for _ in 0..2 {
            expect(&run(&["run", "--keep-going", "--progress", "plain"]), 3, &words);
            nothing_half_made(&cache);
            assert!(layers(&cache).len() <= 1, "the large layer has no room");
        }
        expect(&run(&["cache", "verify"]), 0, &["everything is right"]);
        disk.remount("size=200m");
        expect(&run(&["run", "--progress", "plain"]), 0, &["inside: succeeded"]);
        nothing_half_made(&cache);
        assert_eq!(layers(&cache).len(), 2);
    }
    assert!(stub.blob_requests() > 0);
}

#[test]
fn two_processes_pull_an_image_once() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let arrived = Arc::new(AtomicUsize::new(0));
    let fetched = Arc::new(AtomicUsize::new(0));
    let (both, fetches) = (Arc::clone(&arrived), Arc::clone(&fetched));
    // Nobody gets a layer before both have asked what the image is.
    let (stub, checkout) = registry(&Image::default(), move |_| {
        fetches.fetch_add(1, Ordering::Relaxed);
        until("both processes to have come", || both.load(Ordering::Relaxed) >= 2);
        std::thread::sleep(Duration::from_millis(300));
        Fault::None
    });
    let user = User::new();
    expect(&user.cullet(&checkout, ["lock"]), 0, &[]);
    let manifests = || stub.requests().iter().filter(|request| request.path.contains("/manifests/")).count();
    let before = manifests();
    let mut running = [0, 1].map(|_| start(&user, &checkout, &["run", "--locked", "--no-cache"]));
    let mut seen: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    until("both processes to end", || {
        arrived.store(manifests() - before, Ordering::Relaxed);
        for (name, inode) in layers(user.cache()) {
            seen.entry(name).or_default().insert(inode);
        }
        running.iter_mut().all(|one| one.child().try_wait().unwrap().is_some())
    });
    for one in running {
        expect(&one.output(), 0, &["2 executed"]);
    }
    assert!(manifests() - before >= 2, "one would not have had to wait for the other");
    assert_eq!(fetched.load(Ordering::Relaxed), 2, "each of the two layers once");
    assert_eq!(seen.len(), 2);
    assert!(seen.values().all(|inodes| inodes.len() == 1), "unpacked again: {seen:?}");
    nothing_half_made(user.cache());
}

#[test]
fn whoever_is_killed_while_pulling_leaves_what_the_next_one_goes_on_with() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let (half, is_killed) = (1 << 20, Arc::new(AtomicBool::new(false)));
    let killed = Arc::clone(&is_killed);
    let big = noise(2 << 20);
    let (stub, checkout) =
        registry(&Image { layers: &[&big], ..Image::default() }, move |count| match count {
            1 => Fault::Cut(half),
            _ => {
                until("the process to be killed", || killed.load(Ordering::Relaxed));
                Fault::None
            }
        });
    let user = User::new();
    let running = start(&user, &checkout, &["run"]);
    let partial = user.cache().join("images/partial");
    let sizes = || -> Vec<u64> {
        let entries = fs::read_dir(&partial).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).map(|stat| stat.len()).collect()
    };
    until("half of both layers to be here", || sizes() == [half as u64; 2]);
    running.kill();
    is_killed.store(true, Ordering::Relaxed);
    assert_eq!((sizes(), layers(user.cache()).len()), (vec![half as u64; 2], 0));
    let before = stub.requests().len();
    expect(&user.cullet(&checkout, ["run", "--progress", "plain"]), 0, &["inside: succeeded"]);
    let ranges = stub
        .requests()
        .split_off(before)
        .into_iter()
        .filter_map(|request| request.headers.get("range").cloned());
    assert_eq!(ranges.collect::<Vec<_>>(), [format!("bytes={half}-"), format!("bytes={half}-")]);
    nothing_half_made(user.cache());
}

#[test]
fn whoever_is_killed_while_unpacking_leaves_nothing_that_is_used() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let big = noise(30 << 20);
    let checkout = pipeline("oci-layout:app");
    Image { layers: &[&big], ..Image::default() }.layout(&checkout.path().join("app"));
    let user = User::new();
    // What is there under its name is all of the layer.
    let is_whole = || {
        let found = files(&user.cache().join("images/layers"));
        let layer = found.iter().find(|file| file.ends_with("tree/layer"));
        layer.map(|layer| fs::read(layer).unwrap() == big.as_bytes())
    };
    for wait_ms in [0, 10, 50, 100] {
        let running = start(&user, &checkout, &["run"]);
        until("the layer to be unpacked", || {
            let files = files(&user.cache().join("images/unpacking"));
            files.iter().any(|file| fs::metadata(file).is_ok_and(|stat| stat.len() > 1 << 20))
        });
        std::thread::sleep(Duration::from_millis(wait_ms));
        running.kill();
        assert_ne!(is_whole(), Some(false), "killed after {wait_ms} ms");
        shell(user.cache(), "rm -rf images/layers/*");
    }
    // The last one may have come to its end.
    expect(&user.cullet(&checkout, ["run", "--no-cache", "--progress", "plain"]), 0, &["inside: succeeded"]);
    nothing_half_made(user.cache());
    assert_eq!(is_whole(), Some(true));
}
