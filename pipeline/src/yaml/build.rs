//! Turns the parser's events into a [`Tree`], within bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::{Entry, Kind, Tree, scalar};
use crate::diag::{Diagnostic, Sink, Span};

/// How deep lists and maps may nest. The language needs six; the rest is room for what it does not have yet.
const DEPTH: u32 = 64;
/// How many nodes aliases may stand for, all together: enough to share a block between thousands of steps, and
/// a hundredth of a second of work. More is a "billion laughs" file.
const EXPANDED: u64 = 1_000_000;
/// The largest file. Positions are 32-bit numbers, and a file of 100,000 steps is about 12 MiB.
const SIZE: usize = 64 << 20;

/// Parses the one document of `text`. Reports what is wrong, and returns the tree where there is one.
pub(crate) fn parse(text: &str, sink: &Sink) -> Option<Tree> {
    if text.len() > SIZE {
        let message = format!("the file has {} bytes; the most is {} MiB", text.len(), SIZE >> 20);
        sink.push(Diagnostic::error(None, message));
        return None;
    }
    let mut build = Build {
        sink,
        tree: Tree { entries: Vec::new(), pool: String::with_capacity(text.len()) },
        open: Vec::new(),
        anchors: HashMap::new(),
        expanded: 0,
        documents: 0,
    };
    for event in Parser::new_from_str(text) {
        let result = match event {
            Ok((event, span)) => build.event(event, span.start, span.end),
            Err(error) => Err(syntax_error(text, error.info(), error.marker())),
        };
        if let Err(problem) = result {
            sink.push(problem);
            return None;
        }
    }
    if build.tree.entries.is_empty() {
        let problem = Diagnostic::error(Span { line: 1, column: 1, width: 1 }, "the file is empty");
        sink.push(problem.help("a pipeline begins with `cullet: 1`".to_owned()));
        return None;
    }
    let mut tree = build.tree;
    tree.entries.shrink_to_fit();
    tree.pool.shrink_to_fit();
    Some(tree)
}

fn syntax_error(text: &str, info: &str, marker: &Marker) -> Diagnostic {
    let span = position(*marker, 1);
    let line = text.lines().nth(span.line as usize - 1).unwrap_or("");
    let before: String = line.chars().take(span.column as usize).collect();
    let tabs = before.trim_start_matches(' ').starts_with('\t');
    let help = if tabs {
        Some("indent with spaces; YAML does not allow tabs there")
    } else if line.contains("${{") && info.contains("flow") {
        Some("inside of { } and [ ], put a string with `${{ }}` in quotes")
    } else {
        None
    };
    if info.contains("recursion limit") {
        return too_deep(span);
    }
    Diagnostic::error(span, format!("this is not valid YAML: {info}")).help(help.map(str::to_owned))
}

fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(span, format!("lists and maps nest more than {DEPTH} levels deep here"))
}

fn position(marker: Marker, width: u32) -> Span {
    Span { line: marker.line().max(1) as u32, column: marker.col() as u32 + 1, width }
}

/// A list or map that has not ended yet.
struct Open {
    id: u32,
    anchor: usize,
    children: u32,
    /// Nodes that the aliases in it stand for.
    expanded: u64,
    /// Levels below it.
    height: u32,
}

/// What an alias stands for; absent while it is still open.
#[derive(Clone, Copy)]
struct Anchored {
    id: u32,
    nodes: u64,
    height: u32,
}

struct Build<'s> {
    sink: &'s Sink,
    tree: Tree,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    expanded: u64,
    documents: u32,
}

