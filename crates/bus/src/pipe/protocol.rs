//! The broker's client protocol, as far as publishing needs it
//! (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use bytes::{Buf as _, Bytes, BytesMut};

use super::Headers;

const VERSION: &[u8] = b"NATS/1.0\r\n";

impl Headers for Vec<u8> {
    fn add(&mut self, name: &str, value: &str) {
        if value.bytes().any(|b| matches!(b, b'\r' | b'\n')) {
            return;
        }
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            self.extend_from_slice(part);
        }
    }
}

/// The bytes of a message as the broker counts them.
pub(super) fn size(headers: &[u8], payload: &[u8]) -> usize {
    VERSION.len() + headers.len() + 2 + payload.len()
}

/// Writes one message. `reply` is the inbox, the shipment and the message's number in it; `headers` are whole lines.
pub(super) fn publish(
    out: &mut Vec<u8>,
    subject: &str,
    (inbox, shipment, message): (&str, u64, usize),
    headers: &[u8],
    payload: &[u8],
) {
    let mut digits = itoa::Buffer::new();
    let headers_len = size(headers, &[]);
    out.reserve(128 + subject.len() + headers_len + payload.len());
    for part in [b"HPUB ", subject.as_bytes(), b" ", inbox.as_bytes(), b"."] {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(digits.format(shipment).as_bytes());
    out.push(b'.');
    out.extend_from_slice(digits.format(message).as_bytes());
    out.push(b' ');
    out.extend_from_slice(digits.format(headers_len).as_bytes());
    out.push(b' ');
    out.extend_from_slice(digits.format(headers_len + payload.len()).as_bytes());
    for part in [b"\r\n", VERSION, headers, b"\r\n", payload, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// What the broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An answer to a message: its number after the inbox, and what it says.
    Answer {
        shipment: u64,
        message: usize,
        sequence: Option<u64>,
    },
    /// Who it is, in JSON.
    Info(Bytes),
    Ping,
    Pong,
    /// What it does not like.
    Error(String),
    /// Nothing of interest.
    Other,
}

/// It does not speak the protocol.
#[derive(Debug, thiserror::Error)]
#[error("the broker says what is not understood: {0}")]
pub(super) struct NotUnderstood(String);

/// The longest line there can be: `INFO` of a large cluster.
const LINE_MAX: usize = 1 << 20;

/// Takes the next thing said from what has been read; none if it is not whole yet.
pub(super) fn next(read: &mut BytesMut, inbox: &str) -> Result<Option<Said>, NotUnderstood> {
    let not_understood =
        |line: &[u8]| NotUnderstood(String::from_utf8_lossy(&line[..line.len().min(200)]).into());
    let Some(end) = read.iter().position(|b| *b == b'\n') else {
        return if read.len() > LINE_MAX { Err(not_understood(read)) } else { Ok(None) };
    };
    let line = read[..end].strip_suffix(b"\r").unwrap_or(&read[..end]);
    let (word, rest) = split(line);
    let said = match word {
        b"MSG" | b"HMSG" => {
            let len =
                rest.rsplit(|b| *b == b' ').next().and_then(number).ok_or_else(|| not_understood(line))?;
            let len = usize::try_from(len).map_err(|_| not_understood(line))?;
            if read.len() < end + 1 + len + 2 {
                return Ok(None);
            }
            let place = place(split(rest).0, inbox);
            // A status instead of a payload: nobody listens to the subject, so no stream has it.
            let payload = if word == b"MSG" { &read[end + 1..end + 1 + len] } else { b"" };
            let said = place.map_or(Said::Other, |(shipment, message)| Said::Answer {
                shipment,
                message,
                sequence: sequence(payload),
            });
            read.advance(end + 1 + len + 2);
            return Ok(Some(said));
        }
        b"INFO" => Said::Info(Bytes::copy_from_slice(rest)),
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        b"+OK" => Said::Other,
        b"-ERR" => Said::Error(String::from_utf8_lossy(rest).into()),
        _ => return Err(not_understood(line)),
    };
    read.advance(end + 1);
    Ok(Some(said))
}

fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(line.len());
    (&line[..at], line.get(at + 1..).unwrap_or_default())
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `<inbox>.<shipment>.<message>`.
fn place(subject: &[u8], inbox: &str) -> Option<(u64, usize)> {
    let rest = subject.strip_prefix(inbox.as_bytes())?.strip_prefix(b".")?;
    let dot = rest.iter().position(|b| *b == b'.')?;
    Some((number(&rest[..dot])?, usize::try_from(number(&rest[dot + 1..])?).ok()?))
}

/// The sequence in `{"stream":"…","seq":7}`; none in `{"error":{…},…,"seq":0}`.
fn sequence(answer: &[u8]) -> Option<u64> {
    const SEQUENCE: &[u8] = b"\"seq\":";
    let at = answer.windows(SEQUENCE.len()).position(|window| window == SEQUENCE)? + SEQUENCE.len();
    let rest = answer.get(at..)?;
    let end = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
    number(&rest[..end]).filter(|sequence| *sequence > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_the_protocol_says() {
        let mut headers = Vec::new();
        headers.add("ce-id", "7");
        headers.add("ce-subject", "a\r\nce-id: 8");
        let mut out = Vec::new();
        publish(&mut out, "tenant.default.acme.t", ("_INBOX.x", 12, 3), &headers, b"{}");
        let expected = "HPUB tenant.default.acme.t _INBOX.x.12.3 22 24\r\nNATS/1.0\r\nce-id: 7\r\n\r\n{}\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn what_the_broker_says_is_understood_however_it_is_cut() {
        let answer = |message, sequence| Said::Answer { shipment: 12, message, sequence };
        let answered = |n: usize, body: &str| format!("MSG _INBOX.x.12.{n} 1 {}\r\n{body}\r\n", body.len());
        let said = [
            "INFO {\"a\":1}\r\n+OK\r\nPING\r\n".to_owned(),
            answered(3, r#"{"stream":"TENANT-default", "seq":41}"#),
            answered(4, r#"{"stream":"TENANT-default","seq":9,"duplicate":true}"#),
            answered(5, r#"{"error":{"code":503,"description":"full"},"stream":"T","seq":0}"#),
            "HMSG _INBOX.x.12.6 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n".to_owned(),
            "MSG somebody.else 1 2\r\nhi\r\nPONG\r\n-ERR 'Authorization Violation'\r\n".to_owned(),
        ]
        .concat();
        let expected = [
            Said::Info(Bytes::from_static(b"{\"a\":1}")),
            Said::Other,
            Said::Ping,
            answer(3, Some(41)),
            answer(4, Some(9)),
            answer(5, None),
            answer(6, None),
            Said::Other,
            Said::Pong,
            Said::Error("'Authorization Violation'".into()),
        ];
        for step in 1..said.len() {
            let mut read = BytesMut::new();
            let mut heard = Vec::new();
            for piece in said.as_bytes().chunks(step) {
                read.extend_from_slice(piece);
                while let Some(said) = next(&mut read, "_INBOX.x").unwrap() {
                    heard.push(said);
                }
            }
            assert_eq!(heard, expected, "in pieces of {step}");
            assert!(read.is_empty());
        }
    }

    #[test]
    fn what_is_no_broker_is_found_out() {
        for said in ["HTTP/1.1 400 Bad Request\r\n", "MSG a 1 x\r\n", "\r\n"] {
            assert!(next(&mut BytesMut::from(said), "_INBOX.x").is_err(), "{said}");
        }
    }
}
