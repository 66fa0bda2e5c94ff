//! The text of a key file: a heading, then one sighting of a key a line, sorted by step, the newest of a step
//! first: `STEP⇥HASH/SIZE⇥STATUS⇥CACHED⇥MILLISECONDS⇥RUN`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::KeyRecord;

/// Names the format; a file with another heading is as good as none.
const HEADING: &str = "cullet keys 1";

/// Keys kept of each step: as many as somebody switches between.
const PER_STEP: usize = 8;

/// The newest sightings kept of each key, besides the first: the last one may be of the very run that is asked
/// about, and the one before tells what it met.
const NEWEST: usize = 2;

/// Lines kept of each pipeline: 30 MB of text at most, two lines for each step of the largest.
const LINES: usize = 200_000;

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
        keys.iter().any(|(step, key)| newest.get(&*escape(step)).is_none_or(|line| !line.stands_for(key)))
    }

    /// Puts each key before the others of its step, unless what stands there says as much.
    pub(super) fn add(&mut self, keys: &'a [(String, KeyRecord)]) {
        let mut steps: BTreeMap<Cow<'a, str>, Vec<Line<'a>>> = BTreeMap::new();
        for line in self.lines.drain(..) {
            steps.entry(line.step.clone()).or_default().push(line);
        }
        for (step, key) in keys {
            let line = Line::new(escape(step), key);
            let of_step = steps.entry(line.step.clone()).or_default();
            match of_step.first_mut() {
                Some(newest) if newest.stands_for(key) => continue,
                // Run again within one run: its last end counts.
                Some(newest) if newest.digest == line.digest && newest.run == line.run => *newest = line,
                _ => of_step.insert(0, line),
            }
            thin(of_step);
        }
        self.lines = steps.into_values().flatten().collect();
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        let Some(surplus) = self.lines.len().checked_sub(LINES).filter(|surplus| *surplus > 0) else {
            return;
        };
        let mut times: Vec<u64> = self.lines.iter().map(|line| line.at_ms).collect();
        let (_, &mut oldest_kept, _) = times.select_nth_unstable(surplus);
        self.lines.retain(|line| line.at_ms >= oldest_kept);
        self.lines.truncate(LINES);
    }

    /// The sightings of a step's keys, the newest first.
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

/// Leaves the newest keys of a step, and of each key its newest sightings and the first.
fn thin(lines: &mut Vec<Line<'_>>) {
    let mut met: Vec<(&str, usize)> = Vec::with_capacity(PER_STEP);
    let mut kept = Vec::with_capacity(lines.len());
    for (at, line) in lines.iter().enumerate() {
        kept.push(match met.iter().position(|(digest, _)| *digest == line.digest) {
            Some(place) => {
                met[place].1 += 1;
                met[place].1 <= NEWEST || !lines[at + 1..].iter().any(|older| older.digest == line.digest)
            }
            None if met.len() < PER_STEP => {
                met.push((&line.digest, 1));
                true
            }
            None => false,
        });
    }
    let mut kept = kept.into_iter();
    lines.retain(|_| kept.next().unwrap_or(false));
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

    /// Whether this line, the newest of its step, already says what `key` would. Of hits the first is enough,
    /// so that a run in which nothing happened writes nothing; each execution is worth remembering.
    fn stands_for(&self, key: &KeyRecord) -> bool {
        key.cached && self.digest == key.digest && self.status == key.status
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
