//! Images whose layers are not what they are said to be, or more than anybody should unpack: what is said, how the run
//! ends, and that nothing half made is left.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cullet_tests::{Checkout, User};
use serde_json::{Value, json};

use super::disk::Tmpfs;
use super::images::{nothing_half_made, unpacked};
use super::made::{Image, blob as put, image};
use super::support::{expect, is_plain, skip, start};

/// A block that says what follows.
fn header(name: &str, kind: u8, size: u64) -> [u8; 512] {
    let mut block = [0; 512];
    let mut field = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    field(0, name.as_bytes());
    field(100, b"0000755\0");
    field(108, b"0000000\0");
    field(116, b"0000000\0");
    if size < 1 << 33 {
        field(124, format!("{size:011o} ").as_bytes());
    } else {
        // As GNU tar has it: a number of binary digits.
        field(124, &[&[0x80, 0, 0, 0][..], &size.to_be_bytes()].concat());
    }
    field(329, b"0000000\0");
    field(337, b"0000000\0");
    field(136, b"00000000000 ");
    field(148, b"        ");
    field(156, &[kind]);
    field(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn file(name: &str, content: &str) -> Vec<u8> {
    let mut bytes = header(name, b'0', content.len() as u64).to_vec();
    bytes.extend_from_slice(content.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

const END: [u8; 1024] = [0; 1024];

/// A checkout whose step `see` runs `script` in the image `app` of a shell and of what `add` gives: a layer as the image
/// names it, which `add` puts into the layout that it is given.
fn checkout(script: &str, add: impl Fn(&Path) -> (String, u64)) -> Checkout {
    let text = format!(
        "cullet: 1\nname: layers\nsteps:\n  see: {{ image: 'oci-layout:app', run: {} }}\n",
        json!(script)
    );
    let checkout = Checkout::of_pipeline(&text);
    let app = checkout.path().join("app");
    Image { layers: &[], ..Image::default() }.layout(&app);
    let index: Value = serde_json::from_slice(&fs::read(app.join("index.json")).unwrap()).unwrap();
    let manifest = document(&app, index["manifests"][0]["digest"].as_str().unwrap());
    let shell = &manifest["layers"][0];
    let shell = (shell["digest"].as_str().unwrap().to_owned(), shell["size"].as_u64().unwrap());
    let layer = add(&app);
    image(&app, Image::default().architecture, &json!({ "Env": ["PATH=/bin"] }), &[shell, layer]);
    checkout
}

fn document(layout: &Path, digest: &str) -> Value {
    serde_json::from_slice(&fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()).unwrap()
}

/// Runs it, which fails as infrastructure with all of `words`, and leaves the shell's layer alone.
#[track_caller]
fn refused(checkout: &Checkout, words: &[&str]) {
    let user = User::new();
    let words = [&["see: failed", "the step's image cannot be had", "oci-layout:"], words].concat();
    let began = Instant::now();
    expect(&user.cullet(checkout, ["run", "--progress", "plain"]), 3, &words);
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    nothing_half_made(user.cache());
    assert_eq!(unpacked(user.cache()), 1, "the shell's alone");
}

#[test]
fn layers_that_lie_about_themselves() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let honest = [&file("one", "1")[..], &END].concat();
    let (other, whole) = ([&file("two", "2")[..], &END].concat(), honest.len() as u64);
    // Shorter and longer than announced.
    refused(
        &checkout("true", |app| {
            let (digest, size) = put(app, &honest);
            (digest, size + 512)
        }),
        &[&format!("the layer has {whole} bytes, its descriptor says {}", whole + 512)],
    );
    refused(
        &checkout("true", |app| {
            let (digest, size) = put(app, &honest);
            (digest, size - 512)
        }),
        &["its descriptor says"],
    );
    // Other bytes under the name, of the same length.
    refused(
        &checkout("true", |app| {
            let (digest, size) = put(app, &honest);
            fs::write(app.join("blobs").join(digest.replace(':', "/")), &other).unwrap();
            (digest, size)
        }),
        &["is damaged: sha256:"],
    );
    // The end is missing, and that is what was announced.
    refused(&checkout("true", |app| put(app, &honest[..700])), &["see: failed"]);
}

#[test]
fn a_layer_that_is_not_what_the_configuration_says() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    // Compressed, the image is named by the digest of the archive inside, which `image` does not know.
    let checkout = checkout("true", |app| put(app, &packed(&[&file("one", "1")[..], &END].concat())));
    refused(&checkout, &["the layer's content is sha256:", "but the image's configuration says sha256:"]);
}

/// By gzip.
fn packed(bytes: &[u8]) -> Vec<u8> {
    packed_by(&|to| to.write_all(bytes).unwrap())
}

fn packed_by(write: &dyn Fn(&mut std::process::ChildStdin)) -> Vec<u8> {
    let mut gzip =
        Command::new("gzip").args(["-1", "-n"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let gzip = gzip.as_mut().unwrap();
    let mut to = gzip.stdin.take().unwrap();
    let mut from = gzip.stdout.take().unwrap();
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut from, &mut bytes).unwrap();
        bytes
    });
    write(&mut to);
    drop(to);
    assert!(gzip.wait().unwrap().success());
    reading.join().unwrap()
}

#[test]
fn archives_that_would_fill_a_disk() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    // A file of 40 GiB, by its header: nothing of it is waited for.
    let bomb = packed(&header("big", b'0', 40 << 30));
    refused(&checkout("true", |app| put(app, &bomb)), &["big", "34359738368"]);
    // In the form that GNU tar has for files with holes.
    let sparse = [&header("holes", b'S', 512)[..], &[0; 512], &END].concat();
    refused(&checkout("true", |app| put(app, &sparse)), &["`holes` is stored as a sparse file", "--sparse"]);
    // Two million and one entries, each of which is nothing: no disk is full, and it ends.
    let nothing = header(".wh..wh.plnk", b'0', 0).repeat(1 << 10);
    let entries = packed_by(&|to| (0..1954).for_each(|_| to.write_all(&nothing).unwrap()));
    assert!(entries.len() < 20 << 20);
    refused(&checkout("true", |app| put(app, &entries)), &["the archive has more than 2000000 entries"]);
}

