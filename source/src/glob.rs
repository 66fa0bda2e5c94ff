//! One segment of a gitignore pattern: what lies between two slashes.
//!
//! Bytes, not characters, are matched, as git does, so that names that are not UTF-8 can be ignored too.

/// A compiled segment. The common shapes are told apart because every name of a tree is tried against every
/// rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Glob {
    Anything,
    Literal(Box<[u8]>),
    EndsWith(Box<[u8]>),
    StartsWith(Box<[u8]>),
    Wild(Box<[Token]>),
    /// An unterminated class or a trailing backslash: git matches nothing with it.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Byte(u8),
    AnyByte,
    AnyBytes,
    Class { negated: bool, ranges: Box<[(u8, u8)]> },
}

impl Glob {
    pub(crate) fn new(segment: &[u8]) -> Self {
        let Some(tokens) = tokenize(segment) else { return Self::Never };
        let literal = |tokens: &[Token]| -> Option<Box<[u8]>> {
            tokens
                .iter()
                .map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None })
                .collect()
        };
        match tokens.as_slice() {
            [Token::AnyBytes] => return Self::Anything,
            [Token::AnyBytes, rest @ ..] => {
                if let Some(end) = literal(rest) {
                    return Self::EndsWith(end);
                }
            }
            [rest @ .., Token::AnyBytes] => {
                if let Some(start) = literal(rest) {
                    return Self::StartsWith(start);
                }
            }
            all => {
                if let Some(name) = literal(all) {
                    return Self::Literal(name);
                }
            }
        }
        Self::Wild(tokens.into())
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::Literal(literal) => **literal == *name,
            Self::EndsWith(end) => name.ends_with(end),
            Self::StartsWith(start) => name.starts_with(start),
            Self::Wild(tokens) => matches_tokens(tokens, name),
            Self::Never => false,
        }
    }
}

/// Going back to the latest `*` only is enough within one segment, so the time is at most the product of the
/// two lengths, whatever the pattern.
fn matches_tokens(tokens: &[Token], name: &[u8]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star = None;
    loop {
        match (tokens.get(token), name.get(at)) {
            (None, None) => return true,
            (Some(Token::AnyBytes), _) => {
                star = Some((token + 1, at));
                token += 1;
                continue;
            }
            (Some(wanted), Some(&byte)) if wanted.matches(byte) => {
                token += 1;
                at += 1;
                continue;
            }
            _ => {}
        }
        match star {
            Some((after, from)) if from < name.len() => {
                star = Some((after, from + 1));
                token = after;
                at = from + 1;
            }
            _ => return false,
        }
    }
}

impl Token {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::Byte(wanted) => *wanted == byte,
            Self::AnyByte => true,
            Self::AnyBytes => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|&(first, last)| (first..=last).contains(&byte)) != *negated
            }
        }
    }
}

fn tokenize(segment: &[u8]) -> Option<Vec<Token>> {
    let mut tokens = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        tokens.push(match byte {
            b'*' => {
                if tokens.last() == Some(&Token::AnyBytes) {
                    continue;
                }
                Token::AnyBytes
            }
            b'?' => Token::AnyByte,
            b'\\' => Token::Byte(take(&mut rest)?),
            b'[' => class(&mut rest)?,
            byte => Token::Byte(byte),
        });
    }
    Some(tokens)
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, tail) = rest.split_first()?;
    *rest = tail;
    Some(byte)
}

/// Reads a class after its `[`, up to and with its `]`.
fn class(rest: &mut &[u8]) -> Option<Token> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    if negated {
        take(rest)?;
    }
    let mut ranges = Vec::new();
    let mut first = true;
    loop {
        let byte = take(rest)?;
        match byte {
            b']' if !first => break,
            b'[' if rest.first() == Some(&b':') => named_class(rest, &mut ranges)?,
            _ => {
                let low = if byte == b'\\' { take(rest)? } else { byte };
                ranges.push((low, range_end(rest)?.unwrap_or(low)));
            }
        }
        first = false;
    }
    Some(Token::Class { negated, ranges: ranges.into() })
}

/// Reads `-x` where it makes a range; a `-` before the closing bracket is itself.
fn range_end(rest: &mut &[u8]) -> Option<Option<u8>> {
    match *rest {
        [b'-', next, ..] if *next != b']' => {
            take(rest)?;
            let high = take(rest)?;
            Some(Some(if high == b'\\' { take(rest)? } else { high }))
        }
        _ => Some(None),
    }
}

/// Reads `:name:]`. The classes are those of the C locale whatever the host's locale is.
fn named_class(rest: &mut &[u8], ranges: &mut Vec<(u8, u8)>) -> Option<()> {
    let end = rest.windows(2).position(|pair| pair == b":]").filter(|&end| end > 0)?;
    let members: &[(u8, u8)] = match &rest[1..end] {
        b"alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        b"alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        b"blank" => &[(b' ', b' '), (b'\t', b'\t')],
        b"cntrl" => &[(0, 31), (127, 127)],
        b"digit" => &[(b'0', b'9')],
        b"graph" => &[(33, 126)],
        b"lower" => &[(b'a', b'z')],
        b"print" => &[(32, 126)],
        b"punct" => &[(33, 47), (58, 64), (91, 96), (123, 126)],
        b"space" => &[(9, 13), (32, 32)],
        b"upper" => &[(b'A', b'Z')],
        b"xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return None,
    };
    ranges.extend_from_slice(members);
    *rest = &rest[end + 2..];
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(pattern.as_bytes());
        for name in yes {
            assert!(glob.matches(name.as_bytes()), "{pattern} should match {name}");
        }
        for name in no {
            assert!(!glob.matches(name.as_bytes()), "{pattern} should not match {name}");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", &["", "a", ".x"], &[]);
        check("*.o", &["a.o", ".o"], &["a.oo", "o"]);
        check("a*", &["a", "ab"], &["ba"]);
        check("a*b*c", &["abc", "axbxbc", "abbcc"], &["ab", "acb"]);
        check("a?c", &["abc"], &["ac", "abbc"]);
        check("**x", &["x", "yx"], &["xy"]);
    }

    #[test]
    fn classes() {
        check("[abc]", &["a", "c"], &["d", "", "ab"]);
        check("[!a-c]x", &["dx"], &["ax", "x"]);
        check("[^a]", &["b"], &["a"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[\\]]", &["]"], &["\\"]);
        check("[[:digit:]x]", &["7", "x"], &["a", ":"]);
        check("[a", &[], &["[a", "a"]);
        check("[[:nope:]]", &[], &["n"]);
    }

    #[test]
    fn backslashes() {
        check("\\*", &["*"], &["a"]);
        check("a\\b", &["ab"], &["a\\b"]);
        check("a\\", &[], &["a", "a\\"]);
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let glob = Glob::new("*a".repeat(60).as_bytes());
        assert!(!glob.matches(format!("{}b", "a".repeat(254)).as_bytes()));
    }
}
