//! One run is one trace, whoever leads while it lasts.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cullet_tests::cluster::{Cluster, until};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Keeps what it is sent, with the name of the service that sent it.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_service in request.into_inner().resource_spans {
            let attributes = of_service.resource.unwrap_or_default().attributes;
            let service = attributes.into_iter().find(|attribute| attribute.key == "service.name");
            let service = format!("{:?}", service.and_then(|service| service.value));
            let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.0.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Where it is reached. It serves until the runtime ends.
    fn serve(&self, runtime: &tokio::runtime::Runtime) -> String {
        let _runtime = runtime.enter();
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        runtime.spawn(server.serve_with_incoming(incoming));
        format!("http://{address}")
    }

    /// All spans, by their name: none twice.
    fn by_name(&self) -> BTreeMap<String, (String, Span)> {
        let spans = self.0.lock().unwrap().clone();
        let named = spans.into_iter().map(|(service, span)| (unique(&span), (service, span)));
        named.collect()
    }
}

/// The name, with the step where it is about one.
fn unique(span: &Span) -> String {
    match span.attributes.iter().find(|attribute| attribute.key == "cullet.step") {
        Some(step) if span.name == "attempt" => format!("attempt {:?}", step.value).replace(['"', '\\'], ""),
        _ => span.name.clone(),
    }
}

const PIPELINE: &str = "cullet: 1\nname: w\nsteps:\n  long: { run: 'echo begun; sleep 6; echo done > o', outputs: { o: o } }\n  \
                        bad: { inputs: { i: long.o }, run: 'exit 3' }\n";

#[test]
fn a_run_is_one_trace_through_a_failover() {
    let (runtime, collector) = (tokio::runtime::Runtime::new().unwrap(), Collector::default());
    let endpoint = collector.serve(&runtime);
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 3, 1);
    cluster = cluster.with_variable("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    cluster = cluster.with_variable("TRACEPARENT", caller);
    (0..3).for_each(|position| cluster.run_coordinator(position));
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = cluster.pipeline("w", PIPELINE);
    let mut child = cluster.begin_run(&dir, &[]);
    child.until("begun");
    let led = cluster.leader_of(&cluster.agreed_leader());
    cluster.kill_coordinator(led);
    assert_eq!(child.outcome().exit_code, 1);
    let spans = until("all spans arrive", || {
        let spans = collector.by_name();
        let names =
            ["cullet run", "submit", "run", "step long", "step bad", "fetch inputs", "execute", "upload"];
        let attempts = spans.keys().filter(|name| name.starts_with("attempt")).count();
        (names.iter().all(|name| spans.contains_key(*name)) && attempts == 2).then_some(spans)
    });
    let trace = spans["run"].1.trace_id.clone();
    assert_eq!(trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes());
    let parent = |name: &str| spans[name].1.parent_span_id.clone();
    let id = |name: &str| spans[name].1.span_id.clone();
    assert_eq!(parent("cullet run"), 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    for (child, of) in
        [("submit", "cullet run"), ("run", "submit"), ("step long", "run"), ("step bad", "run")]
    {
        assert_eq!(parent(child), id(of), "{child}");
    }
    let attempts: Vec<&String> = spans.keys().filter(|name| name.starts_with("attempt")).collect();
    for (attempt, step) in attempts.iter().zip(["step bad", "step long"]) {
        assert_eq!(parent(attempt), id(step), "{attempt}");
    }
    let all = collector.0.lock().unwrap().clone();
    let attempt_ids: Vec<_> = attempts.iter().map(|attempt| id(attempt)).collect();
    for (_, span) in &all {
        assert_eq!(span.trace_id, trace, "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
        if ["fetch inputs", "execute", "upload"].contains(&span.name.as_str()) {
            assert!(attempt_ids.contains(&span.parent_span_id), "{}", span.name);
        }
    }
    let failed =
        |name: &str| spans[name].1.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    assert!(failed("run") && failed("step bad") && failed("cullet run") && !failed("step long"));
    let service = |name: &str| spans[name].0.clone();
    assert!(service("run").contains("cullet-coordinator") && service("execute").contains("cullet-worker"));
    let took = &spans["step long"].1;
    assert!(took.end_time_unix_nano - took.start_time_unix_nano >= 6_000_000_000, "{took:?}");
}

/// A step that could see its trace would have another result each time.
#[test]
fn steps_do_not_see_the_trace_and_diagnostics_can_be_json() {
    let mut cluster = Cluster::prepare(cullet_tests::cullet_binary().clone(), 1, 1);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    cluster = cluster.with_variable("TRACEPARENT", caller).with_variable("CULLET_LOG_FORMAT", "json");
    cluster.run_coordinator(0);
    cluster.run_worker(0, &[]);
    cluster.with_workers(1);
    let dir = cluster.pipeline("p", "cullet: 1\nname: p\nsteps:\n  see: { run: 'env; echo seen' }\n");
    let outcome = cluster.run(&dir, &[]);
    outcome.assert_success();
    let printed = outcome.events.iter().filter(|event| event["event"] == "step_log");
    let printed: Vec<&str> = printed.map(|event| event["text"].as_str().unwrap()).collect();
    assert!(
        printed.contains(&"seen") && !printed.iter().any(|line| line.contains("4bf92f3577b34da6")),
        "{printed:?}"
    );
    let log = std::fs::read_to_string(cluster.dir().join("w0.log")).unwrap();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let started = lines.iter().find(|line| line["message"] == "started").unwrap_or_else(|| panic!("{log}"));
    let span = &started["spans"][0];
    assert_eq!((span["name"].as_str(), span["step"].as_str()), (Some("attempt"), Some("see")), "{started}");
    assert!(span["run"].is_string() && span["attempt"] == 1, "{started}");
}
