//! Images into registries: what is sent, what is not, and what becomes of it when a registry fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use cullet_image::layer::Compression;
use cullet_image::{
    BlobPushed, Credentials, Digest, ImageError, Outgoing, Pushed, Reference, Registries, RegistryOptions,
    RegistryProblem, RegistryReference, resolve,
};

use crate::made::{Made, chain, find, registries};
use crate::proxy::{Proxy, Way, length};
use crate::real::{pull, push, reference};
use crate::registry::{Real, has, run};
use crate::stub::{Fault, Stub};

fn quick() -> RegistryOptions {
    RegistryOptions { retries: 3, pause: Duration::from_millis(1), ..RegistryOptions::default() }
}

fn at(address: &impl ToString, text: &str) -> RegistryReference {
    match format!("{}/{text}", address.to_string()).parse().unwrap() {
        Reference::Registry(reference) => reference,
        other => panic!("{other}"),
    }
}

async fn open(text: &str) -> Result<Outgoing, ImageError> {
    Outgoing::open(&text.parse().unwrap()).await
}

async fn push_from(image: &Outgoing, to: &RegistryReference, mounts: &[&str]) -> Result<Pushed, ImageError> {
    let mounts: Vec<String> = mounts.iter().map(|&mount| mount.to_owned()).collect();
    registries().push(to, image, &mounts, &|_, _| ()).await
}

fn problem(error: &ImageError) -> &RegistryProblem {
    let ImageError::Registry(error) = error else { panic!("{error:?}") };
    &error.problem
}

#[tokio::test]
async fn what_another_repository_has_is_not_sent() {
    let Some(real) = Real::start("", "") else { return };
    let (made, image) = Made::image("1", 1 << 20);
    push(&registries(), &reference(&real, "team/base:1"), &image).await.unwrap();
    let outgoing = open(&format!("oci-layout:{}:1", made.layout().display())).await.unwrap();
    assert_eq!(outgoing.digest(), Some(image.digest));
    let told = Mutex::new(Vec::new());
    let mounts = ["nobody/has".to_owned(), "team/base".to_owned()];
    let tell = |_: &_, how| told.lock().unwrap().push(how);
    let pushed = registries().push(&reference(&real, "team/app:1"), &outgoing, &mounts, &tell).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent, pushed.sent_bytes), (3, 0, 0));
    assert_eq!(told.into_inner().unwrap(), [BlobPushed::Mounted; 3]);
    assert_eq!(pull(&reference(&real, "team/app:1"), &registries()).await.unwrap(), image.digest.to_string());
    // Where nobody has it, it is sent.
    let pushed = push_from(&outgoing, &reference(&real, "other/app:1"), &["nobody/has"]).await.unwrap();
    assert_eq!((pushed.mounted, pushed.sent), (0, 3));
}

#[tokio::test]
async fn archives_are_pushed_with_the_digest_that_steps_know_them_by() {
    let Some(real) = Real::start("", "") else { return };
    if !has("skopeo") {
        return;
    }
    let (made, _) = Made::image("1", 1000);
    let file = made.dir.path().join("app.tar").display().to_string();
    let (from, to) = (format!("oci:{}:1", made.layout().display()), format!("docker-archive:{file}:app:1"));
    run("skopeo", &["--insecure-policy", "--override-arch=amd64", "copy", &from, &to]);
    let known = find(&format!("docker-archive:{file}"), "linux/amd64").await.unwrap();
    for (tag, source) in [("1", format!("docker-archive:{file}")), ("2", to)] {
        let pushed =
            push_from(&open(&source).await.unwrap(), &reference(&real, &format!("app:{tag}")), &[]).await;
        assert_eq!(pushed.unwrap().digest, known.manifest_digest, "{source}");
    }
    assert_eq!(
        pull(&reference(&real, "app:2"), &registries()).await.unwrap(),
        known.manifest_digest.to_string()
    );
    let error = open(&format!("docker-archive:{file}:other:1")).await.unwrap_err();
    assert!(chain(&error).contains("no single image other:1; it has"), "{error}");
}

