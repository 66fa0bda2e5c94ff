use std::collections::HashMap;

use super::*;

const PIPELINE: &str =
    "cullet: 1\nname: p\nsources: { src: . }\nsteps:\n  a: { run: make, inputs: { .: src } }\n";

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn wire() -> v1::SubmitRequest {
    let root = cullet_cache::v1::digest_to_wire(&DigestFunction::Blake3.digest(b"root"));
    v1::SubmitRequest {
        request_id: "1".to_owned(),
        priority: -7,
        pipeline: PIPELINE.as_bytes().into(),
        params: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into(),
        sources: [("src".to_owned(), root)].into(),
        images: [("a/b:1".to_owned(), DIGEST.to_owned())].into(),
        ..v1::SubmitRequest::default()
    }
}

#[test]
fn a_submission_survives_being_stored() {
    let request = Request::from_wire(v1::SubmitRequest { scope: "branch/x".to_owned(), ..wire() }).unwrap();
    assert_eq!(request.scope, Scope::Branch("x".to_owned()));
    assert_eq!((&*request.tenant, &*request.file, request.priority), ("default", "cullet.yaml", -7));
    let machine = Machine::here(DigestFunction::Blake3, "f".to_owned(), Some("plain".to_owned()));
    let submitted = Submitted { request, machine, audit: None };
    assert_eq!(Submitted::decode(&submitted.encode()).unwrap(), submitted);
}

const STEPS: &str = "cullet: 1\nname: p\nsources: { src: . }\nsteps:\n  \
    a: { run: x, inputs: { .: src }, outputs: { o: o } }\n  \
    b: { run: y, inputs: { l: a.o, r: src }, needs: [a], outputs: { o: o } }\n  \
    online: { run: x, network: full }\n  \
    acting: { run: x, effects: true }\n  \
    knowing: { run: x, secrets: { T: env } }\n";

#[test]
fn of_a_submission_one_step_can_be_left_with_what_it_had() {
    let request = Request::from_wire(v1::SubmitRequest { pipeline: STEPS.into(), ..wire() }).unwrap();
    let request = Request { params: Vec::new(), ..request };
    let machine = Machine::here(DigestFunction::Blake3, "f".to_owned(), None);
    let whole = Submitted { request, machine, audit: None };
    let tree = |text: &str| TreeRef::Directory(DigestFunction::Blake3.digest(text.as_bytes()));
    let divided = |submitted: &Submitted| {
        let plan = submitted.request.plan().unwrap();
        submitted.divide(plan, |_, _| Ok::<_, std::convert::Infallible>(tree("src"))).unwrap()
    };
    let all = divided(&whole);
    let named = |name: &str| all.spec.steps.iter().position(|step| &*step.name == name).unwrap();
    let audited: Vec<bool> = ["a", "b", "online", "acting", "knowing"]
        .into_iter()
        .map(|name| all.templates.may_be_audited(named(name) as u32))
        .collect();
    assert_eq!(audited, [true, true, false, false, false]);
    let audit = Audit { step: "b".to_owned(), inputs: vec![tree("l"), tree("r")] };
    let request = Request { scope: Audit::scope(), ..whole.request.clone() };
    let one = Submitted { request, audit: Some(audit), ..whole.clone() };
    let stored = Submitted::decode(&one.encode()).unwrap();
    assert_eq!(stored, one, "whoever leads next makes the same of it");
    let Submission { spec, templates } = divided(&stored);
    let [step] = &spec.steps[..] else { panic!("not one step") };
    assert_eq!((&*step.name, step.command), ("b", all.spec.steps[named("b")].command), "its key is the same");
    assert!(step.bypass_cache && step.after.is_empty() && spec.deliver.is_empty());
    let sources: Vec<_> = step.inputs.iter().map(|input| input.source.clone()).collect();
    let expected = [tree("l"), tree("r")].map(|tree| cullet_core::spec::InputSource::Tree(tree.into()));
    assert_eq!(sources, expected);
    assert_eq!(templates.command(0, DigestFunction::Blake3), Some(step.command));
    // Another version may make something else of the pipeline.
    let other = Audit { step: "b".to_owned(), inputs: vec![tree("l")] };
    assert!(divided(&Submitted { audit: Some(other), ..whole }).spec.steps.is_empty());
}

#[test]
fn a_repetition_is_the_same_run_and_nothing_else_is() {
    let run = |change: fn(&mut v1::SubmitRequest)| {
        let mut wire = wire();
        change(&mut wire);
        Request::from_wire(wire).unwrap().run_id()
    };
    assert_eq!(run(|_| {}), run(|wire| wire.priority = 3));
    assert_ne!(run(|_| {}), run(|wire| wire.request_id = "2".to_owned()));
    assert_ne!(run(|_| {}), run(|wire| wire.tenant = "t".to_owned()));
    assert_eq!(run(|_| {}), run(|wire| wire.scope = "protected".to_owned()));
    assert_ne!(run(|_| {}), run(|wire| wire.scope = "branch/x".to_owned()));
}