impl Build<'_> {
    fn event(&mut self, event: Event<'_>, start: Marker, end: Marker) -> Result<(), Diagnostic> {
        let width = if start.line() == end.line() { (end.col() - start.col()) as u32 } else { u32::MAX };
        let span = position(start, width);
        match event {
            Event::DocumentStart(_) => self.document(span),
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), span)
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(anchor, tag) => self.start(Kind::Seq, anchor, tag.as_deref(), span),
            Event::MappingStart(anchor, tag) => self.start(Kind::Map, anchor, tag.as_deref(), span),
            Event::SequenceEnd | Event::MappingEnd => {
                self.end();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn document(&mut self, span: Span) -> Result<(), Diagnostic> {
        self.documents += 1;
        if self.documents == 1 {
            return Ok(());
        }
        Err(Diagnostic::error(span, "a second YAML document begins here")
            .help("a pipeline is one document; put the other one into a file of its own".to_owned()))
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let plain = style == ScalarStyle::Plain;
        let kind = match tag {
            None if plain => scalar::resolve(text),
            None => Kind::Str,
            Some(tag) => tagged(tag, scalar::resolve(text), span)?,
        };
        let entry = Entry {
            a: self.tree.pool.len() as u32,
            b: text.len() as u32,
            quoted: matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted),
            ..entry(kind, span)
        };
        self.tree.pool.push_str(text);
        let id = self.push(entry);
        self.anchor(anchor, Anchored { id, nodes: 1, height: 0 });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Diagnostic> {
        let Some(target) = self.anchors.get(&anchor).copied() else {
            return Err(Diagnostic::error(span, "this alias stands inside of what it names"));
        };
        self.expanded += target.nodes;
        if self.expanded > EXPANDED {
            let message = format!("the file's aliases stand for more than {EXPANDED} values all together");
            return Err(Diagnostic::error(span, message));
        }
        if self.open.len() as u32 + target.height > DEPTH {
            return Err(too_deep(span));
        }
        if let Some(parent) = self.open.last_mut() {
            parent.expanded += target.nodes;
            parent.height = parent.height.max(target.height + 1);
        }
        self.push(Entry { a: target.id, ..entry(Kind::Alias, span) });
        Ok(())
    }

    fn start(&mut self, kind: Kind, anchor: usize, tag: Option<&Tag>, span: Span) -> Result<(), Diagnostic> {
        if self.open.len() as u32 >= DEPTH {
            return Err(too_deep(span));
        }
        if let Some(tag) = tag {
            tagged(tag, kind, span)?;
        }
        let id = self.push(entry(kind, span));
        self.open.push(Open { id, anchor, children: 0, expanded: 0, height: 1 });
        Ok(())
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let next = self.tree.entries.len() as u32;
        let entry = &mut self.tree.entries[open.id as usize];
        entry.a = next;
        entry.b = open.children;
        let anchored =
            Anchored { id: open.id, nodes: u64::from(next - open.id) + open.expanded, height: open.height };
        self.anchor(open.anchor, anchored);
        if let Some(parent) = self.open.last_mut() {
            parent.expanded += open.expanded;
            parent.height = parent.height.max(open.height + 1);
        }
        if self.tree.entries[open.id as usize].kind == Kind::Map {
            self.check_keys(open.id);
        }
    }

    fn push(&mut self, entry: Entry) -> u32 {
        if let Some(parent) = self.open.last_mut() {
            parent.children += 1;
        }
        self.tree.entries.push(entry);
        self.tree.entries.len() as u32 - 1
    }

    fn anchor(&mut self, anchor: usize, what: Anchored) {
        if anchor > 0 {
            self.anchors.insert(anchor, what);
        }
    }

    /// Keys are scalars, and each occurs once.
    fn check_keys(&self, id: u32) {
        let map = super::Node { tree: &self.tree, id };
        let mut seen: HashMap<&str, Span> = HashMap::with_capacity(map.len());
        for (key, _) in map.pairs() {
            if matches!(key.kind(), Kind::Seq | Kind::Map) {
                let message = format!("a key must be a string; this is {}", key.kind().describe());
                self.sink.push(Diagnostic::error(key.span(), message));
            } else if let Some(first) = seen.insert(key.text(), key.span()) {
                let message = format!("the key `{}` is here twice", key.text());
                self.sink.push(Diagnostic::error(key.span(), message).label(first, "first here"));
            }
        }
    }
}

fn entry(kind: Kind, span: Span) -> Entry {
    let width = u16::try_from(span.width).unwrap_or(u16::MAX);
    Entry { line: span.line, column: span.column, a: 0, b: 0, width, kind, quoted: false }
}

/// The type that a tag asks for, if it is one of YAML's own and the value has that form.
fn tagged(tag: &Tag, kind: Kind, span: Span) -> Result<Kind, Diagnostic> {
    let core = tag.is_yaml_core_schema() || tag.handle == "!!";
    let scalar = !matches!(kind, Kind::Seq | Kind::Map);
    match (tag.suffix.as_str(), kind) {
        ("", _) if tag.handle == "!" => Ok(if scalar { Kind::Str } else { kind }),
        ("str", _) if core && scalar => Ok(Kind::Str),
        ("null", Kind::Null) | ("bool", Kind::Bool) | ("int", Kind::Int) if core => Ok(kind),
        ("float", Kind::Float | Kind::Int) if core => Ok(Kind::Float),
        ("seq", Kind::Seq) | ("map", Kind::Map) if core => Ok(kind),
        _ => Err(Diagnostic::error(span, format!("the tag `{tag}` does not fit this value"))
            .help("leave it out; the language uses no tags of its own".to_owned())),
    }
}
