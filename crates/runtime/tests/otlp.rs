//! What a process sends to a collector, and what it does when that does not take it. One test: telemetry is set once a process.
#![expect(clippy::unwrap_used, reason = "the lint spares test functions, not their helpers")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use http::{HeaderMap, Request, StatusCode};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest,
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    trace::v1::Span as Wire,
};
use prost::Message;
use runtime::{
    config::Seconds,
    http::{ServerOptions, bind, layer, serve},
    lifecycle::Shutdown,
    metrics::{self, Metric},
    otlp::{self, Kind, Span, TelemetryOptions},
    problem::Problem,
    telemetry::{self, LogFormat, LogOptions},
    trace::TraceContext,
};
use tower::{Layer as _, ServiceExt as _};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Answer = (StatusCode, Vec<u8>);

/// What was posted, by its path, with its headers; and how the next requests for traces are answered.
#[derive(Clone, Default)]
struct Collector {
    requests: Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().route("/otlp/v1/{signal}", post(take)).with_state(collector.clone());
        let options = ServerOptions { listen: "127.0.0.1:0".parse().unwrap(), ..ServerOptions::default() };
        let listener = bind(options.listen).await.unwrap();
        let url = format!("http://{}/otlp/", listener.local_addr().unwrap());
        tokio::spawn(async move { serve(listener, router, &options, Shutdown::new()).await });
        (collector, url)
    }

    fn all<T: Message + Default>(&self, signal: &str) -> Vec<T> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|(of, ..)| of == signal)
            .map(|(.., body)| T::decode(body.clone()).unwrap())
            .collect()
    }

    /// With the service they are of.
    fn spans(&self) -> Vec<(String, Wire)> {
        let resources =
            self.all::<ExportTraceServiceRequest>("traces").into_iter().flat_map(|r| r.resource_spans);
        let spans = resources.flat_map(|r| {
            let service = text(&r.resource.unwrap().attributes, "service.name");
            r.scope_spans.into_iter().flat_map(|s| s.spans).map(move |span| (service.clone(), span))
        });
        spans.collect()
    }

    fn logs(&self) -> Vec<LogRecord> {
        let resources =
            self.all::<ExportLogsServiceRequest>("logs").into_iter().flat_map(|r| r.resource_logs);
        resources.flat_map(|r| r.scope_logs).flat_map(|s| s.log_records).collect()
    }
}

async fn take(
    State(collector): State<Collector>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let answer = (signal == "traces").then(|| collector.answers.lock().unwrap().pop()).flatten();
    let (status, answer) = answer.unwrap_or((StatusCode::OK, Vec::new()));
    if status.is_success() {
        collector.requests.lock().unwrap().push((signal, headers, body));
    }
    (status, answer).into_response()
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes.iter().find(|a| a.key == key).and_then(|a| a.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// Waits for a condition, far longer than it may take.
async fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            match found() {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), search).await.unwrap()
}

fn span_named(collector: &Collector, name: &str) -> Option<(String, Wire)> {
    collector.spans().into_iter().find(|(_, span)| span.name == name)
}

