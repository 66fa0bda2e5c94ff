//! The text of a key file: a heading, then one key a line, sorted by step, the newest of a step first:
//! `STEP⇥HASH/SIZE⇥STATUS⇥CACHED⇥MILLISECONDS⇥RUN`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::KeyRecord;

/// Names the format; a file with another heading is as good as none.
const HEADING: &str = "cullet keys 1";

/// Keys kept of each step: as many as somebody switches between.
const PER_STEP: usize = 8;

/// Steps kept of each pipeline: 30 MB of text at most.
const STEPS: usize = 200_000;

/// A key file in memory. Lines stay text until somebody asks for them.
#[derive(Debug)]
pub(super) struct KeyFile<'a> {
    lines: Vec<Line<'a>>,
}

#[derive(Debug, Clone)]
struct Line<'a> {
    /// Escaped.
    step: Cow<'a, str>,
    digest: Cow<'a, str>,
    status: Cow<'a, str>,
    cached: bool,
    at_ms: u64,
    run: Cow<'a, str>,
}

impl<'a> KeyFile<'a> {
    /// Lines that make no sense are left out.
    pub(super) fn parse(text: &'a str) -> Self {
        let mut lines = text.lines();
        let known = lines.next().is_some_and(|heading| heading.starts_with(HEADING));
        let lines = if known { lines.filter_map(Line::parse).collect() } else { Vec::new() };
        Self { lines }
    }

    /// Whether [`KeyFile::add`] would change anything.
    pub(super) fn would_change(&self, keys: &[(String, KeyRecord)]) -> bool {
        let mut newest: HashMap<&str, &Line<'_>> = HashMap::with_capacity(self.lines.len());
        for line in &self.lines {
            newest.entry(&line.step).or_insert(line);
        }
        keys.iter().any(|(step, key)| {
            newest
                .get(&*escape(step))
                .is_none_or(|line| line.digest != key.digest || line.status != key.status)
        })
    }

    /// Puts each key before the others of its step, unless it stands there already.
    pub(super) fn add(&mut self, keys: &'a [(String, KeyRecord)]) {
        let mut steps: BTreeMap<Cow<'a, str>, Vec<Line<'a>>> = BTreeMap::new();
        for line in self.lines.drain(..) {
            steps.entry(line.step.clone()).or_default().push(line);
        }
        for (step, key) in keys {
            let line = Line::new(escape(step), key);
            let of_step = steps.entry(line.step.clone()).or_default();
            let same = |known: &Line<'_>| known.digest == line.digest && known.status == line.status;
            if of_step.first().is_some_and(same) {
                continue;
            }
            // A key that failed and then succeeded stands there twice: that is an explanation, too.
            of_step.retain(|known| !same(known));
            of_step.insert(0, line);
            of_step.truncate(PER_STEP);
        }
        forget_oldest(&mut steps);
        self.lines = steps.into_values().flatten().collect();
    }

    /// The keys of a step, the newest first.
    pub(super) fn of(&self, step: &str) -> Vec<KeyRecord> {
        let step = escape(step);
        self.lines.iter().filter(|line| line.step == step).map(Line::record).collect()
    }

    pub(super) fn render(&self, pipeline: &str) -> String {
        let mut text = format!("{HEADING} {}\n", escape(pipeline));
        text.reserve(self.lines.len() * 180);
        for Line { step, digest, status, cached, at_ms, run } in &self.lines {
            let cached = u8::from(*cached);
            let _ = writeln!(text, "{step}\t{digest}\t{status}\t{cached}\t{at_ms}\t{run}");
        }
        text
    }
}

fn forget_oldest(steps: &mut BTreeMap<Cow<'_, str>, Vec<Line<'_>>>) {
    if steps.len() <= STEPS {
        return;
    }
    let mut newest: Vec<u64> = steps.values().filter_map(|lines| Some(lines.first()?.at_ms)).collect();
    newest.sort_unstable();
    let oldest_kept = newest[newest.len() - STEPS];
    steps.retain(|_, lines| lines.first().is_some_and(|line| line.at_ms >= oldest_kept));
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut fields = text.split('\t');
        let line = Self {
            step: fields.next()?.into(),
            digest: fields.next()?.into(),
            status: fields.next()?.into(),
            cached: fields.next()? == "1",
            at_ms: fields.next()?.parse().ok()?,
            run: fields.next()?.into(),
        };
        fields.next().is_none().then_some(line)
    }

    fn new(step: Cow<'a, str>, key: &'a KeyRecord) -> Self {
        Self {
            step,
            digest: Cow::Borrowed(&key.digest),
            status: Cow::Borrowed(&key.status),
            cached: key.cached,
            at_ms: key.at_ms,
            run: Cow::Borrowed(&key.run),
        }
    }

    fn record(&self) -> KeyRecord {
        KeyRecord {
            digest: self.digest.clone().into_owned(),
            status: self.status.clone().into_owned(),
            cached: self.cached,
            at_ms: self.at_ms,
            run: self.run.clone().into_owned(),
        }
    }
}

/// A name as one field of one line. Never undone: names are compared in this form.
fn escape(name: &str) -> Cow<'_, str> {
    if name.contains(|c: char| c.is_control() || c == '%') {
        name.chars()
            .fold(String::new(), |mut out, c| {
                if c.is_control() || c == '%' {
                    let _ = write!(out, "%{:02x}", u32::from(c));
                } else {
                    out.push(c);
                }
                out
            })
            .into()
    } else {
        name.into()
    }
}
