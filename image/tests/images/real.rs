//! Images through programs that others wrote: Debian's `docker-registry`, `skopeo`, `umoci` and `tar`, where they are
//! installed (`./test` does that).

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use cullet_image::layer::{LayerId, Notes, UnpackOptions, unpack_layer};
use cullet_image::{
    Credentials, Digest, ImageError, Outgoing, Pick, Pushed, Reference, Registries, RegistryOptions,
    RegistryProblem, RegistryReference, Store, StoreOptions, WrittenImage, resolve,
};

use crate::made::{Made, amd64, chain, find, registries};
use crate::registry::{Real, has, run};

/// An image of it, by what stands behind its address.
pub(crate) fn reference(real: &Real, text: &str) -> RegistryReference {
    match format!("{}/{text}", real.address).parse().unwrap() {
        Reference::Registry(reference) => reference,
        other => panic!("{other}"),
    }
}

pub(crate) async fn push(
    registries: &Registries,
    to: &RegistryReference,
    image: &WrittenImage,
) -> Result<Pushed, ImageError> {
    registries.push(to, &Outgoing::from(image), &[], &|_, _| ()).await
}

pub(crate) async fn pull(
    reference: &RegistryReference,
    registries: &Registries,
) -> Result<String, ImageError> {
    let dir = tempfile::tempdir().unwrap();
    let image = resolve(&Reference::Registry(reference.clone()), &amd64(), registries).await?;
    let layers = Store::open(dir.path(), StoreOptions::default()).unwrap().pull(&image).await?;
    assert_eq!(std::fs::read_to_string(layers[0].tree.join("etc/os")).unwrap(), "test");
    Ok(image.manifest_digest.to_string())
}

#[tokio::test]
async fn what_is_pushed_is_pulled() {
    let Some(real) = Real::start("", "") else { return };
    let (_made, image) = Made::image("1", 3 << 20);
    let (to, registries) = (reference(&real, "team/app:1"), registries());
    let pushed = push(&registries, &to, &image).await.unwrap();
    assert_eq!((pushed.digest, pushed.present), (image.digest, 0));
    assert!(pushed.sent_bytes > 3 << 20);
    let again = push(&registries, &reference(&real, "team/app:2"), &image).await.unwrap();
    assert_eq!((again.sent_bytes, again.present), (0, 3), "blobs are sent once");
    assert_eq!(pull(&to, &registries).await.unwrap(), image.digest.to_string());
    let by_digest = RegistryReference { which: Pick::Digest(image.digest), ..to.clone() };
    assert_eq!(pull(&by_digest, &registries).await.unwrap(), image.digest.to_string());
    for missing in ["team/app:3", "nobody/nothing:1"] {
        let error = pull(&reference(&real, missing), &registries).await.unwrap_err();
        let ImageError::Registry(error) = &error else { panic!("{error:?}") };
        assert!(matches!(*error.problem, RegistryProblem::NotFound { .. }), "{error:?}");
        assert!(chain(error).contains(missing.split(':').next().unwrap()));
    }
}

#[tokio::test]
async fn a_part_of_a_blob_is_resumed_by_a_real_registry() {
    let Some(real) = Real::start("", "") else { return };
    let (_made, written) = Made::image("1", 3 << 20);
    let (to, registries) = (reference(&real, "team/app:1"), registries());
    push(&registries, &to, &written).await.unwrap();
    let image = resolve(&Reference::Registry(to), &amd64(), &registries).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let (blob, file) = &written.blobs[2];
    let part = &std::fs::read(file).unwrap()[..1 << 20];
    std::fs::write(dir.path().join("partial").join(blob.digest.hex()), part).unwrap();
    let fetched = store.blob(&image, blob).await.unwrap();
    assert_eq!(std::fs::read(fetched).unwrap(), std::fs::read(file).unwrap());
}