/// An index of images for two platforms in a layout, by its digest.
fn index(made: &Made) -> Digest {
    let entry = |platform: &str, text: &str| {
        let layer = made.layer(&[("etc/os", b"test"), ("for", text.as_bytes())], Compression::Gzip);
        let image = made.add(platform, &[layer], None);
        let (os, architecture) = platform.split_once('/').unwrap();
        serde_json::json!({ "mediaType": image.media_type, "digest": image.digest, "size": image.manifest.len(),
            "platform": { "os": os, "architecture": architecture } })
    };
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry("linux/amd64", "a"), entry("linux/arm64", "b")] });
    let bytes = serde_json::to_vec(&index).unwrap();
    let digest = Digest::of(&bytes);
    std::fs::write(made.layout().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    digest
}

#[tokio::test]
async fn an_index_is_pushed_with_all_of_its_images() {
    let Some(real) = Real::start("", "") else { return };
    let made = Made::new();
    let digest = index(&made);
    let image = open(&format!("oci-layout:{}@{digest}", made.layout().display())).await.unwrap();
    let to = reference(&real, "team/app:1");
    assert_eq!(push_from(&image, &to, &[]).await.unwrap().digest, digest);
    pull(&to, &registries()).await.unwrap();
    let other =
        resolve(&Reference::Registry(to), &"linux/arm64".parse().unwrap(), &registries()).await.unwrap();
    assert_eq!(other.config.platform.architecture, "arm64");
    let as_digest = reference(&real, &format!("team/other@{digest}"));
    assert_eq!(push_from(&image, &as_digest, &[]).await.unwrap().digest, digest);
    pull(&as_digest, &registries()).await.unwrap();
}

#[tokio::test]
async fn what_is_damaged_here_is_not_sent() {
    let Some(real) = Real::start("", "") else { return };
    let (made, image) = Made::image("1", 1000);
    let to = reference(&real, "team/app:1");
    let file = &image.blobs[2].1;
    let whole = std::fs::read(file).unwrap();
    for bytes in [&whole[..whole.len() - 1], &[&whole[..], b"more"].concat(), b""] {
        std::fs::write(file, bytes).unwrap();
        let outgoing = open(&format!("oci-layout:{}", made.layout().display())).await.unwrap();
        let error = push_from(&outgoing, &to, &[]).await.unwrap_err();
        assert!(matches!(error, ImageError::Damaged { what: "blob", .. }), "{error:?}");
    }
    std::fs::remove_file(file).unwrap();
    let outgoing = open(&format!("oci-layout:{}", made.layout().display())).await.unwrap();
    assert!(matches!(push_from(&outgoing, &to, &[]).await, Err(ImageError::Io { .. })));
    let error = pull(&to, &registries()).await.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::NotFound { .. }), "{error:?}");
    let elsewhere = reference(&real, &format!("team/app@{}", Digest::of(b"other")));
    std::fs::write(file, whole).unwrap();
    let error = push_from(&outgoing, &elsewhere, &[]).await.unwrap_err();
    assert!(chain(&error).contains("it is to be pushed as sha256:"), "{error:?}");
}

#[tokio::test]
async fn failures_that_may_pass_are_got_over() {
    let Some(real) = Real::start("", "") else { return };
    let (_made, image) = Made::image("1", 3 << 20);
    let counts = [(); 4].map(|()| AtomicUsize::new(0));
    let proxy = Proxy::new(&real.address, move |first| {
        let nth = |kind: usize| counts[kind].fetch_add(1, Ordering::Relaxed) + 1;
        match first.split(' ').next().unwrap() {
            "HEAD" if nth(0) == 1 => Way::Answer(429, "Retry-After: 0"),
            "POST" if nth(1) <= 2 => Way::Answer(503, "X: y"),
            "PUT" if first.contains("/manifests/") && nth(3) == 1 => Way::Answer(500, "X: y"),
            "PUT" if first.contains("/blobs/") && nth(2) == 3 => Way::Cut(1 << 20),
            _ => Way::Through,
        }
    });
    let to = at(&proxy.address, "team/app:1");
    let pushed = push(&Registries::new(quick()).unwrap(), &to, &image).await.unwrap();
    assert_eq!((pushed.digest, pushed.sent), (image.digest, 3));
    assert_eq!(pull(&reference(&real, "team/app:1"), &registries()).await.unwrap(), image.digest.to_string());
}

