//! Spans on their way to an OpenTelemetry collector, if the standard environment variables name one.

use std::sync::Arc;
use std::time::Duration;

use cullet_proto::trace::{Span, SpanSink, Tracer};
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};

use crate::config::Config;
use crate::error::CliError;

/// For what is still to be sent at the end: a collector that takes longer does without.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way to a collector. Spans wait for it in a queue of 2,048, and what finds no room is lost: nothing ever waits for
/// a collector.
#[derive(Debug)]
pub(crate) struct Telemetry {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Telemetry {
    /// The way to the collector that the environment names, for a process of this kind. Within a runtime only, one
    /// with several threads, which has to outlive it.
    ///
    /// # Errors
    /// What is named is no address.
    pub(crate) fn start(config: &Config, kind: &str) -> Result<Option<Arc<Self>>, CliError> {
        let Some(endpoint) = &config.otlp.endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.map_err(|error| {
            CliError::usage("OTEL_EXPORTER_OTLP_ENDPOINT is of no use")
                .because(error)
                .hint("name a collector that speaks OTLP over gRPC, such as http://127.0.0.1:4317")
        })?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let service = config.otlp.service.clone().unwrap_or_else(|| format!("cullet-{kind}"));
        processor.set_resource(&Resource::builder().with_service_name(service).build());
        let scope = InstrumentationScope::builder("cullet").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Some(Arc::new(Self { processor, scope })))
    }

    /// Where spans go.
    pub(crate) fn tracer(this: Option<&Arc<Self>>) -> Tracer {
        this.map_or_else(Tracer::default, |this| Tracer::to(this.clone()))
    }

    /// Sends what is still to be sent.
    pub(crate) async fn finish(this: Option<Arc<Self>>) {
        let Some(this) = this else { return };
        let ended = tokio::task::spawn_blocking(move || this.processor.shutdown_with_timeout(FAREWELL));
        match tokio::time::timeout(FAREWELL, ended).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "some spans did not reach the collector"),
            Ok(Err(_)) | Err(_) => tracing::warn!("some spans did not reach the collector in time"),
        }
    }
}

impl SpanSink for Telemetry {
    fn span(&self, span: Span) {
        let attributes = span.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(span.context.trace.to_be_bytes()),
                SpanId::from_bytes(span.context.span.to_be_bytes()),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: SpanId::from_bytes(span.parent.unwrap_or(0).to_be_bytes()),
            parent_span_is_remote: span.parent.is_some(),
            span_kind: SpanKind::Internal,
            name: span.name.into(),
            start_time: span.start,
            end_time: span.end,
            attributes: attributes.collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        });
    }
}
