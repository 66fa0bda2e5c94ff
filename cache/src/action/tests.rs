use super::*;

fn action() -> Action {
    let output = |path: &str, globs, optional| OutputPath { path: path.to_owned(), globs, optional };
    Action {
        arguments: vec!["/bin/true".to_owned()],
        env: vec![("B".to_owned(), "2".to_owned()), ("A".to_owned(), "1".to_owned())],
        working_directory: String::new(),
        outputs: vec![output("out", false, false), output("*.xml", true, true)],
        input_root: DigestFunction::Blake3.digest(b""),
        platform: [(ENVIRONMENT, "1"), (IMAGE, HOST)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        timeout: Duration::from_millis(1500),
        do_not_cache: false,
        salt: Vec::new(),
        trees: false,
    }
}

#[test]
fn order_of_variables_and_outputs_is_not_part_of_the_key() {
    let (one, mut two) = (action(), action());
    two.env.reverse();
    two.outputs.reverse();
    assert_eq!(one.encode(DigestFunction::Blake3), two.encode(DigestFunction::Blake3));
}

#[test]
fn everything_else_is_part_of_the_key() {
    let key = |change: fn(&mut Action)| {
        let mut action = action();
        change(&mut action);
        action.encode(DigestFunction::Blake3).digest
    };
    let keys = [
        key(|_| ()),
        key(|action| action.arguments.push("x".to_owned())),
        key(|action| action.env[0].1.push('x')),
        key(|action| action.working_directory.push('x')),
        key(|action| action.outputs[0].path.push('x')),
        key(|action| action.outputs[0].globs = true),
        key(|action| action.outputs[1].optional = false),
        key(|action| action.input_root = DigestFunction::Blake3.digest(b"x")),
        key(|action| action.platform[1].1.push('x')),
        key(|action| action.timeout += Duration::from_nanos(1)),
        key(|action| action.do_not_cache = true),
        key(|action| action.salt.push(1)),
        key(|action| action.trees = true),
    ];
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
}

#[test]
fn layers_of_the_root_are_part_of_the_key_in_their_order() {
    let [one, two] = ["one", "two"].map(|text| DigestFunction::Blake3.digest(text.as_bytes()));
    let key = |layers: &[Digest]| {
        let mut action = action();
        action.set_root_layers(layers);
        let encoded = action.encode(DigestFunction::Blake3);
        let read = Action::decode(DigestFunction::Blake3, &encoded.action, &encoded.command).unwrap();
        assert_eq!(read.root_layers().unwrap(), layers);
        encoded.digest
    };
    assert_ne!(key(&[one, two]), key(&[two, one]));
    assert_eq!(key(&[]), action().encode(DigestFunction::Blake3).digest);
    let mut wrong = action();
    wrong.platform.push((ROOT_LAYERS.to_owned(), "x".to_owned()));
    assert!(matches!(wrong.root_layers(), Err(ActionError::Digest(_))));
    let mut leaves = action();
    assert!(!leaves.leaves_root());
    leaves.outputs.push(OutputPath { path: ROOT_OUTPUT.to_owned(), globs: false, optional: false });
    assert!(leaves.leaves_root());
}

#[test]
fn an_action_survives_its_stored_form() {
    let mut action = action();
    action.env.sort();
    action.outputs.sort();
    let encoded = action.encode(DigestFunction::Blake3);
    let decoded = Action::decode(DigestFunction::Blake3, &encoded.action, &encoded.command);
    assert_eq!(decoded.ok(), Some(action));
}
