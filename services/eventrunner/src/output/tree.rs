//! JSON that keeps the order of its members, to be shown as its writer meant it to be read.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

/// A JSON value; objects as lists of members.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Null,
    Text(String),
    Bool(bool),
    Number(Number),
}

impl Tree {
    /// On one line.
    fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Text(text) => text.clone(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Array(items) => items.iter().map(Self::text).collect::<Vec<_>>().join(", "),
            Self::Object(members) => {
                let members = members.iter().map(|(name, value)| format!("{name}={}", value.nested_text()));
                members.collect::<Vec<_>>().join(" ")
            }
        }
    }

    fn nested_text(&self) -> String {
        match self {
            Self::Object(_) | Self::Array(_) => format!("({})", self.text()),
            _ => self.text(),
        }
    }

    fn is_block(&self) -> bool {
        match self {
            Self::Object(members) => !members.is_empty(),
            Self::Array(items) => items.iter().any(|item| matches!(item, Self::Object(_))),
            _ => false,
        }
    }

    /// A line a member; nested objects indented.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.push_lines(&mut lines, 0);
        lines
    }

    fn push_lines(&self, lines: &mut Vec<String>, depth: usize) {
        let indent = "  ".repeat(depth);
        match self {
            Self::Object(members) => {
                let plain = members.iter().filter(|(_, value)| !value.is_block());
                let width = plain.map(|(name, _)| name.len()).max().unwrap_or_default();
                for (name, value) in members {
                    if value.is_block() {
                        lines.push(format!("{indent}{name}"));
                        value.push_lines(lines, depth + 1);
                    } else if *value != Self::Null {
                        lines.push(format!("{indent}{name:<width$}  {}", value.text()).trim_end().to_owned());
                    }
                }
            }
            // Items that fit on a line are easier to compare there.
            Self::Array(items) => lines.extend(items.iter().map(|item| format!("{indent}- {}", item.text()))),
            plain => lines.push(format!("{indent}{}", plain.text())),
        }
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
            Self::Array(items) => serializer.collect_seq(items),
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Tree::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_has_a_line_a_member_in_its_own_order() {
        let json = r#"{"id": "a", "hops": [{"hop": "door", "at": 1}, {"hop": "store", "at": {"x": 2}}], "none": null,
            "scopes": ["read", "write"], "limits": {"rate": 5, "name": "x"}}"#;
        let tree: Tree = serde_json::from_str(json).unwrap();
        let lines = [
            "id      a",
            "hops",
            "  - hop=door at=1",
            "  - hop=store at=(x=2)",
            "scopes  read, write",
            "limits",
            "  rate  5",
            "  name  x",
        ];
        assert_eq!(tree.lines(), lines);
    }
}
