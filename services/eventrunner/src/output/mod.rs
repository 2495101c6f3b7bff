//! What commands print. Data goes to stdout in the chosen form; everything else goes to stderr.

mod tree;

use std::io::{self, IsTerminal as _, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

pub(crate) use self::tree::Tree;

use crate::exit::{Failure, Result};

/// The form of data on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line, as soon as it is known.
    Jsonl,
    /// YAML.
    Yaml,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    fn enabled(self, terminal: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            // https://no-color.org: any value but the empty one.
            Self::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        }
    }
}

/// The styles we use, as SGR parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Bold,
    Dim,
    Green,
    Yellow,
    Red,
    Cyan,
}

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    pub(crate) fn text(self, style: Style, text: &str) -> String {
        let sgr = match style {
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Red => "31",
            Style::Cyan => "36",
        };
        if self.0 { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A column of a table: its title, and where in an item its value stands (JSON pointer).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column(pub(crate) &'static str, pub(crate) &'static str);

/// Where data goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) color: Color,
}

impl Output {
    /// Colors for stdout.
    pub(crate) fn paint(self) -> Paint {
        Paint(self.color.enabled(io::stdout().is_terminal()))
    }

    /// Prints a list as a whole.
    pub(crate) fn list(self, columns: &[Column], items: &[Item]) -> Result<()> {
        match self.format {
            Format::Json => print(&indented(&items)?),
            Format::Jsonl => items.iter().try_for_each(|item| print(&compact(item)?)),
            Format::Yaml => print(yaml(&items.iter().map(tree).collect::<Result<Vec<_>>>()?)?.trim_end()),
            Format::Table => print(&table(columns, items)?),
        }
    }

    /// Prints one thing: as a table, a line a member.
    pub(crate) fn one(self, item: &Item) -> Result<()> {
        match self.format {
            Format::Json => print(&indented(item)?),
            Format::Jsonl => print(&compact(item)?),
            Format::Yaml => print(yaml(&tree(item)?)?.trim_end()),
            Format::Table => print(&tree(item)?.lines().join("\n")),
        }
    }
}

/// JSON as its writer wrote it: members in order, numbers to the last digit.
pub(crate) type Item = Box<RawValue>;

/// Any value as an [`Item`].
pub(crate) fn item(value: &impl Serialize) -> Result<Item> {
    serde_json::value::to_raw_value(value)
        .map_err(|e| Failure::failed(format!("cannot be shown as JSON: {e}")))
}

fn tree(item: &Item) -> Result<Tree> {
    serde_json::from_str(item.get()).map_err(|e| Failure::failed(format!("this is no JSON: {e}")))
}

/// As YAML.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|e| Failure::failed(format!("cannot be shown as YAML: {e}")))
}

fn indented(value: &impl Serialize) -> Result<String> {
    // Raw values are written as they are; only the outermost list is ours to lay out.
    serde_json::to_string_pretty(value).map_err(|e| Failure::failed(format!("cannot be shown as JSON: {e}")))
}

/// On one line: line breaks in JSON stand only between tokens.
pub(crate) fn compact(item: &Item) -> Result<String> {
    let text = item.get();
    if !text.contains('\n') {
        return Ok(text.to_owned());
    }
    Ok(text.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

/// Prints a line to stdout. A reader that has gone away (`| head`) is no failure: the program ends well.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::failed(format!("cannot write to stdout: {error}"))),
    }
}

/// A note for the person at the terminal.
pub(crate) fn note(text: &str) {
    // stderr may be closed; there is nobody to tell then.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A table with a header, as wide as the terminal at most.
fn table(columns: &[Column], items: &[Item]) -> Result<String> {
    if items.is_empty() {
        note("nothing found");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|c| c.0.to_uppercase()));
    for item in items {
        let value: Value = serde_json::from_str(item.get())
            .map_err(|e| Failure::failed(format!("the answer is no JSON: {e}")))?;
        table.add_row(columns.iter().map(|c| text_at(&value, c.1)));
    }
    Ok(trim_lines(&table.to_string()))
}

fn trim_lines(text: &str) -> String {
    text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect::<Vec<_>>().join("\n")
}

/// The value at a pointer as a cell.
pub(crate) fn text_at(item: &Value, pointer: &str) -> String {
    item.pointer(pointer).map(text_of).unwrap_or_default()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text_of).collect::<Vec<_>>().join(","),
        Value::Object(members) => {
            let pairs = members.iter().map(|(name, value)| format!("{name}={}", text_of(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_have_a_line_an_item() {
        let items = [
            json!({"id": "a", "limits": {"rate": 5}, "scopes": ["read", "write"]}),
            json!({"id": "long-one", "limits": {}}),
        ];
        let columns = [Column("id", "/id"), Column("rate", "/limits/rate"), Column("scopes", "/scopes")];
        let items = items.map(|i| item(&i).unwrap());
        assert_eq!(
            table(&columns, &items).unwrap(),
            "ID        RATE  SCOPES\na         5     read,write\nlong-one"
        );
        assert_eq!(table(&columns, &[]).unwrap(), "ID  RATE  SCOPES");
        assert_eq!(
            compact(&RawValue::from_string("{\n  \"a\": \"b\"\n}".into()).unwrap()).unwrap(),
            r#"{ "a": "b" }"#
        );
    }

    #[test]
    fn colors_are_for_terminals() {
        assert!(!Color::Auto.enabled(false) && Color::Always.enabled(false) && !Color::Never.enabled(true));
        assert_eq!(Paint(false).text(Style::Red, "x"), "x");
        assert_eq!(Paint(true).text(Style::Red, "x"), "\x1b[31mx\x1b[0m");
    }
}