#[test]
fn a_large_file_of_zeros_takes_no_room_and_one_that_ends_early_is_none() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let Some(disk) = Tmpfs::mount("size=48m") else { return skip("this user cannot mount") };
    let zeros = vec![0; 1 << 20];
    let layer = |bytes: u64, sent: usize| {
        packed_by(&|to| {
            to.write_all(&header("holes", b'0', bytes)).unwrap();
            (0..sent).for_each(|_| to.write_all(&zeros).unwrap());
        })
    };
    // Ten GiB are announced, and the archive ends before that.
    let early = layer(10 << 30, 64);
    refused(&checkout("true", |app| put(app, &early)), &["see: failed"]);
    // Eight times as much as there is room for.
    let text = [&header("holes", b'0', 384 << 20)[..], &vec![0; 384 << 20], &END].concat();
    let checkout = checkout("test $(busybox stat -c %s /holes) = 402653184", |app| put(app, &text));
    let cache = disk.path().join("cache");
    let mut command = User::new().command(checkout.path(), ["run", "--progress", "plain"]);
    let run = command.env("CULLET_CACHE_DIR", &cache).env("CULLET_CACHE_SIZE", "1GiB").output().unwrap();
    expect(&run, 0, &["see: succeeded"]);
    nothing_half_made(&cache);
}

#[test]
fn a_hundred_thousand_entries_are_unpacked_in_little_memory() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let mut layer = Vec::new();
    for dir in 0..100 {
        layer.extend_from_slice(&header(&format!("many/{dir}/"), b'5', 0));
        (0..1000)
            .for_each(|number| layer.extend_from_slice(&header(&format!("many/{dir}/{number}"), b'0', 0)));
    }
    layer.extend_from_slice(&END);
    let checkout = checkout(
        "test $(ls /many | busybox wc -l) = 100; test $(ls /many/99 | busybox wc -l) = 1000",
        |app| put(app, &layer),
    );
    let user = User::new();
    let mut running = start(&user, &checkout, &["run", "--progress", "plain"]);
    let began = Instant::now();
    let mut peak = 0;
    while running.child().try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(120), "it does not end");
        let status = fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
        let high = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = high.map_or(peak, |high| high.trim().parse::<u64>().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    expect(&running.output(), 0, &["see: succeeded"]);
    assert!(peak > 0 && peak < 200 << 10, "{peak} KiB");
    nothing_half_made(user.cache());
}

#[test]
fn names_that_look_alike_are_names_of_their_own() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let names = ["Name", "name", "\u{e9}", "e\u{301}", "\u{212b}", "\u{c5}"];
    let mut layer: Vec<u8> = names
        .iter()
        .enumerate()
        .flat_map(|(number, name)| file(&format!("d/{name}"), &number.to_string()))
        .collect();
    layer.extend_from_slice(&END);
    let seen: String = names.iter().map(|name| format!("cat '/d/{name}'; ")).collect();
    let checkout =
        checkout(&format!("test \"$({seen})\" = 012345; test $(ls /d | busybox wc -l) = 6"), |app| {
            put(app, &layer)
        });
    expect(&User::new().cullet(&checkout, ["run", "--progress", "plain"]), 0, &["see: succeeded"]);
}

#[test]
fn what_is_left_out_of_an_image_is_said_once() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let layer =
        [&header("dev/tap", b'3', 0)[..], &header("queue", b'6', 0), &file("kept", "1"), &END].concat();
    let checkout = checkout("test -e /kept; test ! -e /queue", |app| put(app, &layer));
    checkout.edit("cullet.yaml", "  see:", "  first: { image: 'oci-layout:app', run: 'true' }\n  see:");
    let user = User::new();
    let sentence = "the image oci-layout:app is unpacked without 2 device files and named pipes: dev/tap, a character \
                    device; queue, a named pipe";
    for progress in ["plain", "json", "plain"] {
        let run = user.cullet(&checkout, ["run", "--no-cache", "--progress", progress]);
        expect(&run, 0, &[sentence]);
        assert_eq!(super::support::said(&run).matches("is unpacked without").count(), 1);
    }
}
