//! Reading, writing and describing settings. A type that a key can have implements [`Setting`]; tables of keys are made
//! by [`sections!`](super::sections).

use std::collections::BTreeMap;

use persist_api::nearest;

use super::problem::Problems;
use super::tree::{Node, Place, Tree};

/// The placeholder for a name in descriptions.
pub(crate) const NAME: &str = "NAME";

/// What a key may hold.
pub(crate) trait Setting: Sized {
    /// What it takes, as "a whole number".
    fn takes() -> String;

    /// Reads it. `None` after a problem was noted.
    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self>;

    /// Writes it; `None` where there is nothing to say.
    fn write(&self) -> Option<Tree>;

    /// Describes the key and what is below it.
    fn outline(&self, key: &str, about: &'static str, rows: &mut Vec<Row>) {
        rows.push(Row { key: key.to_owned(), about, takes: Some(Self::takes()), value: self.write() });
    }
}

/// A table with fixed keys.
pub(crate) trait Section: Setting + Default {
    /// What it is for.
    const ABOUT: &'static str;
}

/// One key or table, described.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) about: &'static str,
    /// `None` for a table.
    pub(crate) takes: Option<String>,
    pub(crate) value: Option<Tree>,
}

/// A reading under way.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) problems: Problems,
    /// Where each key stands that was read.
    pub(crate) places: BTreeMap<String, Place>,
}

impl Reading {
    /// The value does not fit.
    pub(crate) fn wrong(&mut self, node: &Node, key: &str, takes: &str) {
        let what = format!("takes {takes}, not {}", node.value.describe());
        self.problems.add(node.place.clone(), key, what, None);
    }

    /// The entries of a table; unknown ones are noted.
    pub(crate) fn table<'n>(
        &mut self,
        node: &'n Node,
        key: &str,
        known: &[&str],
    ) -> Option<&'n [(String, Node)]> {
        self.places.insert(key.to_owned(), node.place.clone());
        let Tree::Table(entries) = &node.value else {
            self.wrong(node, key, "a table");
            return None;
        };
        for (name, entry) in entries.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let near = nearest(name, known.iter().copied());
            let what = if near.is_some() {
                "unknown key".to_owned()
            } else {
                format!("unknown key; here are: {}", known.join(", "))
            };
            self.problems.add(entry.place.clone(), &join(key, &shown(name)), what, near);
        }
        Some(entries)
    }

    /// A key of a table, or its default.
    pub(crate) fn field<T: Setting>(
        &mut self,
        entries: &[(String, Node)],
        table: &str,
        name: &str,
        default: T,
    ) -> T {
        let Some((_, node)) = entries.iter().find(|(known, _)| known == name) else { return default };
        let key = join(table, name);
        self.places.insert(key.clone(), node.place.clone());
        T::read(node, &key, self).unwrap_or(default)
    }
}

/// A key below a table.
pub(crate) fn join(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

/// A name from outside, short enough for a message.
pub(crate) fn shown(name: &str) -> String {
    let plain = !name.is_empty()
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    if plain && name.len() <= 64 {
        return name.to_owned();
    }
    format!("{:?}", name.chars().take(64).collect::<String>())
}

impl<T: Setting> Setting for Option<T> {
    fn takes() -> String {
        T::takes()
    }

    fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
        T::read(node, key, reading).map(Some)
    }

    fn write(&self) -> Option<Tree> {
        self.as_ref().and_then(T::write)
    }
}

/// Makes tables of keys from structs: the comments are the reference, the values behind `=` the defaults.
macro_rules! sections {
    ($(
        $(#[doc = $about:literal])+
        pub struct $Section:ident {
            $( $(#[doc = $key_about:literal])+ pub $key:ident: $Type:ty = $default:expr, )+
        }
    )+) => { $(
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $Section { $( $(#[doc = $key_about])+ pub $key: $Type, )+ }

        impl Default for $Section {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl Section for $Section {
            const ABOUT: &'static str = concat!($($about),+);
        }

        impl Setting for $Section {
            fn takes() -> String {
                "a table".to_owned()
            }

            fn read(node: &Node, key: &str, reading: &mut Reading) -> Option<Self> {
                let entries = reading.table(node, key, &[$(stringify!($key)),+])?;
                let default = Self::default();
                Some(Self { $( $key: reading.field(entries, key, stringify!($key), default.$key), )+ })
            }

            fn write(&self) -> Option<Tree> {
                let entries = [$((stringify!($key), self.$key.write())),+];
                let said = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.into())));
                Some(Tree::Table(said.collect()))
            }

            fn outline(&self, key: &str, about: &'static str, rows: &mut Vec<Row>) {
                if !key.is_empty() {
                    let about = if about.is_empty() { Self::ABOUT } else { about };
                    rows.push(Row { key: key.to_owned(), about, takes: None, value: None });
                }
                $( self.$key.outline(&join(key, stringify!($key)), concat!($($key_about),+), rows); )+
            }
        }
    )+ };
}
pub(crate) use sections;
