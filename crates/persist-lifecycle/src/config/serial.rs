//! A configuration inside of other documents: as a part of a service's own configuration, or as JSON to show.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

use super::setting::Setting;
use super::source::AnyNode;
use super::tree::{Node, Place, Tree};
use super::{Config, file};

/// As strict as a file of its own; only lines cannot be told.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let node = AnyNode(&|| Place::Unknown).deserialize(from)?;
        file::of_node(node).map_err(D::Error::custom)
    }
}

/// Every key, defaults included; what has no value is left out.
impl Serialize for Config {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.write().unwrap_or(Tree::Null).serialize(to)
    }
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Switch(value) => to.serialize_bool(*value),
            Self::Whole(number) => match u64::try_from(*number) {
                Ok(number) => to.serialize_u64(number),
                Err(_) => to.serialize_str(&number.to_string()),
            },
            Self::Text(text) | Self::Other(text) => to.serialize_str(text),
            Self::List(items) => to.collect_seq(items),
            Self::Table(entries) => to.collect_map(entries.iter().map(|(name, node)| (name, node))),
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(to)
    }
}
