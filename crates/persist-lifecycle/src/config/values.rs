//! The types that keys have.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use persist_api::{Caps, Durability, OpenMode, REGISTRY, nearest};

use super::setting::{NAME, Reading, Row, Section, Setting, join, shown};
use super::tree::{Node, Tree};
use super::units::{Bytes, time, time_text};

/// Implements [`Setting`] by a way there and a way back.
macro_rules! setting {
    ($Type:ty, $takes:expr, $read:expr, $write:expr) => {
        impl Setting for $Type {
            fn takes() -> String {
                $takes.to_owned()
            }

            fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
                let read: fn(&Node) -> Option<Self> = $read;
                let value = read(node);
                if value.is_none() {
                    reading.wrong(node, key, &Self::takes());
                }
                value
            }

            fn write(&self) -> Option<Tree> {
                let write: fn(&Self) -> Option<Tree> = $write;
                write(self)
            }
        }
    };
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Tree::Text(text) => Some(text),
        _ => None,
    }
}

fn whole(node: &Node) -> Option<i128> {
    match (&node.value, node.variable_text()) {
        (Tree::Whole(number), _) => Some(*number),
        // Digits only: no sign, no spaces.
        (_, Some(text)) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    }
}

fn switch(node: &Node) -> Option<bool> {
    match (&node.value, node.variable_text()) {
        (Tree::Switch(value), _) => Some(*value),
        (_, Some("true")) => Some(true),
        (_, Some("false")) => Some(false),
        _ => None,
    }
}

setting!(bool, "true or false", switch, |value| Some(Tree::Switch(*value)));
setting!(u32, "a whole number up to 4294967295", |node| whole(node)?.try_into().ok(), |value| Some(
    Tree::Whole((*value).into())
));
setting!(u64, "a whole number", |node| whole(node)?.try_into().ok(), |value| Some(Tree::Whole(
    (*value).into()
)));
setting!(
    Bytes,
    "bytes, as 4096 or \"64 MiB\"",
    |node| match (whole(node), text(node)) {
        (Some(number), _) => number.try_into().ok().map(Bytes),
        (None, text) => Bytes::of_text(text?),
    },
    |value| Some(Tree::Text(value.to_string()))
);
setting!(
    Duration,
    "a time with a unit (ns, us, ms, s, min, h, d), as \"5 s\"",
    |node| time(text(node)?),
    |value| Some(Tree::Text(time_text(*value)))
);
setting!(
    PathBuf,
    "a path",
    |node| text(node).filter(|text| !text.is_empty() && !text.contains('\0')).map(PathBuf::from),
    // A path of a file that is read is text; one of a program may be anything, and is shown as well as it can be.
    |value| Some(Tree::Text(value.display().to_string()))
);
setting!(
    OpenMode,
    "\"open_or_create\", \"must_exist\" or \"must_create\"",
    |node| match text(node)? {
        "open_or_create" => Some(Self::OpenOrCreate),
        "must_exist" => Some(Self::MustExist),
        "must_create" => Some(Self::MustCreate),
        _ => None,
    },
    |value| Some(Tree::text(match value {
        Self::OpenOrCreate => "open_or_create",
        Self::MustExist => "must_exist",
        Self::MustCreate => "must_create",
    }))
);
setting!(
    Durability,
    "\"durable\", \"buffered\" or \"volatile\"",
    |node| Self::from_name(text(node)?),
    |value| Some(Tree::text(value.name()))
);

/// The name of an engine.
impl Setting for String {
    fn takes() -> String {
        "the name of an engine".to_owned()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        let name = text(node).filter(|name| persist_store::is_scheme(name)).map(str::to_owned);
        if name.is_none() {
            reading.wrong(node, key, &Self::takes());
        }
        name
    }

    fn write(&self) -> Option<Tree> {
        Some(Tree::text(self))
    }
}

/// The texts of a list, each with its node; a variable holds them with commas between.
fn list(node: &Node, key: &str, takes: &str, reading: &mut Reading) -> Option<Vec<Node>> {
    let wrong = match (&node.value, node.variable_text()) {
        (_, Some(text)) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            return Some(words.map(|word| Node::new(Tree::text(word), node.place.clone())).collect());
        }
        (Tree::List(items), _) => match items.iter().find(|item| text(item).is_none()) {
            None => return Some(items.clone()),
            Some(item) => item,
        },
        _ => node,
    };
    reading.wrong(wrong, key, takes);
    None
}

