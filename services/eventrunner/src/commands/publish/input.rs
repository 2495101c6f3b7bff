//! The events to publish: JSON from files or stdin, or one put together from flags.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use model::{Clock as _, SystemClock, format_rfc3339};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Args;
use crate::{
    exit::{Failure, Result},
    output::{Item, item},
};

/// Where an event stands in the input, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    file: String,
    /// From 1.
    number: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of {}", self.number, self.file)
    }
}

/// An event to send, in the CloudEvents JSON format, as it was written.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) place: Place,
    pub(super) json: Item,
}

/// What is put around data that is not a CloudEvent.
#[derive(Debug, Clone, Default)]
struct Envelope {
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    subject: Option<String>,
    content_type: Option<String>,
    extensions: Vec<(String, String)>,
}

impl Envelope {
    fn of(args: &Args) -> Self {
        Self {
            id: args.id.clone(),
            source: args.source.clone(),
            r#type: args.r#type.clone(),
            subject: args.subject.clone(),
            content_type: args.content_type.clone(),
            extensions: args.extensions.clone(),
        }
    }

    /// A CloudEvent around `data`, which is JSON, or else text.
    fn wrap(&self, data: Option<&RawValue>) -> Result<Item> {
        let missing = |flag: &str| {
            Failure::usage(format!("this is data and not a CloudEvent, so {flag} is needed"))
                .hint("a CloudEvent has the members specversion, id, source and type")
        };
        let source = self.source.as_ref().ok_or_else(|| missing("--source"))?;
        let r#type = self.r#type.as_ref().ok_or_else(|| missing("--type"))?;
        let mut members = vec![
            ("specversion", item(&"1.0")?),
            ("id", item(&self.id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()))?),
            ("source", item(source)?),
            ("type", item(r#type)?),
            ("time", item(&format_rfc3339(SystemClock.now()))?),
        ];
        if let Some(subject) = &self.subject {
            members.push(("subject", item(subject)?));
        }
        for (name, value) in &self.extensions {
            members.push((name, item(value)?));
        }
        if let Some(data) = data {
            members.push((
                "datacontenttype",
                item(&self.content_type.as_deref().unwrap_or("application/json"))?,
            ));
            members.push(("data", data.to_owned()));
        }
        let text = members
            .iter()
            .map(|(name, value)| Ok(format!("{}:{}", item(name)?.get(), value.get())))
            .collect::<Result<Vec<_>>>()?
            .join(",");
        RawValue::from_string(format!("{{{text}}}"))
            .map_err(|e| Failure::failed(format!("the event cannot be written as JSON: {e}")))
    }

    /// Data from the command line: JSON as it is, anything else as text.
    fn wrap_text(&self, text: &str) -> Result<Item> {
        if let Ok(raw) = serde_json::from_str::<&RawValue>(text)
            && self.content_type.as_deref().is_none_or(|t| t.contains("json"))
        {
            return self.wrap(Some(raw));
        }
        let content_type = self.content_type.clone().unwrap_or_else(|| "text/plain".to_owned());
        let envelope = Self { content_type: Some(content_type), ..self.clone() };
        envelope.wrap(Some(&item(&text)?))
    }
}

/// Whether a JSON object says that it is a CloudEvent.
fn is_cloud_event(raw: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Head {
        specversion: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_str::<Head>(raw.get()).is_ok_and(|head| head.specversion.is_some())
}

/// All events of the input, one after the other.
pub(super) struct Input {
    files: std::vec::IntoIter<PathBuf>,
    current: Option<Reading>,
    /// Events read and not yet given out: those of an array.
    waiting: std::collections::VecDeque<Result<Event>>,
    envelope: Envelope,
    /// Bytes of all files, if that is known before reading.
    pub(super) bytes: Option<u64>,
}

struct Reading {
    file: String,
    number: usize,
    values: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<Box<dyn Read + Send>>, Item>,
}

impl Input {
    pub(super) fn of(args: &Args) -> Result<Self> {
        let envelope = Envelope::of(args);
        let mut waiting = std::collections::VecDeque::new();
        let quick = args.data.is_some() || (args.files.is_empty() && args.r#type.is_some());
        if quick {
            let json = match args.data.as_deref() {
                None => envelope.wrap(None)?,
                Some(text) => match text.strip_prefix('@') {
                    Some(path) => envelope.wrap_text(&read(Path::new(path))?)?,
                    None => envelope.wrap_text(text)?,
                },
            };
            let place = Place { file: "the command line".to_owned(), number: 1 };
            waiting.push_back(Ok(Event { place, json }));
        }
        let files = match (&*args.files, quick) {
            ([], false) => vec![PathBuf::from("-")],
            (files, _) => files.to_vec(),
        };
        let bytes = files.iter().map(|file| size(file)).sum::<Option<u64>>().filter(|_| !quick);
        Ok(Self { files: files.into_iter(), current: None, waiting, envelope, bytes })
    }

    fn open(&mut self, path: &Path) -> Result<Reading> {
        let (file, reader): (String, Box<dyn Read + Send>) = if path.as_os_str() == "-" {
            ("stdin".to_owned(), Box::new(io::stdin()))
        } else {
            let opened = File::open(path).map_err(|e| Failure::file("cannot read", path, &e))?;
            (path.display().to_string(), Box::new(opened))
        };
        let reader: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(1 << 16, reader));
        Ok(Reading { file, number: 0, values: serde_json::Deserializer::from_reader(reader).into_iter() })
    }

    /// Takes an object as an event; an array as its items.
    fn take(&mut self, reading: &mut Reading, value: &Item) {
        let items: Vec<Item> = if value.get().starts_with('[') {
            serde_json::from_str(value.get()).unwrap_or_default()
        } else {
            vec![value.clone()]
        };
        for json in items {
            reading.number += 1;
            let place = Place { file: reading.file.clone(), number: reading.number };
            let event = if is_cloud_event(&json) { Ok(json) } else { self.envelope.wrap(Some(&json)) };
            let event = event
                .map_err(|failure| Failure { message: format!("{place}: {}", failure.message), ..failure });
            self.waiting.push_back(event.map(|json| Event { place, json }));
        }
    }
}

impl Iterator for Input {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let Some(mut reading) = self.current.take() else {
                let path = self.files.next()?;
                match self.open(&path) {
                    Ok(reading) => self.current = Some(reading),
                    Err(failure) => return Some(Err(failure)),
                }
                continue;
            };
            match reading.values.next() {
                None => {}
                Some(Ok(value)) => {
                    self.take(&mut reading, &value);
                    self.current = Some(reading);
                }
                // Nothing after it can be read, so the file ends here.
                Some(Err(error)) if error.is_io() => {
                    return Some(Err(Failure::failed(format!("{} cannot be read: {error}", reading.file))));
                }
                Some(Err(error)) => {
                    let message =
                        format!("{} is not JSON after event {}: {error}", reading.file, reading.number);
                    return Some(Err(Failure::data(message)
                        .hint("events are JSON objects: one a line, in an array, or one after the other")));
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Failure::file("cannot read", path, &e))
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|m| m.len())
}

/// `name=value` of an extension attribute (CloudEvents 1.0, "Attribute Naming").
pub(super) fn extension(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    let ok = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if ok {
        Ok((name.to_owned(), value.to_owned()))
    } else {
        Err(format!("{name:?} is no attribute name: only a-z and 0-9"))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::exit::Code;

    fn args(files: &[&Path]) -> Args {
        Args { files: files.iter().map(|f| (*f).to_owned()).collect(), ..Args::default() }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    const A: &str = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n": 1.00}}"#;

    #[test]
    fn events_come_one_a_line_in_an_array_or_laid_out() {
        let pretty = "{\n \"specversion\": \"1.0\",\n \"id\": \"2\"\n}";
        for text in [format!("{A}\n{pretty}\n\n"), format!("[{A},\n{pretty}]"), format!("{A}{pretty}")] {
            let file = file(&text);
            let events: Vec<Event> = Input::of(&args(&[file.path()])).unwrap().map(Result::unwrap).collect();
            let json: Vec<&str> = events.iter().map(|e| e.json.get()).collect();
            assert_eq!(json, [A, pretty], "kept as written");
            assert!(events[1].place.to_string().starts_with("event 2 of "));
        }
    }

    #[test]
    fn data_is_wrapped_where_the_flags_say_how() {
        let file = file(r#"{"n": 1.00}"#);
        let failure = Input::of(&args(&[file.path()])).unwrap().next().unwrap().unwrap_err();
        assert!(failure.to_string().contains("--source"), "{failure}");
        let named = Args {
            source: Some("/s".into()),
            r#type: Some("t".into()),
            subject: Some("x".into()),
            extensions: vec![("shard".into(), "7".into())],
            ..args(&[file.path()])
        };
        let event = Input::of(&named).unwrap().next().unwrap().unwrap();
        assert!(event.json.get().ends_with(
            r#""subject":"x","shard":"7","datacontenttype":"application/json","data":{"n": 1.00}}"#
        ));

        for (data, content_type, expected) in [
            ("{\"a\":1}", None, r#""datacontenttype":"application/json","data":{"a":1}}"#),
            ("hello", None, r#""datacontenttype":"text/plain","data":"hello"}"#),
            ("17", Some("text/plain"), r#""datacontenttype":"text/plain","data":"17"}"#),
        ] {
            let quick = Args {
                data: Some(data.into()),
                content_type: content_type.map(str::to_owned),
                files: Vec::new(),
                ..named.clone()
            };
            let events: Vec<_> = Input::of(&quick).unwrap().map(Result::unwrap).collect();
            assert_eq!(events.len(), 1);
            assert!(events[0].json.get().ends_with(expected), "{}", events[0].json);
        }
    }

    #[test]
    fn says_where_the_input_is_wrong() {
        let file = file(&format!("{A}\nnot json\n{A}"));
        let mut input = Input::of(&args(&[file.path(), Path::new("/no/such/file")])).unwrap();
        assert!(input.next().unwrap().is_ok());
        let failure = input.next().unwrap().unwrap_err();
        assert!(failure.code == Code::Data && failure.message.contains("after event 1"), "{failure}");
        assert_eq!(input.next().unwrap().unwrap_err().code, Code::NotFound);
        assert!(input.next().is_none());
    }

    #[test]
    fn extensions() {
        assert_eq!(extension("a1=b=c"), Ok(("a1".into(), "b=c".into())));
        assert!(extension("A=b").is_err() && extension("ab").is_err() && extension("=b").is_err());
    }
}
