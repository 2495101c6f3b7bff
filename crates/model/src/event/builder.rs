//! Making an event: its parts one by one, its rules at the end.

use super::{
    AttributeValue, CloudEvent, Data,
    rules::{
        InvalidEvent, check_absolute_uri, check_extension, check_media_type, check_string,
        check_uri_reference,
    },
};
use crate::{Text, parse_rfc3339};

/// Builds a [`CloudEvent`] and checks it once, at the end.
#[derive(Clone, Debug)]
pub struct CloudEventBuilder {
    pub(super) event: CloudEvent,
}

impl CloudEventBuilder {
    /// Sets `subject`.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<Text>) -> Self {
        self.event.subject = Some(subject.into());
        self
    }

    /// Sets `time`, RFC 3339.
    #[must_use]
    pub fn time(mut self, time: impl Into<Text>) -> Self {
        self.event.time = Some(time.into());
        self
    }

    /// Sets `datacontenttype`.
    #[must_use]
    pub fn datacontenttype(mut self, media_type: impl Into<Text>) -> Self {
        self.event.datacontenttype = Some(media_type.into());
        self
    }

    /// Sets `dataschema`.
    #[must_use]
    pub fn dataschema(mut self, uri: impl Into<Text>) -> Self {
        self.event.dataschema = Some(uri.into());
        self
    }

    /// Adds an extension attribute.
    #[must_use]
    pub fn extension(mut self, name: impl Into<Text>, value: AttributeValue) -> Self {
        self.event.extensions.push((name.into(), value));
        self
    }

    /// Sets all extension attributes at once.
    #[must_use]
    pub fn extensions(mut self, extensions: Vec<(Text, AttributeValue)>) -> Self {
        self.event.extensions = extensions;
        self
    }

    /// Sets the optional attributes and the data that were found, from a decoder.
    pub(crate) fn found(
        mut self,
        [subject, time, datacontenttype, dataschema]: [Option<Text>; 4],
        data: Option<Data>,
    ) -> Self {
        self.event.subject = subject;
        self.event.time = time;
        self.event.datacontenttype = datacontenttype;
        self.event.dataschema = dataschema;
        self.event.data = data;
        self
    }

    /// Sets the data.
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.event.data = Some(data);
        self
    }

    /// Sets text data and its media type.
    #[must_use]
    pub fn text(self, media_type: impl Into<Text>, text: impl Into<Text>) -> Self {
        self.datacontenttype(media_type).data(Data::Text(text.into()))
    }

    /// Sets an attribute by its name, from a string as HTTP and NATS headers carry it: the core attributes
    /// go to their fields, anything else becomes a string extension.
    ///
    /// # Errors
    /// If the name is `data`, `data_base64`, `specversion` other than 1.0, or given twice.
    pub fn attribute(mut self, name: &str, value: Text) -> Result<Self, InvalidEvent> {
        let event = &mut self.event;
        match name {
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.ty = value,
            "specversion" if &*value == "1.0" => {}
            "specversion" => {
                return Err(InvalidEvent::new(
                    "specversion",
                    format!("is {value:?}; only \"1.0\" is supported"),
                ));
            }
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            "datacontenttype" => event.datacontenttype = Some(value),
            "dataschema" => event.dataschema = Some(value),
            _ => event.extensions.push((name.into(), AttributeValue::String(value))),
        }
        Ok(self)
    }

    /// Checks the whole and gives the event.
    ///
    /// # Errors
    /// The first rule of the specification that is broken, with the attribute's name.
    pub fn build(mut self) -> Result<CloudEvent, InvalidEvent> {
        let event = &mut self.event;
        for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.ty)] {
            if value.is_empty() {
                return Err(InvalidEvent::new(name, "is required and must not be empty"));
            }
            check_string(name, value)?;
        }
        let optional = [
            ("subject", &event.subject),
            ("time", &event.time),
            ("datacontenttype", &event.datacontenttype),
            ("dataschema", &event.dataschema),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                if value.is_empty() {
                    return Err(InvalidEvent::new(name, "must not be empty when present"));
                }
                check_string(name, value)?;
            }
        }
        check_uri_reference("source", &event.source)?;
        if let Some(uri) = &event.dataschema {
            check_absolute_uri("dataschema", uri)?;
        }
        if let Some(media_type) = &event.datacontenttype {
            check_media_type(media_type)?;
        }
        if let Some(time) = &event.time {
            parse_rfc3339(time).map_err(|e| InvalidEvent::new("time", e.to_string()))?;
        }
        event.extensions.sort_by(|(a, _), (b, _)| a.cmp(b));
        for pair in event.extensions.windows(2) {
            if let [(a, _), (b, _)] = pair
                && a == b
            {
                return Err(InvalidEvent::new(a.clone(), "is given twice"));
            }
        }
        for (name, value) in &event.extensions {
            check_extension(name, value)?;
        }
        Ok(self.event)
    }
}
