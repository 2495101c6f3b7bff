//! `eventrunner tail`: events as they come, across restarts of everything.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::StreamExt as _;
use reqwest::{Method, Response};
use serde_json::Value;

use crate::{
    client::{
        Api,
        sse::{Frame, Parser},
    },
    context::{ConnectArgs, Context},
    exit::{Code, Failure, Result},
    output::{Format, Output, Paint, Style, note, print},
    when,
};

/// The API says something every 15 s; three times missed, and the connection is dead.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Waits between tries: the first and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Characters of data shown on a line.
const DATA_CHARS: usize = 120;

/// Follow the tenant's events
///
/// Goes on where it stopped when the connection is lost or the fleet starts again. With -o json or jsonl each event is
/// a line in the CloudEvents JSON format.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  eventrunner tail
  eventrunner tail --type com.acme.sale --since 15m
  eventrunner tail --from-start -o jsonl > all.ndjson")]
pub(crate) struct Args {
    /// Only events of this type; repeatable
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only events of this source; repeatable
    #[arg(long = "source", short, value_name = "SOURCE")]
    sources: Vec<String>,
    /// Begin at this time: RFC 3339, or how long ago as 90s, 15m, 2h, 7d
    #[arg(long, value_name = "TIME", value_parser = when::moment, conflicts_with_all = ["from_start", "after"])]
    since: Option<String>,
    /// Begin with the oldest event the stream holds
    #[arg(long, conflicts_with = "after")]
    from_start: bool,
    /// Begin after this position, as -v shows it
    #[arg(long, value_name = "SEQUENCE")]
    after: Option<u64>,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Show each event's position in the stream
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Why a connection ended.
enum End {
    /// All events asked for are there.
    Enough,
    /// It broke off; go on from where it was.
    Lost(String),
}

struct Tail {
    api: Api,
    args: Args,
    output: Output,
    /// The last position told.
    position: Option<String>,
    left: Option<u64>,
}

pub(crate) async fn run(args: Args, output: Output) -> Result<()> {
    let api = Api::new(Context::load(&args.connect)?)?;
    let left = args.count;
    let mut tail = Tail { api, args, output, position: None, left };
    // The first connection must come about: a wrong address or key should not be tried for ever.
    let mut answer = tail.connect().await?;
    loop {
        match tail.follow(answer).await? {
            End::Enough => return Ok(()),
            End::Lost(reason) => note(&format!("{reason}; connecting again")),
        }
        answer = tail.reconnect().await?;
    }
}

impl Tail {
    async fn connect(&self) -> Result<Response> {
        let mut query: Vec<(&str, &str)> = Vec::new();
        query.extend(self.args.types.iter().map(|t| ("type", t.as_str())));
        query.extend(self.args.sources.iter().map(|s| ("source", s.as_str())));
        let after = self.args.after.map(|sequence| sequence.to_string());
        let start =
            if self.args.from_start { Some("0") } else { self.args.since.as_deref().or(after.as_deref()) };
        query.extend(start.map(|start| ("start", start)));
        let mut request = self.api.request(Method::GET, "/api/v1/streams/events")?.query(&query);
        if let Some(position) = &self.position {
            request = request.header("last-event-id", position);
        }
        self.api.answer(request).await
    }

    /// For as long as it takes, unless we are refused.
    async fn reconnect(&self) -> Result<Response> {
        let mut backoff = BACKOFF.0;
        loop {
            match self.connect().await {
                Ok(answer) => {
                    note("connected again");
                    return Ok(answer);
                }
                Err(failure) if failure.code == Code::Unavailable => {}
                Err(failure) => return Err(failure),
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    async fn follow(&mut self, answer: Response) -> Result<End> {
        let mut pieces = answer.bytes_stream();
        let mut parser = Parser::default();
        loop {
            let piece = match tokio::time::timeout(SILENCE_MAX, pieces.next()).await {
                Err(_) => return Ok(End::Lost("the stream fell silent".to_owned())),
                Ok(None) => return Ok(End::Lost("the stream ended".to_owned())),
                Ok(Some(Err(error))) => {
                    return Ok(End::Lost(format!(
                        "the stream broke off ({})",
                        crate::client::error::root(&error)
                    )));
                }
                Ok(Some(Ok(piece))) => piece,
            };
            parser.push(&piece).map_err(|_| Failure::failed("the stream is not one of events"))?;
            while let Some(frame) = parser.next() {
                if self.take(frame)? {
                    return Ok(End::Enough);
                }
            }
        }
    }

    /// Shows an event; true if it was the last one asked for.
    fn take(&mut self, frame: Frame) -> Result<bool> {
        match frame.event.as_str() {
            "gap" => {
                note(&format!("events are missing here: the stream no longer holds them ({})", frame.data));
            }
            _ if frame.data.is_empty() => {}
            _ => {
                self.show(&frame)?;
                self.left = self.left.map(|left| left.saturating_sub(1));
            }
        }
        if !frame.id.is_empty() {
            self.position = Some(frame.id);
        }
        Ok(self.left == Some(0))
    }

    fn show(&self, frame: &Frame) -> Result<()> {
        if self.output.format != Format::Table {
            return print(&frame.data);
        }
        let event: Value = serde_json::from_str(&frame.data)
            .map_err(|e| Failure::failed(format!("the stream holds something that is not JSON: {e}")))?;
        let position = self.args.verbose.then_some(frame.id.as_str());
        print(&line(&event, position, self.output.paint()))
    }
}

/// An event on a line: time, type, source, id, subject, data.
fn line(event: &Value, position: Option<&str>, paint: Paint) -> String {
    let attribute = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut parts = Vec::new();
    parts.extend(position.map(|position| paint.text(Style::Dim, position)));
    parts.push(paint.text(
        Style::Dim,
        match attribute("time") {
            "" => "-",
            time => time,
        },
    ));
    parts.push(paint.text(Style::Cyan, attribute("type")));
    parts.push(attribute("source").to_owned());
    parts.push(paint.text(Style::Bold, attribute("id")));
    if !attribute("subject").is_empty() {
        parts.push(attribute("subject").to_owned());
    }
    if let Some(data) = data(event) {
        let mut shown: String = data.chars().take(DATA_CHARS).collect();
        if shown.len() < data.len() {
            shown.push('…');
        }
        parts.push(shown);
    }
    parts.join("  ")
}

/// JSON as it is, text as text, and only the rest in base64.
fn data(event: &Value) -> Option<String> {
    if let Some(data) = event.get("data") {
        return Some(data.as_str().map_or_else(|| data.to_string(), ToOwned::to_owned));
    }
    let encoded = event.get("data_base64")?.as_str()?;
    let text = STANDARD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.filter(|text| !text.chars().any(char::is_control));
    Some(text.unwrap_or_else(|| format!("base64:{encoded}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::output::Color;

    #[test]
    fn an_event_is_a_line() {
        let paint = Output { format: Format::Table, color: Color::Never }.paint();
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "time": "2026-11-21T10:00:00Z",
            "subject": "x", "data": {"a": 1},
        });
        assert_eq!(line(&event, Some("7"), paint), "7  2026-11-21T10:00:00Z  t  /s  1  x  {\"a\":1}");
        for (data, shown) in [("AAAA", "base64:AAAA"), ("aGk=", "hi")] {
            let bare = json!({"id": "1", "source": "/s", "type": "t", "data_base64": data});
            assert_eq!(line(&bare, None, paint), format!("-  t  /s  1  {shown}"));
        }
        let long = json!({"id": "1", "source": "/s", "type": "t", "data": "é".repeat(200)});
        assert!(line(&long, None, paint).ends_with("éé…"));
    }
}
