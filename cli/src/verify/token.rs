//! What two pieces of text that should be the same say about why they are not.

/// Why two executions of one step give different bytes, as far as the bytes say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A time of day, a date, or seconds since the Unix epoch.
    Time,
    /// The same lines in another order.
    Order,
    /// The same lines, ended in another way.
    LineEnds,
    /// Hexadecimal digits or a UUID.
    Random,
    /// Another number.
    Number,
    /// None of these.
    Unknown,
}

impl Cause {
    /// For programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Order => "order",
            Self::LineEnds => "line_ends",
            Self::Random => "random",
            Self::Number => "number",
            Self::Unknown => "unknown",
        }
    }

    /// For people; nothing where nothing is known.
    pub(crate) const fn sentence(self) -> Option<&'static str> {
        match self {
            Self::Time => Some(
                "a time: leave it out, or take it from SOURCE_DATE_EPOCH (`source_date_epoch` of the pipeline)",
            ),
            Self::Order => Some("the same lines in another order: sort them"),
            Self::LineEnds => {
                Some("only the ends of lines: with or without one at the end, or CRLF against LF")
            }
            Self::Random => {
                Some("random or hashed: an identifier, a temporary name, a checksum of something else")
            }
            Self::Number => Some("a number: a process id, a port, a counter, how long something took"),
            Self::Unknown => None,
        }
    }
}

/// When the two executions were, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// Clocks and what is rounded to days.
const SLACK_MS: u64 = 86_400_000;

impl Window {
    /// Whether digits are a time in it, in seconds or a thousandth, millionth or billionth of them.
    fn has(self, digits: &str) -> bool {
        let Ok(number) = digits.parse::<u128>() else { return false };
        let (from, to) = (self.from_ms.saturating_sub(SLACK_MS).into(), u128::from(self.to_ms + SLACK_MS));
        let ms = match digits.len() {
            10 => number * 1000,
            13 => number,
            16 => number / 1000,
            19 => number / 1_000_000,
            _ => return false,
        };
        (from..=to).contains(&ms)
    }
}

/// Looks at what differs in two lines.
pub(crate) fn cause(first: &str, second: &str, window: Window) -> Cause {
    let (first, second) = differing(first, second);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let both = |test: &dyn Fn(&str) -> bool| test(first) && test(second);
    if both(&|text| digits(text) && window.has(text))
        || times(first) != times(second) && both(&|text| !times(text).is_empty())
    {
        Cause::Time
    } else if both(&|text| is_number(text)) {
        Cause::Number
    } else if first.len() == second.len() && both(&|text| is_random(text)) {
        Cause::Random
    } else {
        Cause::Unknown
    }
}

/// The words around what differs.
fn differing<'a>(first: &'a str, second: &'a str) -> (&'a str, &'a str) {
    let is_word = |char: char| char.is_ascii_alphanumeric() || ":-.+_".contains(char);
    let same = first.chars().zip(second.chars()).take_while(|(a, b)| a == b);
    let prefix: usize = same.map(|(char, _)| char.len_utf8()).sum();
    let start = first[..prefix].rfind(|char| !is_word(char)).map_or(0, |at| at + 1);
    // The separator may be longer than one byte.
    let start = (start..=prefix).find(|at| first.is_char_boundary(*at)).unwrap_or(prefix);
    let (first, second) = (&first[start..], &second[start..]);
    let (a, b) = (first.chars().rev(), second.chars().rev());
    let suffix: usize = a.zip(b).take_while(|(a, b)| a == b).map(|(char, _)| char.len_utf8()).sum();
    let suffix = suffix.min(first.len() - (prefix - start)).min(second.len() - (prefix - start));
    let end = |text: &'a str| {
        let from =
            (text.len() - suffix..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        let rest = text[from..].find(|char| !is_word(char)).unwrap_or(text.len() - from);
        &text[..from + rest]
    };
    (end(first), end(second))
}

/// `13:45`, `2026-11-26`, and what has one of them in it. Those that are the same on both sides do not tell two texts apart.
fn times(text: &str) -> Vec<&str> {
    let is_time = |word: &&str| {
        let shape: String = word.chars().map(|char| if char.is_ascii_digit() { '9' } else { char }).collect();
        shape.contains("99:99") || shape.contains("9999-99-99")
    };
    text.split(|char: char| !char.is_ascii_digit() && !":-.+".contains(char)).filter(is_time).collect()
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'))
}

/// Eight or more hexadecimal digits, dashes aside.
fn is_random(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    digits.clone().count() >= 8 && digits.clone().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { from_ms: 1_790_000_000_000, to_ms: 1_790_000_003_000 };

    #[test]
    fn times_numbers_and_random_words_are_told_apart() {
        for (first, second, wanted) in [
            ("built at 13:45:10 here", "built at 13:45:12 here", Cause::Time),
            ("x-2026-11-26T10:00:59Z", "x-2026-11-26T10:01:01Z", Cause::Time),
            ("{\"at\": 1790000001}", "{\"at\": 1790000003}", Cause::Time),
            ("at=1790000001123", "at=1790000003456", Cause::Time),
            ("{\"b\": 1, \"at\": \"2025-03-15\"}", "{\"at\": \"2025-03-15\", \"b\": 1}", Cause::Unknown),
            ("n: 1500000001", "n: 1500000003", Cause::Number),
            ("pid 4711 of 9", "pid 4712 of 9", Cause::Number),
            ("took 1.5 s", "took 12.25 s", Cause::Number),
            ("id=6f1c9a2e77", "id=0b44de0011", Cause::Random),
            ("0a1b2c3d-0000-4abc-8def-001122334455", "ffeeddcc-0000-4abc-8def-001122334455", Cause::Random),
            ("/tmp/tmp.Xy81", "/tmp/tmp.Qw02", Cause::Unknown),
            ("ä→b", "ä→c", Cause::Unknown),
            ("äö", "äü", Cause::Unknown),
            ("", "something", Cause::Unknown),
            ("aa", "aaa", Cause::Unknown),
        ] {
            assert_eq!(cause(first, second, WINDOW), wanted, "{first} {second}");
            assert_eq!(cause(second, first, WINDOW), wanted, "{second} {first}");
        }
    }
}
