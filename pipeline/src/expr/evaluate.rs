//! Parses and evaluates an expression in one pass. Both sides of `&&` and `||` are always evaluated, so that a
//! mistake shows whatever the parameters are.

use super::lex::{Token, token};
use super::{Fault, Names, Value};

/// Parentheses and `!` inside each other: people need three, and each is a few stack frames.
const DEPTH: u32 = 32;

/// The value of the expression that begins at `from` in `text`, and where it ends: after its `}}` or, for a
/// bare one, at the end of the text.
pub(super) fn evaluate(text: &str, from: usize, names: &dyn Names) -> Result<(Value, usize), Fault> {
    let mut parser = Parser { text, at: from, depth: 0, names };
    let value = parser.or()?;
    let (start, next, end) = parser.peek()?;
    match next {
        Token::End => Ok((value, end)),
        _ => Err(Fault::new(start, format!("{} is not expected here", next.describe()))),
    }
}

struct Parser<'t, 'n> {
    text: &'t str,
    at: usize,
    depth: u32,
    names: &'n dyn Names,
}

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> Result<(usize, Token<'t>, usize), Fault> {
        token(self.text, self.at)
    }

    /// Moves past the next token if it is `wanted`.
    fn eat(&mut self, wanted: Token<'_>) -> Result<Option<usize>, Fault> {
        let (start, next, end) = self.peek()?;
        if next != wanted {
            return Ok(None);
        }
        self.at = end;
        Ok(Some(start))
    }

    fn start(&self) -> Result<usize, Fault> {
        Ok(self.peek()?.0)
    }

    fn or(&mut self) -> Result<Value, Fault> {
        self.logic(Token::Or, Self::and, |a, b| a || b)
    }

    fn and(&mut self) -> Result<Value, Fault> {
        self.logic(Token::And, Self::comparison, |a, b| a && b)
    }

    fn logic(
        &mut self,
        operator: Token<'static>,
        operand: fn(&mut Self) -> Result<Value, Fault>,
        combine: fn(bool, bool) -> bool,
    ) -> Result<Value, Fault> {
        let first = self.start()?;
        let mut left = operand(self)?;
        while self.eat(operator)?.is_some() {
            let second = self.start()?;
            let right = operand(self)?;
            left = match (truth(&left, first)?, truth(&right, second)?) {
                (Some(a), Some(b)) => Value::Bool(combine(a, b)),
                _ => Value::Unknown,
            };
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Value, Fault> {
        let left = self.unary()?;
        for (operator, wanted) in [(Token::Equal, true), (Token::NotEqual, false)] {
            if let Some(at) = self.eat(operator)? {
                let right = self.unary()?;
                let equal = equal(&left, &right, at)?;
                return Ok(equal.map_or(Value::Unknown, |equal| Value::Bool(equal == wanted)));
            }
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Value, Fault> {
        let Some(at) = self.eat(Token::Not)? else { return self.primary() };
        self.deeper(at)?;
        let operand = self.start()?;
        let value = self.unary()?;
        self.depth -= 1;
        Ok(truth(&value, operand)?.map_or(Value::Unknown, |value| Value::Bool(!value)))
    }

    fn primary(&mut self) -> Result<Value, Fault> {
        let (start, next, end) = self.peek()?;
        self.at = end;
        match next {
            Token::Word("true") => Ok(Value::Bool(true)),
            Token::Word("false") => Ok(Value::Bool(false)),
            Token::Word(word) => self.name(start, word),
            Token::Number(number) => Ok(Value::Number(number.into())),
            Token::Text(text, quote) => {
                let twice: String = [quote, quote].iter().collect();
                Ok(Value::Text(text.replace(&twice, quote.encode_utf8(&mut [0; 4])).into()))
            }
            Token::Open => {
                self.deeper(start)?;
                let value = self.or()?;
                self.depth -= 1;
                match self.eat(Token::Close)? {
                    Some(_) => Ok(value),
                    None => Err(Fault::new(start, "this parenthesis is not closed")),
                }
            }
            Token::End => Err(Fault::new(start, "a value is missing here")),
            _ => Err(Fault::new(start, format!("a value is expected here, not {}", next.describe()))),
        }
    }

    fn name(&self, start: usize, word: &str) -> Result<Value, Fault> {
        let (root, name) = word.split_once('.').unwrap_or((word, ""));
        let offset = start + if name.is_empty() { 0 } else { root.len() + 1 };
        self.names.lookup(root, name).map_err(|complaint| Fault { offset, complaint })
    }

    fn deeper(&mut self, at: usize) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Fault::new(at, format!("expressions nest at most {DEPTH} levels deep")));
        }
        Ok(())
    }
}

fn truth(value: &Value, at: usize) -> Result<Option<bool>, Fault> {
    match value {
        Value::Bool(value) => Ok(Some(*value)),
        Value::Unknown => Ok(None),
        other => Err(Fault::new(at, format!("this must be true or false; it is {}", other.describe()))
            .help("compare it, as in `params.profile == 'release'`")),
    }
}

fn equal(left: &Value, right: &Value, at: usize) -> Result<Option<bool>, Fault> {
    match (left, right) {
        (Value::Unknown, _) | (_, Value::Unknown) => Ok(None),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a == b)),
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a == b)),
        (Value::Number(a), Value::Number(b)) => Ok(Some(a == b || same_number(a, b))),
        _ => {
            let message = format!("{} is never equal to {}", left.describe(), right.describe());
            Err(Fault::new(at, message).help("quote both sides or neither"))
        }
    }
}

fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}