#[tokio::test]
async fn a_private_authority_and_a_login_are_needed_and_taken() {
    if !has("openssl") {
        return;
    }
    let tls = "  tls:\n    certificate: DIR/cert.pem\n    key: DIR/key.pem\n";
    let Some(real) = Real::start(tls, "auth:\n  htpasswd:\n    realm: test\n    path: DIR/users\n") else {
        return;
    };
    let address = real.address.clone();
    let options = || RegistryOptions {
        tls: BTreeSet::from([address.clone()]),
        retries: 1,
        ..RegistryOptions::default()
    };
    let (to, (_made, image)) = (reference(&real, "team/app:1"), Made::image("1", 100));

    let error = push(&Registries::new(options()).unwrap(), &to, &image).await.unwrap_err();
    let ImageError::Registry(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error.problem, RegistryProblem::Certificate { .. }), "{}", chain(&error));

    let authorities = vec![std::fs::read(real.dir.path().join("ca.pem")).unwrap()];
    let trusting = || RegistryOptions { authorities: authorities.clone(), ..options() };
    let error = push(&Registries::new(trusting()).unwrap(), &to, &image).await.unwrap_err();
    let ImageError::Registry(error) = error else { panic!("{error:?}") };
    assert!(matches!(*error.problem, RegistryProblem::Unauthorized { who: None, .. }), "{}", chain(&error));

    let config = real.dir.path().join("docker.json");
    let login = |word: &str| {
        // `user:secret`, or another word.
        let auth = if word == "secret" { "dXNlcjpzZWNyZXQ=" } else { "dXNlcjp3cm9uZw==" };
        std::fs::write(&config, format!(r#"{{"auths":{{"{address}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
        RegistryOptions { credentials: Credentials::DockerConfig(config.clone()), ..trusting() }
    };
    let error = push(&Registries::new(login("wrong")).unwrap(), &to, &image).await.unwrap_err();
    assert!(chain(&error).contains("login of `user`"), "{}", chain(&error));
    let registries = Registries::new(login("secret")).unwrap();
    push(&registries, &to, &image).await.unwrap();
    assert_eq!(pull(&to, &registries).await.unwrap(), image.digest.to_string());
}

#[tokio::test]
async fn skopeo_reads_what_is_written_and_writes_what_is_read() {
    let Some(real) = Real::start("", "") else { return };
    if !has("skopeo") {
        return;
    }
    let (made, image) = Made::image("1", 1000);
    let layout = format!("oci:{}:1", made.layout().display());
    let dir = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str, more: &[&str]| {
        let usual = ["--insecure-policy", "--override-arch=amd64", "copy"];
        let plain = ["--src-tls-verify=false", "--dest-tls-verify=false", from, to];
        run("skopeo", &[&usual[..], more, &plain].concat());
    };
    const SAME: &[&str] = &["--preserve-digests"];
    let remote = |name: &str| format!("docker://{}/{name}", real.address);
    copy(&layout, &remote("theirs:1"), SAME);
    assert_eq!(pull(&reference(&real, "theirs:1"), &registries()).await.unwrap(), image.digest.to_string());

    // As Docker's own kind of manifest, and as its kind of archive.
    copy(&layout, &remote("docker:1"), &["--format=v2s2"]);
    pull(&reference(&real, "docker:1"), &registries()).await.unwrap();
    let archive = dir.path().join("app.tar");
    copy(&layout, &format!("docker-archive:{}:app:1", archive.display()), &[]);
    let found = find(&format!("docker-archive:{}:app:1", archive.display()), "linux/amd64").await.unwrap();
    let store = Store::open(&dir.path().join("store"), StoreOptions::default()).unwrap();
    let layers = store.pull(&found).await.unwrap();
    assert_eq!(std::fs::read_to_string(layers[0].tree.join("etc/os")).unwrap(), "test");

    push(&registries(), &reference(&real, "ours:1"), &image).await.unwrap();
    copy(&remote("ours:1"), &format!("oci:{}:1", dir.path().join("back").display()), SAME);
    let back =
        find(&format!("oci-layout:{}:1", dir.path().join("back").display()), "linux/amd64").await.unwrap();
    assert_eq!(back.manifest_digest, image.digest);
}

#[tokio::test]
async fn umoci_and_the_store_unpack_the_same() {
    if !has("umoci") || !rustix::process::geteuid().is_root() {
        return;
    }
    let (made, _) = Made::image("1", 1000);
    let dir = tempfile::tempdir().unwrap();
    let layout = made.layout().display().to_string();
    let bundle = dir.path().join("bundle");
    run("umoci", &["unpack", "--image", &format!("{layout}:1"), bundle.to_str().unwrap()]);
    std::fs::write(bundle.join("rootfs/more"), "3").unwrap();
    std::fs::remove_file(bundle.join("rootfs/data")).unwrap();
    run("umoci", &["repack", "--image", &format!("{layout}:2"), bundle.to_str().unwrap()]);
    let image = find(&format!("oci-layout:{layout}:2"), "linux/amd64").await.unwrap();
    let layers =
        Store::open(&dir.path().join("store"), StoreOptions::default()).unwrap().pull(&image).await.unwrap();
    assert_eq!(layers.len(), 3);
    assert_eq!(std::fs::read_to_string(layers[2].tree.join("more")).unwrap(), "3");
    let whiteout = std::fs::symlink_metadata(layers[2].tree.join("data")).unwrap();
    assert!(std::os::unix::fs::FileTypeExt::is_char_device(&whiteout.file_type()));
}

#[test]
fn what_gnu_tar_packs_in_any_format_is_unpacked_as_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    let deep = tree.join("d".repeat(90)).join("e".repeat(60));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), "text").unwrap();
    std::fs::hard_link(deep.join("file"), tree.join("linked")).unwrap();
    std::os::unix::fs::symlink("../x".repeat(20), tree.join("symlink")).unwrap();
    std::fs::write(tree.join("\u{e9}t\u{e9}"), "summer").unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    for format in ["gnu", "pax", "ustar", "oldgnu"] {
        run("tar", &["-C", &at("tree"), &format!("--format={format}"), "-cf", &at("layer.tar"), "."]);
        let bytes = std::fs::read(dir.path().join("layer.tar")).unwrap();
        let digest = Digest::of(&bytes);
        let id = LayerId { digest, size: bytes.len() as u64, diff_id: digest };
        let into = dir.path().join(format);
        std::fs::create_dir(&into).unwrap();
        let unpacked =
            unpack_layer(&bytes[..], &into, &id, &UnpackOptions::for_this_user(), &AtomicBool::new(false))
                .unwrap();
        assert_eq!(Notes { owners: 0, ..unpacked.notes }, Notes::default(), "{format}");
        // Fails where anything differs, links and names included.
        run("diff", &["-r", "--no-dereference", &at("tree"), &at(format)]);
    }
}
