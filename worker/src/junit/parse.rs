//! Reads a report in one pass, holding no more of it than the test at hand.

use quick_xml::XmlVersion;
use quick_xml::errors::SyntaxError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{JunitError, MAX_DEPTH, MAX_FAILURES, MAX_REPORT_BYTES, MAX_TEXT_CHARS, TestFailure, TestReport};

/// Reads a JUnit report. Entities that the report itself defines are not expanded. Bytes that are not UTF-8 are
/// replaced.
pub fn parse_junit(bytes: &[u8]) -> Result<TestReport, JunitError> {
    if bytes.len() > MAX_REPORT_BYTES {
        return Err(JunitError::TooLarge { size: bytes.len() });
    }
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(&text);
    let mut parser = Parser::default();
    loop {
        let event = reader.read_event().map_err(|source| match source {
            // All other errors of syntax are about something that is not closed.
            quick_xml::Error::Syntax(ref error) if *error != SyntaxError::InvalidBangMarkup => {
                JunitError::Truncated
            }
            source => JunitError::Malformed { position: reader.error_position(), source },
        })?;
        match event {
            Event::Start(start) => parser.start(&start)?,
            Event::Empty(start) => {
                parser.start(&start)?;
                parser.end();
            }
            Event::End(_) => parser.end(),
            Event::Text(text) => parser.text(&text),
            Event::CData(text) => parser.text(&text),
            Event::GeneralRef(reference) => parser.reference(&reference),
            Event::Eof => return parser.finish(),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

#[derive(Default)]
struct Parser {
    report: TestReport,
    /// The elements that are open.
    open: Vec<Element>,
    suites: Vec<String>,
    case: Option<Case>,
    any: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    Suite,
    Case,
    Failure,
    Other,
}

/// The test at hand.
#[derive(Default)]
struct Case {
    class: String,
    name: String,
    failed: bool,
    skipped: bool,
    message: String,
    /// What stands in the first failure: the message where no attribute has it.
    text: String,
}

impl Parser {
    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), JunitError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(JunitError::TooDeep);
        }
        let name = start.local_name();
        let name: &str = name.as_ref();
        if !self.any && name != "testsuites" && name != "testsuite" {
            return Err(JunitError::Other(shorten(name)));
        }
        self.any = true;
        let element = match (name, &mut self.case) {
            ("testsuite", None) => {
                self.suites.push(attribute(start, "name"));
                Element::Suite
            }
            ("testcase", None) => {
                let (class, name) = (attribute(start, "classname"), attribute(start, "name"));
                self.case = Some(Case { class, name, ..Case::default() });
                Element::Case
            }
            ("failure" | "error", Some(case)) => {
                if !case.failed {
                    case.message = attribute(start, "message");
                }
                case.failed = true;
                Element::Failure
            }
            ("skipped", Some(case)) => {
                case.skipped = true;
                Element::Other
            }
            _ => Element::Other,
        };
        self.open.push(element);
        Ok(())
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Element::Suite) => drop(self.suites.pop()),
            Some(Element::Case) => self.end_case(),
            Some(Element::Failure | Element::Other) | None => {}
        }
    }

    fn end_case(&mut self) {
        let Some(case) = self.case.take() else { return };
        self.report.tests += 1;
        if !case.failed {
            self.report.skipped += u64::from(case.skipped);
            return;
        }
        self.report.failed += 1;
        if self.report.failures.len() < MAX_FAILURES {
            let suite = self.suites.last().cloned().unwrap_or_default();
            self.report.failures.push(case.into_failure(suite));
        }
    }

    fn text(&mut self, text: &str) {
        let (Some(Element::Failure), Some(case)) = (self.open.last(), &mut self.case) else { return };
        // Whole tracebacks stand here; only their beginning is looked at.
        if case.text.len() < 4 * MAX_TEXT_CHARS {
            let begin = text.trim_start_matches(|c: char| case.text.is_empty() && c.is_whitespace());
            case.text.extend(begin.chars().take(MAX_TEXT_CHARS));
        }
    }

    /// `&lt;`, `&#10;` and the like; others stay as they are written.
    fn reference(&mut self, reference: &quick_xml::events::BytesRef<'_>) {
        let name: &str = reference;
        match reference.resolve_char_ref() {
            Ok(Some(character)) => self.text(character.encode_utf8(&mut [0; 4])),
            _ => match quick_xml::escape::resolve_predefined_entity(name) {
                Some(text) => self.text(text),
                None => self.text(&format!("&{name};")),
            },
        }
    }

    fn finish(self) -> Result<TestReport, JunitError> {
        match (self.any, self.open.is_empty()) {
            (false, _) => Err(JunitError::Empty),
            (true, false) => Err(JunitError::Truncated),
            (true, true) => Ok(self.report),
        }
    }
}

impl Case {
    fn into_failure(self, suite: String) -> TestFailure {
        // CTest repeats the name as the class; pytest calls every suite `pytest`, but the class is the module.
        let suite = if self.class.is_empty() || self.class == self.name { suite } else { self.class };
        let message = [&self.message, &self.text]
            .into_iter()
            .flat_map(|text| text.lines())
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        TestFailure { suite: shorten(&suite), name: shorten(&self.name), message: shorten(message.trim()) }
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> String {
    // A broken attribute spoils its element's description, not the report.
    let Ok(Some(attribute)) = start.try_get_attribute(name) else { return String::new() };
    match attribute.normalized_value(XmlVersion::Implicit1_0) {
        Ok(value) => value.into_owned(),
        Err(_) => AsRef::<str>::as_ref(&attribute.value).to_owned(),
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
