//! Text to values, with the line of each.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Problem};
use super::tree::{Lines, Node, Place, Tree};

/// How a configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// TOML 1.
    Toml,
    /// JSON.
    Json,
}

impl Format {
    /// The format that the name of a file tells: `.toml` or `.json`, in any case.
    #[must_use]
    pub fn of(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(crate) fn parse(self, text: &str) -> Result<Node, ConfigError> {
        match self {
            Self::Toml => toml(text),
            Self::Json => json(text),
        }
    }
}

fn unreadable(line: Option<usize>, what: String) -> ConfigError {
    let place = line.map_or(Place::Unknown, Place::Line);
    ConfigError { file: None, problems: vec![Problem { place, key: String::new(), what, near: None }] }
}

fn toml(text: &str) -> Result<Node, ConfigError> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| lines.line(span.start));
        unreadable(line, format!("not TOML: {}", error.message()))
    })?;
    Ok(Node::new(toml_table(table.get_ref(), &lines), Place::Line(1)))
}

fn toml_table(table: &DeTable<'_>, lines: &Lines) -> Tree {
    let entry = |name: &str, at: usize, value: &DeValue<'_>| {
        (name.to_owned(), Node::new(toml_value(value, lines), Place::Line(lines.line(at))))
    };
    let entries = table.iter().map(|(name, value)| entry(name.get_ref(), name.span().start, value.get_ref()));
    Tree::Table(entries.collect())
}

fn toml_value(value: &DeValue<'_>, lines: &Lines) -> Tree {
    match value {
        DeValue::String(text) => Tree::text(text.as_ref()),
        DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Tree::Whole(number),
            Err(_) => Tree::Other(number.to_string()),
        },
        DeValue::Float(number) => Tree::Other(number.to_string()),
        DeValue::Boolean(value) => Tree::Switch(*value),
        DeValue::Datetime(date) => Tree::Other(date.to_string()),
        DeValue::Array(items) => Tree::List(
            items
                .iter()
                .map(|item| {
                    Node::new(toml_value(item.get_ref(), lines), Place::Line(lines.line(item.span().start)))
                })
                .collect(),
        ),
        DeValue::Table(table) => toml_table(table, lines),
    }
}

/// Bytes with a count of those that were taken: the reader of JSON takes one at a time, so that the count tells where it is.
struct Counted<'t> {
    rest: &'t [u8],
    taken: &'t Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.rest.read(buffer)?;
        self.taken.set(self.taken.get().saturating_add(got));
        Ok(got)
    }
}

fn json(text: &str) -> Result<Node, ConfigError> {
    let (lines, taken) = (Lines::of(text), Cell::new(0));
    let mut reader = serde_json::Deserializer::from_reader(Counted { rest: text.as_bytes(), taken: &taken });
    // The last byte taken may only have been looked at.
    let place = || Place::Line(lines.line(taken.get().saturating_sub(1)));
    let wrong = |error: serde_json::Error| {
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        unreadable(Some(error.line()), format!("not JSON: {what}"))
    };
    let node = AnyNode(&place).deserialize(&mut reader).map_err(wrong)?;
    reader.end().map_err(wrong)?;
    Ok(node)
}

/// Takes whatever comes, in any format of serde.
#[derive(Clone, Copy)]
pub(crate) struct AnyNode<'p>(pub(crate) &'p dyn Fn() -> Place);

impl<'de> DeserializeSeed<'de> for AnyNode<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        from.deserialize_any(self)
    }
}

impl AnyNode<'_> {
    fn node(self, value: Tree) -> Node {
        Node::new(value, (self.0)())
    }
}

impl<'de> Visitor<'de> for AnyNode<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(self.node(Tree::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(self.node(Tree::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Node, D::Error> {
        self.deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(self.node(Tree::Switch(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.node(Tree::Whole(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.node(Tree::Whole(value.into())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(self.node(Tree::Other(value.to_string())))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(self.node(Tree::text(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let place = (self.0)();
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::new(Tree::List(list), place))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let place = (self.0)();
        let (mut table, mut names) = (Vec::new(), BTreeSet::new());
        while let Some(name) = entries.next_key::<String>()? {
            // The line of the key, as in TOML.
            let place = (self.0)();
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("the key {name:?} stands there twice")));
            }
            let mut node = entries.next_value_seed(self)?;
            node.place = place;
            // The same as saying nothing.
            if node.value != Tree::Null {
                table.push((name, node));
            }
        }
        Ok(Node::new(Tree::Table(table), place))
    }
}