#[test]
fn what_is_wrong_is_said() {
    let refused = |change: fn(&mut v1::SubmitRequest)| {
        let mut wire = wire();
        change(&mut wire);
        Request::from_wire(wire).and_then(|request| request.plan()).unwrap_err().to_string()
    };
    let no_scope = refused(|wire| wire.scope = "main".to_owned());
    assert!(refused(|wire| wire.scope = "quarantine/ada".to_owned()).contains("without the cluster"));
    assert!(no_scope.starts_with("'main' is no scope: use protected, branch/NAME"), "{no_scope}");
    assert_eq!(refused(|wire| wire.priority = 101), "the priority 101 is not between -100 and 100");
    for tenant in ["a\nb", "\0", "a\u{9b}"] {
        let wire = v1::SubmitRequest { tenant: tenant.to_owned(), ..wire() };
        let refused = Request::from_wire(wire).unwrap_err().to_string();
        assert!(refused.starts_with("the tenant's name has control characters"), "{tenant:?}: {refused}");
    }
    assert_eq!(
        refused(|wire| wire.request_id = "x".repeat(129)),
        "the request id has 129 bytes, more than the 128 that it may have"
    );
    assert!(refused(|wire| wire.pipeline = b"cullet: 2".as_slice().into()).contains("cullet.yaml:1:"));
    assert_eq!(refused(|wire| wire.pipeline = b"\xff".as_slice().into()), "the pipeline is not UTF-8");
    let short = |wire: &mut v1::SubmitRequest| {
        wire.sources.insert("x".to_owned(), v1::Digest { hash: "ab".to_owned(), size_bytes: 1 });
    };
    assert!(refused(short).starts_with("source 'x' has no usable digest"));
    let other = |wire: &mut v1::SubmitRequest| {
        wire.images.insert("a/b:1".to_owned(), "sha512:00".to_owned());
    };
    assert!(refused(other).starts_with("the image `a/b:1` has no usable digest"));
}

fn with_image(image: &str) -> Request {
    let pipeline = format!("cullet: 1\nsteps:\n  a: {{ run: make, image: '{image}' }}\n");
    let params = std::collections::HashMap::new();
    let wire = v1::SubmitRequest { pipeline: pipeline.into_bytes().into(), params, ..wire() };
    Request::from_wire(wire).unwrap()
}

#[test]
fn whoever_leads_later_makes_the_same_keys_of_images() {
    let machine = Machine::here(DigestFunction::Blake3, "f".to_owned(), None);
    let submitted = Submitted { request: with_image("a/b:1"), machine, audit: None };
    let platform = |submitted: &Submitted| {
        let templates = submitted.templates().unwrap();
        crate::template::Templates::template(&templates, 0).platform
    };
    let later = Submitted::decode(&submitted.encode()).unwrap();
    assert_eq!(platform(&later), platform(&submitted));
    assert!(platform(&later).contains(&("image".to_owned(), DIGEST.to_owned())));
}

#[test]
fn an_image_without_a_digest_is_refused_and_so_is_one_of_the_clients_files() {
    let refused = with_image("a/b:2").plan().unwrap_err().to_string();
    assert_eq!(refused, "step `a`: the image `a/b:2` was not resolved to a digest");
    let request = with_image("a/b:1");
    request.refuse_local_images(&request.plan().unwrap()).unwrap();
    for local in ["oci-layout:app:1", "docker-archive:app.tar"] {
        let mut request = with_image(local);
        request.images = Images::of([(local.to_owned(), DIGEST.to_owned())]).unwrap();
        let refused = request.refuse_local_images(&request.plan().unwrap()).unwrap_err().to_string();
        let said = format!("cullet.yaml:3: step `a`: the image `{local}` is on the client's machine");
        assert!(refused.starts_with(&said), "{refused}");
    }
}

#[test]
fn steps_in_images_ask_for_workers_that_run_them_whatever_is_installed_there() {
    let machine = Machine::here(DigestFunction::Blake3, "f".to_owned(), Some("plain".to_owned()));
    let submitted = Submitted { request: with_image("a/b:1"), machine, audit: None };
    let nowhere = TreeRef::Directory(DigestFunction::Blake3.digest(b""));
    let plan = submitted.request.plan().unwrap();
    let divided = submitted.divide(plan, |_, _| Ok::<_, std::convert::Infallible>(nowhere)).unwrap();
    let asked = divided.spec.required(&divided.spec.steps[0]);
    let has = |name: &str, value: &str| asked.iter().any(|(a, b)| (&**a, &**b) == (name, value));
    assert!(has("images", "oci") && has("executor", "sandbox"), "{asked:?}");
    assert!(!asked.iter().any(|(name, _)| &**name == "image"), "{asked:?}");
    assert_eq!(&*divided.spec.scope, "protected", "unless it is said");
    // The key is that of any other sandbox.
    let template = crate::template::Templates::template(&divided.templates, 0);
    assert!(!template.platform.iter().any(|(name, _)| name == "executor"), "{:?}", template.platform);
}

#[test]
fn secrets_are_taken_and_identities_of_them_are_not() {
    let plan = |definition: &str| {
        let text = format!("cullet: 1\nsteps:\n  a: {{ run: make, secrets: {{ T: {definition} }} }}\n");
        let pipeline = text.into_bytes().into();
        let wire = v1::SubmitRequest { pipeline, params: HashMap::new(), ..wire() };
        Request::from_wire(wire).and_then(|request| request.plan())
    };
    assert_eq!(plan("env").unwrap().steps[0].settings.secrets.len(), 1);
    let refused = plan("{ env: T, identity: true }").unwrap_err().to_string();
    assert!(
        refused.contains("cullet.yaml:3:30: `identity` of the secret `T` cannot be used on a cluster"),
        "{refused}"
    );
}