async fn ask(path: &str, traceparent: Option<&str>) -> StatusCode {
    let router = Router::new()
        .route("/good", get(|| async { "yes" }))
        .route("/bad", get(|| async { Problem::internal("a secret of ours") }))
        .route("/healthz/ready", get(|| async { "yes" }));
    let mut request = Request::get(path);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    layer().layer(router).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

fn dropped(reason: &str) -> u64 {
    metrics::counter(Metric::TelemetryDropped, &["traces", reason]).get()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_what_a_process_tells_and_its_failures_are_counted() {
    testkit::install_tls();
    let (collector, url) = Collector::start().await;
    let options = TelemetryOptions {
        otlp_endpoint: url,
        otlp_headers: "authorization=Bearer token".into(),
        sample_ratio: 0.0,
        metrics_interval_seconds: Seconds(1),
        trace_url: "https://traces/{trace_id}".to_owned(),
        ..TelemetryOptions::default()
    };
    let logs = LogOptions { format: LogFormat::Json, filter: "info".into() };
    let telemetry = telemetry::init(&logs, &options, "engine").unwrap();
    assert!(otlp::is_tracing());

    requests_are_traced_if_their_callers_trace(&collector).await;
    work_on_a_message_is_a_child_and_linked(&collector).await;
    log_lines_name_their_trace(&collector).await;
    metrics_are_sent_by_themselves(&collector).await;
    what_is_refused_is_tried_again_and_what_is_wrong_is_dropped(&collector).await;

    drop(Span::following("engine", Kind::Consumer, "the last", PARENT.as_bytes()));
    telemetry.shutdown().await;
    assert!(span_named(&collector, "the last").is_some(), "what is left is sent at the end");
}

async fn requests_are_traced_if_their_callers_trace(collector: &Collector) {
    let unsampled = PARENT.replace("-01", "-00");
    assert_eq!(ask("/good?unsampled", Some(&unsampled)).await, StatusCode::OK);
    assert_eq!(ask("/good", None).await, StatusCode::OK);
    assert_eq!(ask("/good", Some(PARENT)).await, StatusCode::OK);
    assert_eq!(ask("/bad", Some(PARENT)).await, StatusCode::INTERNAL_SERVER_ERROR);
    let of =
        |path: &'static str| move |(_, span): &(String, Wire)| text(&span.attributes, "url.path") == path;
    let (service, good) = until(|| collector.spans().into_iter().find(of("/good"))).await;
    let (_, bad) = until(|| collector.spans().into_iter().find(of("/bad"))).await;
    assert_eq!(service, "eventrunner-engine", "what says nothing is of the process's service");
    assert_eq!(collector.spans().len(), 2, "nothing else was to be traced");
    assert_eq!(
        (hex(&good.trace_id), hex(&good.parent_span_id)),
        (PARENT[3..35].to_owned(), PARENT[36..52].to_owned())
    );
    assert_eq!((good.name.as_str(), good.kind, good.status), ("GET", 2, None));
    assert_eq!(bad.status.unwrap().code, 2);
    assert_eq!(text(&bad.attributes, "error.type"), "500");
    assert!(good.end_time_unix_nano >= good.start_time_unix_nano);
    let trace = TraceContext::parse(PARENT).unwrap();
    assert_eq!(otlp::trace_url(&trace).unwrap(), format!("https://traces/{}", trace.trace_id()));
    assert_eq!(otlp::trace_url(&TraceContext::parse(&unsampled).unwrap()), None);
    let requests = collector.requests.lock().unwrap();
    assert_eq!(requests[0].1["authorization"], "Bearer token");
}

async fn work_on_a_message_is_a_child_and_linked(collector: &Collector) {
    assert!(
        Span::following("api", Kind::Consumer, "none", PARENT.replace("-01", "-00").as_bytes()).is_none()
    );
    assert!(Span::following("api", Kind::Consumer, "none", b"nonsense-01").is_none());
    let work = Span::following("api", Kind::Consumer, "work", PARENT.as_bytes()).unwrap().with("n", 5_u64);
    let mut part = work.child(Kind::Producer, "part");
    part.fail("gone", "it is away");
    part.fail("other", "said later");
    (0..40).for_each(|_| part.link(&TraceContext::random()));
    let next = part.context().clone();
    drop((part, work));
    let (service, part) = until(|| span_named(collector, "part")).await;
    let (_, work) = until(|| span_named(collector, "work")).await;
    assert_eq!(service, "eventrunner-api");
    assert_eq!(hex(&work.links[0].span_id), PARENT[36..52]);
    assert_eq!((work.parent_span_id, work.flags), (work.links[0].span_id.clone(), 0x301));
    assert_eq!(
        (&part.parent_span_id, part.flags, hex(&part.span_id)),
        (&work.span_id, 0x101, next.span_id())
    );
    assert_eq!((part.links.len(), part.dropped_links_count), (32, 8));
    assert_eq!(
        (text(&part.attributes, "error.type"), part.status.unwrap().message),
        ("gone".into(), "it is away".into())
    );
}

async fn log_lines_name_their_trace(collector: &Collector) {
    let failed = |log: &LogRecord| text(&log.attributes, "cause") == "a secret of ours";
    let log = until(|| collector.logs().into_iter().find(failed)).await;
    assert_eq!(hex(&log.trace_id), PARENT[3..35]);
    assert_eq!((log.severity_text.as_str(), text(&log.attributes, "trace_id").as_str()), ("ERROR", ""));
    assert!(matches!(log.body.unwrap().value, Some(Value::StringValue(body)) if body == "request failed"));
}

async fn metrics_are_sent_by_themselves(collector: &Collector) {
    until(|| {
        let all = collector.all::<ExportMetricsServiceRequest>("metrics");
        let metrics = all
            .into_iter()
            .flat_map(|r| r.resource_metrics)
            .flat_map(|r| r.scope_metrics)
            .flat_map(|s| s.metrics);
        metrics.map(|metric| metric.name).find(|name| name == Metric::TelemetrySent.name())
    })
    .await;
}

async fn what_is_refused_is_tried_again_and_what_is_wrong_is_dropped(collector: &Collector) {
    let send = |name| drop(Span::following("engine", Kind::Consumer, name, PARENT.as_bytes()));
    let answer = |status, body| collector.answers.lock().unwrap().push((status, body));

    answer(StatusCode::SERVICE_UNAVAILABLE, Vec::new());
    send("later");
    until(|| span_named(collector, "later")).await;
    assert_eq!(dropped("export_failed"), 0);

    answer(StatusCode::BAD_REQUEST, Vec::new());
    send("wrong");
    until(|| (dropped("export_failed") == 1).then_some(())).await;
    assert!(span_named(collector, "wrong").is_none());

    let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() };
    answer(StatusCode::OK, ExportTraceServiceResponse { partial_success: Some(partial) }.encode_to_vec());
    send("in part");
    until(|| (dropped("rejected") == 1).then_some(())).await;
    let warned: Vec<String> = until(|| {
        let logs = collector.logs();
        let reasons: Vec<_> =
            logs.iter().map(|log| text(&log.attributes, "reason")).filter(|r| !r.is_empty()).collect();
        (reasons.iter().any(|r| r == "too old")).then_some(reasons)
    })
    .await;
    assert!(warned.iter().any(|reason| reason.contains("503")), "{warned:?}");
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{byte:02x}");
        all
    })
}
