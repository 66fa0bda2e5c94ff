//! Cuts a stream of bytes into lines.

use super::events::MAX_LINE_BYTES;

/// The unfinished line of one stream, at most [`MAX_LINE_BYTES`] long; a longer one comes in pieces.
#[derive(Debug, Default)]
pub struct LineCutter {
    pending: Vec<u8>,
    /// The last byte was `\r`: a `\n` that follows belongs to it.
    after_return: bool,
}

impl LineCutter {
    /// Appends the lines that `bytes` finish to `text`, each with `\n` after it.
    pub fn feed(&mut self, bytes: &[u8], text: &mut String) {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.after_return) && first == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r') else {
                self.keep(rest, text);
                return;
            };
            self.keep(&rest[..end], text);
            emit(&self.pending, text);
            self.pending.clear();
            self.after_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
        }
    }

    /// Appends what has no line end yet, at the end of the stream.
    pub fn finish(&mut self, text: &mut String) {
        if !self.pending.is_empty() {
            emit(&self.pending, text);
            self.pending.clear();
        }
    }

    fn keep(&mut self, mut bytes: &[u8], text: &mut String) {
        while self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            let (now, later) = bytes.split_at(MAX_LINE_BYTES - self.pending.len());
            self.pending.extend_from_slice(now);
            bytes = later;
            let cut = whole_characters(&self.pending);
            emit(&self.pending[..cut], text);
            self.pending.drain(..cut);
        }
        self.pending.extend_from_slice(bytes);
    }
}

fn emit(line: &[u8], text: &mut String) {
    text.push_str(&String::from_utf8_lossy(line));
    text.push('\n');
}

/// How many of `bytes` to take so that no character is torn: all but an unfinished last one.
fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    match bytes[tail..].iter().rposition(|byte| byte & 0xC0 != 0x80) {
        Some(at) if is_unfinished(&bytes[tail + at..]) => tail + at,
        _ => bytes.len(),
    }
}

fn is_unfinished(character: &[u8]) -> bool {
    let wanted = match character[0] {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    character.len() < wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> String {
        let (mut cutter, mut text) = (LineCutter::default(), String::new());
        for chunk in chunks {
            cutter.feed(chunk, &mut text);
        }
        cutter.finish(&mut text);
        text
    }

    #[test]
    fn lines_do_not_depend_on_where_the_bytes_are_cut() {
        let bytes = "a\r\nb\n\n\rc\rd\r\r\n\u{fc}\u{20ac}\u{1f980} e".as_bytes();
        let whole = cut(&[bytes]);
        assert_eq!(whole, "a\nb\n\n\nc\nd\n\n\u{fc}\u{20ac}\u{1f980} e\n");
        for at in 0..=bytes.len() {
            assert_eq!(cut(&[&bytes[..at], &bytes[at..]]), whole, "cut at {at}");
        }
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_and_loses_nothing() {
        let line = "x\u{20ac}".repeat(20_000);
        let chunks: Vec<&[u8]> = line.as_bytes().chunks(1000).collect();
        let text = cut(&chunks);
        assert!(text.lines().count() > 4);
        assert!(text.lines().all(|piece| piece.len() <= MAX_LINE_BYTES));
        assert_eq!(text.replace('\n', ""), line);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(cut(&[b"a\xff\xfeb\n"]), "a\u{fffd}\u{fffd}b\n");
        let rubbish = vec![0x80; 3 * MAX_LINE_BYTES];
        assert_eq!(cut(&[&rubbish]).lines().count(), 3);
    }

    #[test]
    fn the_unfinished_line_stays_small() {
        let (mut cutter, mut text) = (LineCutter::default(), String::new());
        for _ in 0..10_000 {
            cutter.feed(&[b'x'; 4096], &mut text);
            text.clear();
        }
        assert!(cutter.pending.capacity() <= 2 * MAX_LINE_BYTES);
    }
}