#[tokio::test]
async fn a_registry_that_stays_bad_is_given_up() {
    let Some(real) = Real::start("", "") else { return };
    let (_made, image) = Made::image("1", 1000);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let proxy = Proxy::new(&real.address, move |first| {
        let is_upload = first.starts_with("POST");
        if is_upload {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        if is_upload { Way::Answer(502, "X: y") } else { Way::Through }
    });
    let error = push(&Registries::new(quick()).unwrap(), &at(&proxy.address, "team/app:1"), &image).await;
    let error = error.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Status { status: 502, .. }), "{error:?}");
    assert!(chain(&error).contains("upload of blob sha256:"), "{}", chain(&error));
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    for (status, is) in [(403, "denied"), (404, "not found"), (401, "wants a login")] {
        let proxy = Proxy::new(&real.address, move |first| match first.starts_with("POST") {
            true => Way::Answer(status, "X: y"),
            false => Way::Through,
        });
        let error = push(&Registries::new(quick()).unwrap(), &at(&proxy.address, "team/app:1"), &image).await;
        assert!(chain(&error.unwrap_err()).contains(is), "{status}");
    }
}

/// Longer than an answer may take, and with an answer at its end.
#[tokio::test]
async fn a_slow_upload_is_waited_for_and_one_that_stands_still_is_not() {
    let Some(real) = Real::start("", "") else { return };
    let (_made, image) = Made::image("1", 16 << 20);
    let slow =
        Proxy::new(&real.address, |first| match first.starts_with("PUT") && first.contains("/blobs/") {
            true => Way::Slow(256 << 10, Duration::from_millis(60)),
            false => Way::Through,
        });
    let options = RegistryOptions { read_timeout: Duration::from_secs(2), retries: 0, ..quick() };
    let registries = Registries::new(options).unwrap();
    let pushed = push(&registries, &at(&slow.address, "team/app:1"), &image).await.unwrap();
    assert_eq!(pushed.sent, 3);

    // Small ones would be taken by the buffers on the way.
    let still = Proxy::new(&real.address, |head| match head.starts_with("PUT") && length(head) > 1 << 20 {
        true => Way::Stall(1 << 10),
        false => Way::Through,
    });
    let (_made, image) = Made::image("1", 48 << 20);
    let error = push(&registries, &at(&still.address, "team/large:1"), &image).await.unwrap_err();
    assert!(matches!(problem(&error), RegistryProblem::Stalled { .. }), "{error:?}");
    assert!(chain(&error).contains("nothing happened for"), "{}", chain(&error));
}

/// The scope of a token names the repositories that blobs may be taken from.
#[tokio::test]
async fn a_token_is_asked_for_with_all_that_a_push_needs() {
    let (made, image) = Made::image("1", 100);
    let address = Arc::new(OnceLock::new());
    let known = Arc::clone(&address);
    let stub = Stub::new(&made.layout(), move |request, _| {
        if request.path.starts_with("/token") {
            return Fault::Answer(200, Vec::new(), br#"{"token":"t"}"#.to_vec());
        }
        let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, known.get().unwrap());
        match request.headers.contains_key("authorization") {
            true => Fault::status(403),
            false => Fault::Answer(401, vec![("WWW-Authenticate", realm)], Vec::new()),
        }
    });
    address.set(stub.address).unwrap();
    let users = [(stub.address.to_string(), ("user".to_owned(), "secret".to_owned()))].into();
    let options = RegistryOptions { credentials: Credentials::Fixed(users), ..quick() };
    let mounts = ["team/base".to_owned(), "team/app".to_owned()];
    let to = at(&stub.address, "team/app:1");
    let pushed =
        Registries::new(options).unwrap().push(&to, &Outgoing::from(&image), &mounts, &|_, _| ()).await;
    assert!(matches!(problem(&pushed.unwrap_err()), RegistryProblem::Forbidden { .. }));
    let asked = stub.requests().into_iter().find(|request| request.path.starts_with("/token")).unwrap();
    let scopes: Vec<&str> = asked.path.split(['?', '&']).filter(|part| part.starts_with("scope=")).collect();
    let expected = ["scope=repository%3Ateam%2Fapp%3Apull%2Cpush", "scope=repository%3Ateam%2Fbase%3Apull"];
    assert_eq!(scopes, expected);
}
