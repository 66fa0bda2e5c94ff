//! Registries that refuse, are overloaded, fail or go away, as whoever runs a pipeline sees them.

use cullet_tests::{Checkout, User};

use super::images::{layers_of, nothing_half_made, unpacked};
use super::made::Image;
use super::stub::{Fault, Request, Stub};
use super::support::{expect, is_plain, skip};

/// What a registry does instead of answering, how the command ends, and what it says.
type Case = (fn() -> Fault, i32, &'static [&'static str]);

const REFUSALS: [Case; 3] = [
    (|| Fault::status(401), 2, &["it wants a login (401)", "cullet login"]),
    (|| Fault::status(403), 2, &["access is denied (403)", "ask for access"]),
    (|| Fault::status(404), 2, &["not found (404)", "check the name and the tag"]),
];

const FAILURES: [Case; 4] = [
    (
        || Fault::Answer(429, vec![("Retry-After", "3600".to_owned())], Vec::new()),
        3,
        &["it is overloaded (429): try again in 3600 seconds"],
    ),
    (|| Fault::status(429), 3, &["it is overloaded (429): try again later"]),
    (|| Fault::status(500), 3, &["it answered with status 500"]),
    (|| Fault::Cut(0), 3, &["127.0.0.1:"]),
];

/// Runs a step in an image of a registry that fails where `meant` is asked for, with the digests of the layers.
fn try_case((fault, code, words): Case, more: &[&str], meant: fn(&Request, &[String]) -> bool) {
    let (dir, user) = (tempfile::tempdir().unwrap(), User::new());
    let layout = dir.path().join("layout");
    let digest = Image::default().layout(&layout);
    let layers = layers_of(&layout, &digest);
    let stub = Stub::new(&layout, {
        let layers = layers.clone();
        move |request, _| if meant(request, &layers) { fault() } else { Fault::None }
    });
    let image = stub.reference(&format!("@{digest}"));
    let text = format!(
        "cullet: 1\nname: registries\nsteps:\n  inside: {{ image: '{image}', run: 'true' }}\n  outside: {{ run: 'echo ok' }}\n"
    );
    let checkout = Checkout::of_pipeline(&text);
    let place = format!("{}/team/app", stub.address);
    let words = [words, more, &[&*place]].concat();
    expect(&user.cullet(&checkout, ["run", "--keep-going", "--progress", "plain"]), code, &words);
    nothing_half_made(user.cache());
    assert_eq!(unpacked(user.cache()), 0);
    // Each of two layers is asked for six times at most in each of four attempts.
    let asked = stub.requests().iter().filter(|request| meant(request, &layers)).count();
    assert!((1..=48).contains(&asked), "{asked} requests");
}

/// Side by side: some are tried again for a while.
fn try_all(cases: impl Iterator<Item = Case>, more: &[&str], meant: fn(&Request, &[String]) -> bool) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(move || try_case(case, more, meant));
        }
    });
}

#[test]
fn what_an_image_is_cannot_be_found_out() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let more = ["cannot resolve the image", "manifest sha256:"];
    let is_manifest = |request: &Request, _: &[String]| request.path.contains("/manifests/");
    try_all(REFUSALS.into_iter().chain(FAILURES), &more, is_manifest);
}

#[test]
fn the_layers_of_an_image_cannot_be_had() {
    if is_plain() {
        return skip("the plain executor runs no steps in images");
    }
    let more = ["inside: failed", "the step's image cannot be had", "blob sha256:", "outside: succeeded"];
    let is_layer =
        |request: &Request, layers: &[String]| layers.iter().any(|layer| request.path.ends_with(&**layer));
    let cases = REFUSALS.into_iter().chain(FAILURES).map(|(fault, _, words)| (fault, 3, words));
    try_all(cases, &more, is_layer);
}
