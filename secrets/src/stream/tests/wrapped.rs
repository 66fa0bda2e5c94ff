//! Encodings that are broken into lines, with a value anywhere in them.

use base64::engine::general_purpose::URL_SAFE;

use super::*;
use crate::Search;

/// What was printed: lines of an encoding, and which part of it nobody may see.
#[derive(Debug)]
struct Printed {
    text: String,
    secret: std::ops::Range<usize>,
}

/// Breaks `digits` into lines; `secret` is a part of them.
fn broken(digits: &str, secret: std::ops::Range<usize>, width: usize, line_end: &str) -> Printed {
    let (mut text, mut places) = (String::new(), Vec::new());
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && at % width == 0 {
            text.push_str(line_end);
        }
        places.push(text.len());
        text.push(digit);
    }
    // What is last could be the beginning of the value by chance, and would be masked as that.
    text.push_str("\n.\n");
    let secret = places[secret.start]..places[secret.end - 1] + 1;
    Printed { text, secret }
}

/// base64 of a value with something around it. A character that has bits of both may stay.
fn base64(before: &str, value: &str, after: &str, width: usize, line_end: &str) -> [Printed; 2] {
    let whole = [before, value, after].concat();
    let secret = (before.len() * 8).div_ceil(6)..(before.len() + value.len()) * 8 / 6;
    [STANDARD.encode(&whole), URL_SAFE.encode(&whole)]
        .map(|digits| broken(&digits, secret.clone(), width, line_end))
}

fn assert_masked(masker: &Masker, printed: &Printed, sizes: &[usize]) {
    let Printed { text, secret } = printed;
    let found = String::from_utf8(masked(masker, text.as_bytes(), sizes)).unwrap();
    let (before, after) = found.split_once("***").unwrap_or_else(|| panic!("{printed:?}: {found}"));
    // Of what belongs to the value nothing is left; at most the characters beside it and padding go as well.
    let fits = text[..secret.start].starts_with(before) && secret.start - before.len() <= 2;
    let room = text.len() - secret.end - after.len().min(text.len() - secret.end);
    assert!(fits && text[secret.end..].ends_with(after) && room <= 4, "{printed:?}: {found}");
}

#[test]
fn values_that_real_programs_encode_are_masked_across_lines() {
    let token = "ghs_R7vQm2Zx9LkTn4WcYb8HsJd1FgUoPe6AiBq3XtCyVw5KjMrSaNhGzEfDlIuOx0PvQ7mZ2xL9kT4nWcY8bHs1JdF0123456789";
    assert!(token.len() >= 94, "its encoding has several lines");
    let masker = masker(&[token.as_bytes()]);
    for width in [64, 76] {
        for end in ["\n", "\r\n", "\n      "] {
            for (before, after) in [("x-access-token:", ""), ("", "\n"), ("", ""), ("user:", "\r\n")] {
                for printed in base64(before, token, after, width, end) {
                    assert_masked(&masker, &printed, &[4096]);
                    assert_masked(&masker, &printed, &[1]);
                }
            }
        }
    }
    // `xxd -p` and `od` of something that has it.
    let digits = crate::forms::hex(format!("token: {token}\n").as_bytes());
    for width in [32, 60] {
        assert_masked(&masker, &broken(&digits, 14..14 + 2 * token.len(), width, "\n"), &[7]);
    }
}

#[test]
fn the_end_of_a_line_of_words_is_not_held_back() {
    // Whose encodings begin with what lines end with: `d` is the first character of `v`.
    let masker = masker(&[b"visible-value-0123456789"]);
    let mut stream = MaskedStream::default();
    let mut out = Vec::new();
    stream.feed(&masker, b"compiled and linked d\n", &mut |bytes| out.extend_from_slice(bytes));
    assert_eq!(out, b"compiled and linked d\n");
}

#[test]
fn breaks_do_not_make_the_beginning_of_a_value_longer() {
    let value = "'aaaa0aaa!a!AAA!Aa0A0A000aAAAAA!!0!A00a!aa0!!A!00a!aAA0!aAaa!!aA!AaaA";
    let masker = masker(&[value.as_bytes()]);
    let line = "0".repeat(60);
    // `276` and `2761` may be the first digits of the quotation mark and of what follows.
    for (last, expected) in [("276\n", "276\n"), ("27\r\n    ", "27\r\n    "), ("2761\n", "***")] {
        let found = masked(&masker, format!("{line}{last}").as_bytes(), &[7]);
        assert_eq!(String::from_utf8(found).unwrap(), format!("{line}{expected}"));
    }
}

proptest! {
    #[test]
    fn values_are_masked_and_found_wherever_lines_are_broken(
        value in "[!-~]{14,120}",
        before in "[a-z0-9:\" {}\n]{0,100}",
        after in "[a-z0-9:\" {}\n]{0,100}",
        width in prop::sample::select(vec![60_usize, 64, 72, 76]),
        line_end in prop::sample::select(vec!["\n", "\r\n", "\n  "]),
        sizes in prop::collection::vec(1_usize..200, 1..5),
    ) {
        let masker = masker(&[value.as_bytes()]);
        let secret = SecretValue::new(value.clone().into_bytes()).unwrap();
        let search = Search::new([("TOKEN", &secret)]).unwrap();
        let [standard, safe] = base64(&before, &value, &after, width, line_end);
        let digits = crate::forms::hex([before.as_str(), &value, &after].concat().as_bytes());
        let hex = 2 * before.len()..2 * (before.len() + value.len());
        for printed in [standard, safe, broken(&digits, hex, width, line_end)] {
            assert_masked(&masker, &printed, &sizes);
            prop_assert_eq!(search.bytes(printed.text.as_bytes()), Some("TOKEN"));
            prop_assert_eq!(search.read(Slow(printed.text.as_bytes(), sizes[0])).unwrap(), Some("TOKEN"));
        }
    }
}

/// Gives a few bytes at a time.
struct Slow<'a>(&'a [u8], usize);

impl std::io::Read for Slow<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len());
        self.0.split_at(count).0.read_exact(&mut buffer[..count])?;
        self.0 = &self.0[count..];
        Ok(count)
    }
}
