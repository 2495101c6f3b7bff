//! Server-sent events, as they come in (WHATWG HTML, section 9.2.6).

use bytes::{Buf as _, BytesMut};

/// The longest event that is read: the largest event there may be, and room for its encoding.
const EVENT_BYTES_MAX: usize = 32 << 20;

/// One event of the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its kind; `message` when the stream names none.
    pub(crate) event: String,
    /// Where to resume after it; empty: unchanged.
    pub(crate) id: String,
    /// What it says.
    pub(crate) data: String,
}

/// Puts the pieces that arrive together to events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: BytesMut,
    frame: Frame,
    has_data: bool,
}

/// An event that would not end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    /// Takes a piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.buffer.len() + self.frame.data.len() + piece.len() > EVENT_BYTES_MAX {
            return Err(TooLong);
        }
        self.buffer.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole event.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        while let Some(line) = self.line() {
            if !line.is_empty() {
                self.field(&line);
            } else if self.has_data || !self.frame.id.is_empty() {
                self.has_data = false;
                let mut frame = std::mem::take(&mut self.frame);
                if frame.event.is_empty() {
                    "message".clone_into(&mut frame.event);
                }
                return Some(frame);
            } else {
                self.frame = Frame::default();
            }
        }
        None
    }

    /// A line without its end: LF, or CRLF. (A lone CR, which the standard also allows, our API never sends.)
    fn line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|b| *b == b'\n')?;
        let line = self.buffer.split_to(end);
        self.buffer.advance(1);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        Some(String::from_utf8_lossy(line).into_owned())
    }

    fn field(&mut self, line: &str) {
        // A line that begins with a colon is a comment: its name is empty.
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.frame.event),
            "id" => value.clone_into(&mut self.frame.id),
            "data" => {
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
                self.has_data = true;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pieces: &[&str]) -> Vec<(String, String, String)> {
        let mut parser = Parser::default();
        let mut all = Vec::new();
        for piece in pieces {
            parser.push(piece.as_bytes()).unwrap();
            while let Some(frame) = parser.next() {
                all.push((frame.event, frame.id, frame.data));
            }
        }
        all
    }

    #[test]
    fn reads_the_stream_however_it_is_cut() {
        let stream = ": hello\n\nid: 7\nevent: event\ndata: {\"a\":\ndata: 1}\n\nretry: 2000\n\nid:8\r\ndata:x\r\n\r\ndata: y\n";
        let expected = vec![
            ("event".to_owned(), "7".to_owned(), "{\"a\":\n1}".to_owned()),
            ("message".to_owned(), "8".to_owned(), "x".to_owned()),
        ];
        assert_eq!(frames(&[stream]), expected);
        for cut in 1..stream.len() {
            assert_eq!(frames(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_place_without_data_is_told_too() {
        assert_eq!(frames(&["id: 9\n\n"]), [("message".to_owned(), "9".to_owned(), String::new())]);
    }

    #[test]
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        assert_eq!(parser.push(&vec![b'x'; EVENT_BYTES_MAX + 1]), Err(TooLong));
    }
}
