//! Extended headers. Source: POSIX.1-2017, `pax`, "pax Extended Header".

/// Prefix of the keywords that hold extended attributes, which star began with and everybody uses.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PaxRecord<'a> {
    /// The keyword.
    pub(crate) key: &'a [u8],
    /// Any bytes.
    pub(crate) value: &'a [u8],
}

/// Reads all records, `LENGTH KEYWORD=VALUE\n` each, where the length is that of the whole record.
///
/// # Errors
/// What is wrong with the first bad one.
pub(super) fn records(mut bytes: &[u8]) -> Result<Vec<PaxRecord<'_>>, &'static str> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) =
            first(bytes).ok_or("has an extended record that is not `LENGTH KEYWORD=VALUE`")?;
        records.push(record);
        bytes = rest;
    }
    Ok(records)
}

/// More digits than any record allowed here has in its length.
const LENGTH_DIGITS: usize = 10;

fn first(bytes: &[u8]) -> Option<(PaxRecord<'_>, &[u8])> {
    let space = bytes.iter().take(LENGTH_DIGITS).position(|byte| *byte == b' ')?;
    let length = usize::try_from(super::fields::decimal(&bytes[..space])?).ok()?;
    if length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    // Up to a NUL and behind blanks, some programs see another keyword.
    let is_odd = key.is_empty() || key.contains(&0) || matches!(key[0], b' ' | b'\t');
    (!is_odd).then_some((PaxRecord { key, value }, rest))
}

impl PaxRecord<'_> {
    /// Appends the record.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        // A space, an equals sign and a line end go with it; the length counts its own digits.
        let body = self.key.len() + self.value.len() + 3;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length = body + length.to_string().len();
        }
        to.extend_from_slice(format!("{length} ").as_bytes());
        to.extend_from_slice(self.key);
        to.push(b'=');
        to.extend_from_slice(self.value);
        to.push(b'\n');
    }
}

#[test]
fn records_hold_any_bytes() {
    for length in [0, 1, 85, 90, 91, 95, 990, 991, 5000] {
        let value = vec![b'\n'; length];
        let mut bytes = Vec::new();
        PaxRecord { key: b"SCHILY.xattr.security.capability", value: &value }.write(&mut bytes);
        PaxRecord { key: b"path", value: b"a=b" }.write(&mut bytes);
        let read = records(&bytes).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].value, read[1].value), (&value[..], &b"a=b"[..]), "{length}");
    }
}

#[test]
fn bad_records_are_refused() {
    for bad in [
        &b"x"[..],
        b"6 a=b",
        b"7 a=b\n",
        b"6 =bc\n",
        b"5 abc\n",
        b"0 a=b\n",
        b"2 a=b\n",
        b"99999999999 a=b\n",
        b"11  path=x\n",
        b"12 path\0=xy\n",
    ] {
        assert!(records(bad).is_err(), "{}", String::from_utf8_lossy(bad));
    }
    assert_eq!(records(b"6 a=b\n").unwrap(), [PaxRecord { key: b"a", value: b"b" }]);
}
