//! Traces: the [W3C trace context](https://www.w3.org/TR/trace-context/) as it travels, and spans that have ended.
//!
//! A span is told once, when it is over, as plain data. Where its name can be derived from what it is about (a run, a
//! step), whoever leads by then tells it, and those below it, told by others, still have their parent.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// Where something stands in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace; not 0.
    pub trace: u128,
    /// The span; not 0.
    pub span: u64,
    /// Whether anybody wants to hear of it.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. None for what is none, of whatever version.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, len: usize| {
            let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (digits && text.len() == len).then(|| u128::from_str_radix(text, 16).ok())?
        };
        // A later version may have more at its end; 255 is forbidden.
        let known = match hex(version, 2)? {
            0 => parts.next().is_none(),
            version => version != 255,
        };
        let (trace, span, flags) = (hex(trace, 32)?, hex(span, 16)?, hex(flags, 2)?);
        let span = u64::try_from(span).ok()?;
        (known && trace != 0 && span != 0).then_some(Self { trace, span, sampled: flags & 1 == 1 })
    }

    /// Another span of the same trace.
    #[must_use]
    pub const fn at(self, span: u64) -> Self {
        Self { span, ..self }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Something that took its time and is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where it stands.
    pub context: TraceContext,
    /// The span that it is a part of; none for the first of a trace.
    pub parent: Option<u64>,
    /// What it was.
    pub name: String,
    /// When it began.
    pub start: SystemTime,
    /// When it was over.
    pub end: SystemTime,
    /// What else is known of it.
    pub attributes: Vec<(&'static str, String)>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// Takes spans. It must not wait: what cannot be taken is lost.
pub trait SpanSink: fmt::Debug + Send + Sync {
    /// Takes one.
    fn span(&self, span: Span);
}

/// Where spans go, if anywhere.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<dyn SpanSink>>);

impl Tracer {
    /// Spans go there.
    pub fn to(sink: Arc<dyn SpanSink>) -> Self {
        Self(Some(sink))
    }

    /// Whether anybody listens.
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells a span, if anybody wants to hear of it.
    pub fn tell(&self, span: Span) {
        if let Some(sink) = &self.0
            && span.context.sampled
        {
            sink.span(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_context_survives_being_sent() {
        let context = TraceContext::parse(TEXT).unwrap();
        assert_eq!((context.span, context.sampled), (0x00f0_67aa_0ba9_02b7, true));
        assert_eq!(context.to_string(), TEXT);
        let later = TEXT.replacen("00", "01", 1) + "-more";
        assert_eq!(TraceContext::parse(&later), Some(context));
    }

    #[test]
    fn what_is_none_is_refused() {
        let zero = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for bad in ["", "00", &TEXT[..54], &TEXT.to_uppercase(), &TEXT.replacen("00", "ff", 1), zero] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
        assert_eq!(TraceContext::parse(&format!("{TEXT}-x")), None);
    }
}
