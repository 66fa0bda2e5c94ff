//! Encoded text that was broken into lines.

/// The shortest line that is taken for one of an encoding. Programs break at 60 characters and more; the last word of a
/// sentence must not be held back until the next one is printed.
const SHORTEST_LINE: u8 = 32;

/// The longest break: an end of a line and what the next one is indented by.
const LONGEST_BREAK: u8 = 64;

/// From so many bytes before on, everything is known that is to be known at a place.
pub(crate) const LOOK_BACK: usize = 2 * (SHORTEST_LINE as usize + LONGEST_BREAK as usize);

/// The longest part of a form that is looked for across breaks. With as many breaks as it may have, and these as long as
/// they may be, it is shorter than [`PIECE`](crate::mask::PIECE).
pub(crate) const PIECE: usize = 256;

const _: () = assert!(
    PIECE + (PIECE / SHORTEST_LINE as usize + 1) * LONGEST_BREAK as usize + 2 < crate::mask::PIECE,
    "a piece with its breaks is held back whole"
);

/// Reads past breaks between lines of base64 or hexadecimal digits. A copy goes on from the same place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unwrapping {
    /// How many characters of an encoding there were last, or in the line before this break.
    line: u8,
    /// How long this break is so far.
    gap: u8,
}

impl Unwrapping {
    /// Whether the next byte belongs to a break.
    #[inline]
    pub(crate) fn skips(&mut self, byte: u8) -> bool {
        if is_digit(byte) {
            let line = if self.gap == 0 { self.line } else { 0 };
            *self = Self { line: line.saturating_add(1), gap: 0 };
            return false;
        }
        let goes_on = matches!(byte, b'\n' | b'\r') || self.gap > 0 && matches!(byte, b' ' | b'\t');
        if goes_on && self.line >= SHORTEST_LINE && self.gap < LONGEST_BREAK {
            self.gap += 1;
            return true;
        }
        *self = Self::default();
        false
    }
}

/// Whether an encoding may have it. No form of a value that is looked for across breaks has anything else.
pub(crate) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// Where the last `count` characters of an encoding begin, of which the last is in front of `end`.
pub(crate) fn back(bytes: &[u8], end: usize, count: usize) -> usize {
    let digits = bytes[..end].iter().enumerate().rev().filter(|(_, byte)| is_digit(**byte));
    digits.take(count).last().map_or(end, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let mut unwrapping = Unwrapping::default();
        text.bytes().filter(|byte| !unwrapping.skips(*byte)).map(char::from).collect()
    }

    #[test]
    fn breaks_between_lines_are_read_past_and_others_are_not() {
        let line = "0123456789abcdef".repeat(2);
        assert_eq!(
            read(&format!("x: {line}\n{line}\r\n  {line}\n\t{line}")),
            format!("x: {}", line.repeat(4))
        );
        let short = &line[1..];
        for text in [format!("{short}\n{line}"), format!("{line} {line}"), format!("{line}:\n{line}")] {
            assert_eq!(read(&text), text);
        }
        // The break itself ends what is read past.
        let far = " ".repeat(64);
        assert_eq!(read(&format!("{line}\n{far}a")), format!("{line} a"));
        assert_eq!(read(&format!("{line}\nab\n{line}")), format!("{line}ab\n{line}"));
    }

    #[test]
    fn a_place_knows_all_from_what_is_not_far_before() {
        let text = format!("{}\n{}z", "ab".repeat(300), " ".repeat(63));
        let state = |from: usize| {
            let mut unwrapping = Unwrapping::default();
            text.as_bytes()[from..text.len() - 1].iter().for_each(|byte| {
                unwrapping.skips(*byte);
            });
            unwrapping.skips(b'\n')
        };
        assert_eq!(state(text.len() - 1 - LOOK_BACK), state(0));
    }

    #[test]
    fn the_way_back_leaves_out_breaks() {
        let text = b"x: abcd\r\n  ef";
        assert_eq!((back(text, text.len(), 2), back(text, text.len(), 3)), (11, 6));
    }
}
