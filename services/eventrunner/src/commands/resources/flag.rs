//! Members of resources as flags.

use std::{fs, io::Read as _, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, builder::PossibleValuesParser, parser::ValueSource, value_parser};
use serde_json::{Map, Value};

use super::Verb;
use crate::exit::{Failure, Result};

/// How a member is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text,
    Number,
    Bool,
    /// Given or not where one is made, `BOOL` where one is changed.
    Switch,
    Choice(&'static [&'static str]),
    /// Several of those: repeatable, or separated by commas.
    Choices(&'static [&'static str]),
    /// Repeatable.
    List,
    /// `NAME=VALUE`, repeatable.
    Pairs,
    /// The name of a file that holds JSON, or YAML if its name says so.
    ValueFile,
    /// The name of a file whose text it is.
    TextFile,
}

/// A member as a flag.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag {
    pub(crate) long: &'static str,
    /// JSON pointer to the member; objects between are made.
    pub(crate) pointer: &'static str,
    pub(crate) form: Form,
    pub(crate) value_name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) required: bool,
    /// Where one is made.
    pub(crate) default: Option<&'static str>,
}

impl Flag {
    pub(super) const fn new(
        long: &'static str,
        pointer: &'static str,
        form: Form,
        help: &'static str,
    ) -> Self {
        let value_name = match form {
            Form::Number => "N",
            Form::Bool | Form::Switch => "BOOL",
            Form::Pairs => "NAME=VALUE",
            Form::ValueFile | Form::TextFile => "FILE",
            _ => "",
        };
        Self { long, pointer, form, value_name, help, required: false, default: None }
    }

    pub(super) const fn text(long: &'static str, pointer: &'static str, help: &'static str) -> Self {
        Self::new(long, pointer, Form::Text, help)
    }

    pub(super) const fn number(long: &'static str, pointer: &'static str, help: &'static str) -> Self {
        Self::new(long, pointer, Form::Number, help)
    }

    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn called(self, value_name: &'static str) -> Self {
        Self { value_name, ..self }
    }

    pub(super) const fn or(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// As clap knows it.
    pub(super) fn arg(&self, verb: Verb) -> Arg {
        let arg = Arg::new(self.long).long(self.long).help(self.help);
        let arg = if self.value_name.is_empty() { arg } else { arg.value_name(self.value_name) };
        let arg = match self.form {
            Form::Text => arg,
            Form::Number => arg.value_parser(value_parser!(u32)),
            Form::Switch if verb.is_whole() => arg.action(ArgAction::SetTrue),
            Form::Bool | Form::Switch => arg.value_parser(value_parser!(bool)),
            Form::Choice(values) => arg.value_parser(PossibleValuesParser::new(values)),
            Form::Choices(values) => arg
                .action(ArgAction::Append)
                .value_delimiter(',')
                .value_parser(PossibleValuesParser::new(values)),
            Form::List => arg.action(ArgAction::Append),
            Form::Pairs => arg.action(ArgAction::Append).value_parser(pair),
            Form::ValueFile | Form::TextFile => arg.value_parser(value_parser!(PathBuf)),
        };
        if !verb.is_whole() {
            return arg;
        }
        let arg = match self.default {
            Some(default) => arg.default_value(default),
            None => arg,
        };
        if self.required { arg.required_unless_present("file") } else { arg }
    }

    /// Puts what was given into the resource.
    pub(super) fn put(
        &self,
        verb: Verb,
        matches: &ArgMatches,
        resource: &mut Map<String, Value>,
    ) -> Result<()> {
        match matches.value_source(self.long) {
            None => return Ok(()),
            // What a file says goes before.
            Some(ValueSource::DefaultValue) if is_in(resource, self.pointer) => return Ok(()),
            Some(ValueSource::DefaultValue) if self.form == Form::Switch => return Ok(()),
            Some(_) => {}
        }
        let texts = || matches.get_many::<String>(self.long).into_iter().flatten();
        let one = || texts().next().cloned().unwrap_or_default();
        let value = match self.form {
            Form::Text | Form::Choice(_) => one().into(),
            Form::Number => matches.get_one::<u32>(self.long).copied().into(),
            Form::Switch if verb.is_whole() => matches.get_flag(self.long).into(),
            Form::Bool | Form::Switch => matches.get_one::<bool>(self.long).copied().into(),
            Form::Choices(_) | Form::List => texts().map(String::as_str).collect::<Value>(),
            Form::Pairs => {
                let pairs = matches.get_many::<(String, String)>(self.long).into_iter().flatten();
                Value::Object(pairs.map(|(n, v)| (n.clone(), v.as_str().into())).collect())
            }
            Form::ValueFile => read_value(&self.path(matches))?,
            Form::TextFile => read_text(&self.path(matches))?.into(),
        };
        put(resource, self.pointer, value);
        Ok(())
    }

    fn path(&self, matches: &ArgMatches) -> PathBuf {
        matches.get_one::<PathBuf>(self.long).cloned().unwrap_or_default()
    }
}

fn pair(text: &str) -> std::result::Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn is_in(resource: &Map<String, Value>, pointer: &str) -> bool {
    let mut names = pointer.trim_start_matches('/').split('/');
    let first = names.next().and_then(|name| resource.get(name));
    names.try_fold(first, |value, name| value.map(|v| v.get(name))).flatten().is_some()
}

/// Puts a value where the pointer says. Objects on the way are made.
pub(crate) fn put(resource: &mut Map<String, Value>, pointer: &str, value: Value) {
    let names = pointer.strip_prefix('/').unwrap_or(pointer);
    match names.split_once('/') {
        None => {
            resource.insert(unescaped(names), value);
        }
        Some((name, rest)) => {
            let inner = resource.entry(unescaped(name)).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// The text of a file, or of stdin for `-`.
pub(crate) fn read_text(path: &PathBuf) -> Result<String> {
    if path.as_os_str() != "-" {
        return fs::read_to_string(path).map_err(|e| Failure::file("cannot read", path, &e));
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|e| Failure::failed(format!("cannot read stdin: {e}")))?;
    Ok(text)
}

/// What a file holds: JSON, or YAML if its name says so; of stdin whatever it looks like.
pub(crate) fn read_value(path: &PathBuf) -> Result<Value> {
    let text = read_text(path)?;
    let named = path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    if named || (path.as_os_str() == "-" && !text.trim_start().starts_with(['{', '['])) {
        return serde_saphyr::from_str(&text)
            .map_err(|e| Failure::data(format!("{} is not YAML: {e}", path.display())));
    }
    serde_json::from_str(&text).map_err(|e| Failure::data(format!("{} is not JSON: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_put_where_they_belong() {
        let mut resource = Map::new();
        put(&mut resource, "/limits/a", 1.into());
        put(&mut resource, "/limits/b", 2.into());
        put(&mut resource, "/labels/x~1y", "z".into());
        put(&mut resource, "/name", "n".into());
        let expected = json!({"limits": {"a": 1, "b": 2}, "labels": {"x/y": "z"}, "name": "n"});
        assert_eq!(Value::Object(resource.clone()), expected);
        assert!(is_in(&resource, "/limits/a") && !is_in(&resource, "/limits/c") && !is_in(&resource, "/x/y"));
    }
}
