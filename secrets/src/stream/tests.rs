use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;
use crate::SecretValue;

fn masker(values: &[&[u8]]) -> Masker {
    let values: Vec<SecretValue> =
        values.iter().map(|value| SecretValue::new(value.to_vec()).unwrap()).collect();
    Masker::new(&values).unwrap()
}

/// What comes out of pieces of these sizes, over and over.
fn masked(masker: &Masker, text: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut out, mut stream, mut rest) = (Vec::new(), MaskedStream::default(), text);
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((*sizes.next().unwrap()).clamp(1, rest.len()));
        stream.feed(masker, piece, &mut |bytes| out.extend_from_slice(bytes));
        assert!(stream.held.len() < crate::mask::PIECE);
        rest = behind;
    }
    stream.finish(masker, &mut |bytes| out.extend_from_slice(bytes));
    out
}

#[test]
fn every_form_is_masked_wherever_it_is_cut() {
    let secret = b"p@ss/w\"rd'<\xc3\xa9+?>";
    let masker = masker(&[secret]);
    let forms = [
        STANDARD.encode(secret),
        STANDARD.encode([b"user:".as_slice(), secret].concat()),
        STANDARD.encode([b"a:".as_slice(), secret, b"\n"].concat()),
        URL_SAFE_NO_PAD.encode([b"abc".as_slice(), secret].concat()),
        "p%40ss%2Fw%22rd%27%3C%C3%A9%2B%3F%3E".to_owned(),
        "p%40ss%2fw%22rd'%3c%c3%a9%2b%3f%3e".to_owned(),
        r#"p@ss/w\"rd'<é+?>"#.to_owned(),
        r#"p@ss/w\"rd'<\u00e9+?>"#.to_owned(),
        r#"p@ss/w\"rd'\u003cé+?\u003e"#.to_owned(),
        crate::forms::hex(secret),
        crate::forms::hex(secret).to_uppercase(),
        String::from_utf8(secret.to_vec()).unwrap(),
        r#"p@ss/w"rd'\''<é+?>"#.to_owned(),
    ];
    for form in &forms {
        let text = format!("before {form} after");
        for size in 1..text.len() {
            let found = masked(&masker, text.as_bytes(), &[size]);
            let found = String::from_utf8_lossy(&found);
            // Characters of base64 that have bits of what is around may be left.
            let left = found.len() - "before *** after".len();
            assert!(found.contains("***") && left <= 12, "{form} by {size}: {found}");
            let longest = found.split("***").map(str::len).max().unwrap_or_default();
            assert!(longest <= "before ".len() + 8, "{form} by {size}: {found}");
        }
    }
}

#[test]
fn lines_of_a_value_are_masked_and_braces_are_not() {
    let key = "{\n  \"private_key\": \"abcdefgh\",\n  \"id\": 1\n}\n";
    let masker = masker(&[key.as_bytes()]);
    let text = "{ }\n  \"private_key\": \"abcdefgh\",\n1";
    let found = masked(&masker, text.as_bytes(), &[7]);
    assert_eq!(String::from_utf8_lossy(&found), "{ }\n  ***\n1");
}

#[test]
fn a_long_value_is_one_mask_and_base64_of_it_has_lines() {
    let value: Vec<u8> =
        (0..40_000_u32).map(|at| b"abcdefghijklmnopqrstuvwxyz0123456789"[(at * at % 36) as usize]).collect();
    let masker = masker(&[&value]);
    let text = [b"<".as_slice(), &value, b">"].concat();
    for size in [1000, 4096, 65_536] {
        assert_eq!(masked(&masker, &text, &[size]), b"<***>");
    }
    let base64 = STANDARD.encode(&value);
    for length in [64, 76] {
        let lines: Vec<&[u8]> = base64.as_bytes().chunks(length).collect();
        let found = masked(&masker, &lines.join(&b'\n'), &[4096]);
        let left: usize = found.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
        assert!(left < 8, "{left}");
    }
}

#[test]
fn nothing_is_held_back_that_cannot_be_a_value() {
    let masker = masker(&[b"secret-1", b"secret-12345"]);
    let mut stream = MaskedStream::default();
    let mut out = Vec::new();
    let mut give = |text: &[u8]| stream.feed(&masker, text, &mut |bytes| out.extend_from_slice(bytes));
    give(b"progress 10%\r");
    give(b"secret-1");
    give(b"x s");
    give(b"ecret-123");
    assert_eq!(out, b"progress 10%\r***x ");
    stream.finish(&masker, &mut |bytes| out.extend_from_slice(bytes));
    assert_eq!(out, b"progress 10%\r***x ***");
}

#[test]
fn overlapping_values_are_masked_to_the_last_byte() {
    let masker = masker(&[b"abcdefgh", b"efghijkl", b"ijklmnop"]);
    for size in 1..20 {
        assert_eq!(masked(&masker, b"-abcdefghijklmnop-", &[size]), b"-***-", "{size}");
    }
    assert_eq!(Masker::default().text("abcdefgh"), "abcdefgh");
    assert_eq!(masker.text("reason: 'abcdefgh' is missing"), "reason: '***' is missing");
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        values in prop::collection::vec("[ab]{4,9}", 1..4),
        text in "[ab-]{0,80}",
        sizes in prop::collection::vec(1_usize..9, 1..5),
    ) {
        let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
        let masker = masker(&values);
        let whole = masked(&masker, text.as_bytes(), &[text.len().max(1)]);
        prop_assert_eq!(&masked(&masker, text.as_bytes(), &sizes), &whole);
        for value in values {
            prop_assert!(!whole.windows(value.len()).any(|window| window == value));
        }
    }
}

#[test]
fn the_beginning_of_a_value_at_the_end_is_masked() {
    let masker = masker(&[b"ghp_0123456789"]);
    for (text, expected) in
        [("a ghp_01234567", "a ***"), ("a ghp_", "a ***"), ("a gh", "a gh"), ("ghp_0123456789gh", "***gh")]
    {
        for size in 1..10 {
            let found = masked(&masker, text.as_bytes(), &[size]);
            assert_eq!(String::from_utf8_lossy(&found), expected, "{text} by {size}");
        }
    }
}
