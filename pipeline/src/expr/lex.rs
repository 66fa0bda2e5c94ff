//! Tokens of expressions.

use super::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// `params.profile`, `true`.
    Word(&'t str),
    /// As written.
    Number(&'t str),
    /// Between its quotes, which are doubled inside.
    Text(&'t str, char),
    Equal,
    NotEqual,
    And,
    Or,
    Not,
    Open,
    Close,
    /// `}}` or the end of a bare expression.
    End,
}

impl Token<'_> {
    pub(super) fn describe(self) -> String {
        match self {
            Token::Word(text) | Token::Number(text) => format!("`{text}`"),
            Token::Text(..) => "a string".to_owned(),
            Token::Equal => "`==`".to_owned(),
            Token::NotEqual => "`!=`".to_owned(),
            Token::And => "`&&`".to_owned(),
            Token::Or => "`||`".to_owned(),
            Token::Not => "`!`".to_owned(),
            Token::Open => "`(`".to_owned(),
            Token::Close => "`)`".to_owned(),
            Token::End => "the end of the expression".to_owned(),
        }
    }
}

const SYMBOLS: [(&str, Token<'static>); 8] = [
    ("==", Token::Equal),
    ("!=", Token::NotEqual),
    ("&&", Token::And),
    ("||", Token::Or),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
    ("}}", Token::End),
];

/// The token at or after `from`: where it begins, what it is, where it ends.
pub(super) fn token(text: &str, from: usize) -> Result<(usize, Token<'_>, usize), Fault> {
    let rest = &text[from..];
    let rest = rest.trim_start();
    let start = text.len() - rest.len();
    let Some(first) = rest.chars().next() else { return Ok((start, Token::End, start)) };
    if let Some((symbol, token)) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        return Ok((start, *token, start + symbol.len()));
    }
    match first {
        '\'' | '"' => string(text, start, first),
        '0'..='9' | '-' => {
            let length = run(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'));
            let number = &rest[..length];
            if number.parse::<f64>().is_err() {
                return Err(Fault::new(start, format!("`{number}` is not a number")));
            }
            Ok((start, Token::Number(number), start + length))
        }
        _ if first.is_ascii_alphabetic() || first == '_' => {
            let length = run(rest, |c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
            Ok((start, Token::Word(&rest[..length]), start + length))
        }
        _ => Err(unexpected(start, first)),
    }
}

fn unexpected(start: usize, c: char) -> Fault {
    let fault = Fault::new(start, format!("`{}` has no meaning in an expression", c.escape_debug()));
    match c {
        '=' => fault.help("`==` compares"),
        '&' | '|' => fault.help("`&&` and `||` combine conditions"),
        '}' => fault.help("an expression ends with `}}`"),
        _ => fault.help("there are names, strings, numbers, ==, !=, &&, ||, ! and parentheses"),
    }
}

fn string(text: &str, start: usize, quote: char) -> Result<(usize, Token<'_>, usize), Fault> {
    let body = &text[start + 1..];
    let mut chars = body.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Ok((start, Token::Text(&body[..at], quote), start + at + 2));
        }
    }
    Err(Fault::new(start, format!("this string is not closed with {quote}")))
}

fn run(text: &str, part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !part(c)).unwrap_or(text.len())
}
