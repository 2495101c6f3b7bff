//! `eventrunner publish` against a door that says what the test wants.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{run, stderr};

/// A door that gives these answers, one a request, and hands over what it was sent.
struct Door {
    url: String,
    requests: mpsc::Receiver<Request>,
}

/// What the door was sent.
struct Request {
    at: Instant,
    head: String,
    events: Vec<Value>,
}

impl Door {
    fn answering(answers: &[(u16, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            for (status, header) in answers {
                let (stream, _) = listener.accept().unwrap();
                let request = read(&stream);
                let problem = json!({"code": match status { 429 => "rate_limited", 503 => "unavailable", _ => "invalid_event" }, "detail": "as told",
                    "errors": [{"pointer": "/1/id", "detail": "is missing"}]});
                let body = if status == 202 { json!({"events": [], "trace_id": "abc"}) } else { problem }
                    .to_string();
                let answer = format!(
                    "HTTP/1.1 {status} X\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                // Before the answer, so that it is there when the client has ended.
                if sender.send(request).is_err() {
                    return;
                }
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { url, requests }
    }

    fn requests(self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn read(stream: &TcpStream) -> Request {
    let at = Instant::now();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut head).unwrap(), 0, "a whole head");
    }
    let head = head.to_ascii_lowercase();
    let length =
        head.lines().find_map(|l| l.strip_prefix("content-length: ")).unwrap().trim().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request { at, head, events: serde_json::from_slice(&body).unwrap() }
}

fn file(count: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for i in 0..count {
        let event = json!({"specversion": "1.0", "id": i.to_string(), "source": "/s", "type": "t"});
        writeln!(file, "{event}").unwrap();
    }
    file
}

/// Publishes a file of so many events: exit code, summary, what was said.
fn publish(door: &Door, count: usize, args: &[&str]) -> (Option<i32>, Value, String) {
    let (folder, file) = (tempfile::tempdir().unwrap(), file(count));
    let path = file.path().to_str().unwrap();
    let fixed = ["publish", path, "-o", "json", "--key", "er_x", "--url", &door.url];
    let output = run(folder.path(), &[&fixed, args].concat());
    let summary = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), summary, stderr(&output))
}

#[test]
fn events_go_in_batches_in_their_order() {
    let door = Door::answering(&[(202, ""); 3]);
    let (code, summary, _) = publish(&door, 250, &["--batch", "100"]);
    assert_eq!((code, &summary["accepted"], &summary["requests"]), (Some(0), &json!(250), &json!(3)));
    let requests = door.requests();
    assert!(requests[0].head.starts_with("post /v1/events "));
    assert!(requests[0].head.contains("content-type: application/cloudevents-batch+json"));
    assert!(requests[0].head.contains("authorization: bearer er_x"));
    let ids: Vec<&str> = requests.iter().flat_map(|r| &r.events).map(|e| e["id"].as_str().unwrap()).collect();
    let expected: Vec<String> = (0..250).map(|i| i.to_string()).collect();
    assert_eq!(ids, expected);
}

#[test]
fn a_busy_door_is_asked_again_when_it_says() {
    let door = Door::answering(&[(429, "retry-after: 1\r\n"), (503, "retry-after: 0\r\n"), (202, "")]);
    let (code, summary, said) = publish(&door, 10, &[]);
    assert_eq!((code, &summary["accepted"], &summary["retries"]), (Some(0), &json!(10), &json!(2)), "{said}");
    let requests = door.requests();
    assert_eq!(requests[0].events, requests[2].events, "the same ids, so that they are kept once");
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(1), "not before it said");
}

#[test]
fn patience_ends() {
    let door = Door::answering(&[(503, "retry-after: 30\r\n")]);
    let (code, summary, said) = publish(&door, 10, &["--retry-for", "2"]);
    assert_eq!((code, &summary["refused"]), (Some(69), &json!(10)));
    assert!(said.contains("not accepted"), "{said}");
}

#[test]
fn a_refused_batch_is_named_and_what_follows_is_held_back() {
    let door = Door::answering(&[(202, ""), (400, "")]);
    let (code, summary, said) = publish(&door, 30, &["--batch", "10"]);
    assert_eq!((code, &summary["accepted"], &summary["refused"]), (Some(65), &json!(10), &json!(10)));
    assert!(said.contains("event 11 of") && said.contains("event 20 of") && said.contains("/1/id"), "{said}");
    assert!(said.contains("--batch 1"), "{said}");

    let door = Door::answering(&[(202, ""), (400, ""), (202, "")]);
    let (code, summary, _) = publish(&door, 30, &["--batch", "10", "--keep-going"]);
    assert_eq!((code, &summary["accepted"], &summary["refused"]), (Some(65), &json!(20), &json!(10)));
}

#[test]
fn a_rate_is_kept() {
    let door = Door::answering(&[(202, ""); 10]);
    let (code, summary, _) = publish(&door, 50, &["--rate", "50"]);
    assert_eq!((code, &summary["accepted"]), (Some(0), &json!(50)));
    let requests = door.requests();
    assert!(requests.iter().all(|r| r.events.len() == 5), "in small steps");
    let span = requests[9].at - requests[0].at;
    assert!(span >= Duration::from_millis(850), "{span:?} for nine tenths of a second's events");
}
