//! Whatever the file is, there is an answer and no panic.

use cullet_pipeline::load;
use proptest::prelude::*;

const SEED: &str = include_str!("../../../docs/pipeline.md");

/// The longest example of the documentation.
fn example() -> &'static str {
    SEED.rsplit("```yaml\n").next().and_then(|rest| rest.split("```").next()).unwrap_or_default()
}

fn answer(text: &str) {
    match load("f", text) {
        Ok(pipeline) => {
            assert_eq!(pipeline.warnings().render(false).is_empty(), pipeline.warnings().is_empty());
            if let Err(problems) = pipeline.plan(&[], &[]) {
                assert!(!problems.render(false).is_empty());
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(!problems.render(true).is_empty());
            assert!(problems.list().is_sorted_by_key(|problem| problem.span));
        }
    }
}

/// What tends to matter.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,6}",
        "\\PC{0,3}",
        prop::sample::select(vec![
            "\n",
            "  ",
            ": ",
            "- ",
            "{",
            "}",
            "[",
            "]",
            "\"",
            "'",
            "|",
            ">",
            "&a ",
            "*a",
            "!!str ",
            "#",
            "\t",
            "\r\n",
            "${{",
            "}}",
            "$${{ ",
            "params.",
            "matrix.",
            "==",
            "&&",
            "(",
            "..",
            "/",
            "~",
            "0",
            "build.bin",
            "test[",
            "shard=",
            "---\n",
            "? ",
            ",",
            "\u{feff}",
            "\0",
            "\u{85}",
            "é",
        ])
        .prop_map(str::to_owned),
    ]
}

fn mutated() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0_usize..12, piece());
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        let mut text: Vec<char> = example().chars().collect();
        for (index, length, piece) in changes {
            let start = index.index(text.len() + 1);
            let end = (start + length).min(text.len());
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,200}") {
        answer(&text);
    }

    #[test]
    fn any_pieces_have_an_answer(pieces in prop::collection::vec(piece(), 0..40)) {
        answer(&format!("cullet: 1\nsteps:\n  a:\n    run: {}", pieces.concat()));
        answer(&pieces.concat());
    }

    #[test]
    fn a_damaged_pipeline_has_an_answer(text in mutated()) {
        answer(&text);
    }
}

#[test]
fn the_example_is_whole() {
    assert!(example().starts_with("cullet: 1"));
    assert!(load("f", example()).is_ok());
}
