//! Single keys from variables of the environment: `PERSIST__STORES__ORDERS__CLOSE_WAIT` is `stores.orders.close_wait`.

use std::ffi::OsString;

use persist_api::nearest;

use super::setting::{Reading, join};
use super::tree::{Node, Place, Tree};

/// How the names of variables begin that override keys. Two underscores stand between the parts of a key.
pub const VARIABLE_PREFIX: &str = "PERSIST__";
const BETWEEN: &str = "__";

/// The variable that overrides a key.
pub(crate) fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.to_ascii_uppercase().replace('.', BETWEEN))
}

/// Puts what the variables say into the tree. Answers which variable set which key. A variable cannot make a store: a
/// slip in a name would be one.
pub(crate) fn apply(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    root: &mut Node,
    reading: &mut Reading,
) -> Vec<(String, String)> {
    let mut found: Vec<(String, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
        .collect();
    found.sort();
    let mut applied = Vec::new();
    for (name, value) in found {
        let place = Place::Variable(name.chars().take(200).collect());
        let mut wrong = |key: &str, what: &str, near: Option<&str>| {
            reading.problems.add(place.clone(), key, what, near);
        };
        let key = name.strip_prefix(VARIABLE_PREFIX).unwrap_or_default();
        if key.bytes().any(|byte| byte.is_ascii_lowercase()) {
            wrong("", "write the name in upper case", None);
            continue;
        }
        let parts: Vec<String> = key.split(BETWEEN).map(str::to_ascii_lowercase).collect();
        if parts.iter().any(String::is_empty) {
            wrong("", "names no key: parts of a key stand between two underscores each", None);
            continue;
        }
        let Ok(value) = value.into_string() else {
            wrong(&parts.join("."), "the value is not UTF-8", None);
            continue;
        };
        if let Err(near) = check_store(root, &parts) {
            wrong(&parts.join("."), "there is no such store in the file", near.as_deref());
            continue;
        }
        let key = parts.join(".");
        if put(root, &parts, &Node::new(Tree::Text(value), place.clone())) {
            applied.push((name, key));
        } else {
            wrong(&key, "unknown key: what stands before the last part is no table", None);
        }
    }
    applied
}

fn entries(node: &Node) -> &[(String, Node)] {
    match &node.value {
        Tree::Table(entries) => entries,
        _ => &[],
    }
}

/// A key of a store needs that store in the file. The error is a store that is near.
fn check_store(root: &Node, parts: &[String]) -> Result<(), Option<String>> {
    let [first, name, ..] = parts else { return Ok(()) };
    if first != "stores" {
        return Ok(());
    }
    let stores =
        entries(root).iter().find(|(key, _)| key == first).map_or(&[][..], |(_, node)| entries(node));
    if stores.iter().any(|(known, _)| known == name) {
        return Ok(());
    }
    Err(nearest(name, stores.iter().map(|(known, _)| known.as_str())).map(|near| join(first, near)))
}

/// Sets a key, with the tables above it. False where something else than a table is above it.
fn put(at: &mut Node, parts: &[String], node: &Node) -> bool {
    let Some((first, rest)) = parts.split_first() else {
        *at = node.clone();
        return true;
    };
    if at.value == Tree::Null {
        at.value = Tree::Table(Vec::new());
    }
    let Tree::Table(entries) = &mut at.value else { return false };
    if let Some((_, below)) = entries.iter_mut().find(|(name, _)| name == first) {
        return put(below, rest, node);
    }
    let mut below = Node::new(Tree::Null, node.place.clone());
    let done = put(&mut below, rest, node);
    entries.push((first.clone(), below));
    done
}
