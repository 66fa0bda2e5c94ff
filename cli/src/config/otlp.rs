//! Where traces go.

use super::Env;

/// The collector of traces, as the variables of OpenTelemetry name it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OtlpSettings {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or else `OTEL_EXPORTER_OTLP_ENDPOINT`; without one nothing is sent.
    pub endpoint: Option<String>,
    /// `OTEL_SERVICE_NAME`.
    pub service: Option<String>,
}

impl OtlpSettings {
    pub(super) fn of(env: &Env<'_>) -> Self {
        let disabled = env.text("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let endpoint = env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let endpoint = endpoint.or_else(|| env.text("OTEL_EXPORTER_OTLP_ENDPOINT")).filter(|_| !disabled);
        Self { endpoint, service: env.text("OTEL_SERVICE_NAME") }
    }
}
