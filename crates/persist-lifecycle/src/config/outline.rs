//! Configurations and their keys as text: a file to begin with, the effective one, the reference.

use std::fmt::Write as _;

use super::Config;
use super::environment::variable;
use super::setting::{NAME, Row, Setting};
use super::tree::Tree;

/// Width of comments.
const WIDTH: usize = 100;

/// A file with every key in a comment, with its meaning and its default. As it stands it says nothing, so that what is
/// changed in it is what differs.
#[must_use]
pub fn template() -> String {
    let mut text = String::from(
        "# A configuration of persist. Every key is here, with its default; remove the `#` before what you change.\n\
         # What the keys mean in full: docs/configuration.md. A single key can be overridden by a variable of the\n\
         # environment: stores.orders.close_wait by PERSIST__STORES__ORDERS__CLOSE_WAIT.\n",
    );
    for row in rows(&Config::default()) {
        text.push('\n');
        for line in wrapped(row.about) {
            let _ = writeln!(text, "# {line}");
        }
        match (&row.takes, &row.value) {
            (None, _) => {
                let _ = writeln!(text, "# [{}]", row.key);
            }
            (Some(takes), value) => {
                let _ = writeln!(text, "# Takes {takes}.");
                match value {
                    Some(value) => drop(writeln!(text, "# {} = {}", last(&row.key), inline(value))),
                    None => drop(writeln!(text, "# {} =", last(&row.key))),
                }
            }
        }
    }
    text
}

/// The reference of all keys, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    let rows = rows(&Config::default());
    let mut top = true;
    for row in &rows {
        let about = row.about.trim();
        let Some(takes) = &row.takes else {
            let _ = write!(text, "\n## `[{}]`\n\n{about}\n", row.key);
            top = true;
            continue;
        };
        if top {
            text.push_str("\n| key | takes | default | what it is |\n|---|---|---|---|\n");
            top = false;
        }
        let default = row.value.as_ref().map_or("–".to_owned(), |value| format!("`{}`", inline(value)));
        let _ = writeln!(text, "| `{}` | {takes} | {default} | {about} |", last(&row.key));
    }
    text
}

impl Config {
    /// The whole configuration as TOML, defaults included. Reading it gives the same configuration, unless a program made one
    /// that no file can say: with a path that is empty or not UTF-8, a time beyond 2^64 - 1 milliseconds (which is written as
    /// that), or what [`check`](Self::check) and [`check_engines`](Self::check_engines) refuse.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        for row in rows(self) {
            match (&row.takes, &row.value) {
                (None, _) if row.key.ends_with(NAME) => break,
                (None, _) => drop(write!(text, "\n[{}]\n", row.key)),
                (Some(_), Some(value)) => drop(writeln!(text, "{} = {}", last(&row.key), inline(value))),
                (Some(_), None) => {}
            }
        }
        text
    }

    /// Every key with its value as text, and the variable of the environment that would override it.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, Option<String>, String)> {
        let keys = rows(self).into_iter().filter(|row| row.takes.is_some() && !row.key.contains(NAME));
        keys.map(|row| {
            let value = row.value.as_ref().map(inline);
            let name = variable(&row.key);
            (row.key, value, name)
        })
        .collect()
    }
}

fn rows(config: &Config) -> Vec<Row> {
    let mut rows = Vec::new();
    config.outline("", "", &mut rows);
    rows
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A value as TOML in one line.
fn inline(value: &Tree) -> String {
    match value {
        Tree::Null => String::new(),
        Tree::Switch(value) => value.to_string(),
        Tree::Whole(number) => number.to_string(),
        Tree::Other(text) => text.clone(),
        Tree::Text(text) => quoted(text),
        Tree::List(items) => {
            let items: Vec<String> = items.iter().map(|item| inline(&item.value)).collect();
            format!("[{}]", items.join(", "))
        }
        Tree::Table(entries) if entries.is_empty() => "{}".to_owned(),
        Tree::Table(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, node)| format!("{} = {}", quoted(name), inline(&node.value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => drop(write!(quoted, "\\U{:08X}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A sentence in lines.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len().saturating_add(word.len()) < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