/// Names of stores.
impl Setting for Vec<String> {
    fn takes() -> String {
        "a list of names of stores".to_owned()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        let items = list(node, key, &Self::takes(), reading)?;
        // Whether there are such stores is seen when all of them are read.
        Some(items.iter().filter_map(text).map(str::to_owned).collect())
    }

    fn write(&self) -> Option<Tree> {
        Some(Tree::List(self.iter().map(|name| Tree::text(name).into()).collect()))
    }
}

impl Setting for Caps {
    fn takes() -> String {
        "a list of names of capabilities (docs/capabilities.md)".to_owned()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        let mut caps = Self::empty();
        for item in list(node, key, &Self::takes(), reading)? {
            let name = text(&item).unwrap_or_default();
            if let Some(cap) = Self::named(name) {
                caps |= cap;
            } else {
                let near = nearest(name, REGISTRY.iter().map(|cap| cap.name));
                let what = format!("there is no capability {}", shown(name));
                reading.problems.add(item.place, key, what, near);
            }
        }
        Some(caps)
    }

    fn write(&self) -> Option<Tree> {
        Some(Tree::List(self.rows().map(|cap| Tree::text(cap.name).into()).collect()))
    }
}

/// Settings of an engine, by name.
impl Setting for BTreeMap<String, String> {
    fn takes() -> String {
        "a table of texts and whole numbers, by the names that docs/engines gives".to_owned()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        let Tree::Table(entries) = &node.value else {
            reading.wrong(node, key, &Self::takes());
            return None;
        };
        let mut knobs = Self::new();
        for (name, entry) in entries {
            let key = join(key, &shown(name));
            match &entry.value {
                Tree::Text(text) => {
                    knobs.insert(name.clone(), text.clone());
                }
                Tree::Whole(number) => {
                    knobs.insert(name.clone(), number.to_string());
                }
                _ => reading.wrong(entry, &key, "a text or a whole number"),
            }
            reading.places.insert(key, entry.place.clone());
        }
        Some(knobs)
    }

    fn write(&self) -> Option<Tree> {
        let entries = self.iter().map(|(name, value)| (name.clone(), Tree::text(value).into()));
        Some(Tree::Table(entries.collect())).filter(|_| !self.is_empty())
    }
}

/// Tables by a name that the user chooses.
impl<S: Section> Setting for BTreeMap<String, S> {
    fn takes() -> String {
        "a table of tables".to_owned()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        let Tree::Table(entries) = &node.value else {
            reading.wrong(node, key, &Self::takes());
            return None;
        };
        let mut map = Self::new();
        for (name, entry) in entries {
            let key = join(key, &shown(name));
            if !is_store_name(name) {
                let what = "a name takes lower-case letters, digits and single _ between them, begins with a \
                            letter and has at most 64";
                reading.problems.add(entry.place.clone(), &key, what, None);
            } else if let Some(section) = S::read(entry, &key, reading) {
                map.insert(name.clone(), section);
            }
        }
        Some(map)
    }

    fn write(&self) -> Option<Tree> {
        let entries = self.iter().filter_map(|(name, section)| Some((name.clone(), section.write()?.into())));
        Some(Tree::Table(entries.collect())).filter(|_| !self.is_empty())
    }

    fn outline(&self, key: &str, about: &'static str, rows: &mut Vec<Row>) {
        if self.is_empty() {
            return S::default().outline(&join(key, NAME), about, rows);
        }
        for (name, section) in self {
            section.outline(&join(key, name), about, rows);
        }
    }
}

/// Whether this can name a store: in keys, in variables of the environment, and in addresses as `@name`.
#[must_use]
pub fn is_store_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('_').all(part)
}

/// A threshold that can be turned off by `"never"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Trigger<T>(pub Option<T>);

impl<T> Trigger<T> {
    /// At this value and beyond.
    #[must_use]
    pub const fn at(value: T) -> Self {
        Self(Some(value))
    }

    /// Never.
    #[must_use]
    pub const fn never() -> Self {
        Self(None)
    }
}

impl<T: Setting> Setting for Trigger<T> {
    fn takes() -> String {
        format!("{}, or \"never\"", T::takes())
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        if text(node) == Some("never") {
            return Some(Self::never());
        }
        let value = T::read(node, key, &mut Reading::default());
        if value.is_none() {
            reading.wrong(node, key, &Self::takes());
        }
        value.map(Self::at)
    }

    fn write(&self) -> Option<Tree> {
        self.0.as_ref().map_or_else(|| Some(Tree::text("never")), T::write)
    }
}
