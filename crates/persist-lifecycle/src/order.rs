//! In which order stores are opened: each after those that it names, else by name. Closing goes the other way.

use std::collections::BTreeMap;

use crate::config::StoreConfig;

/// Stores that come after each other in a ring; the first stands at the end once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ring(pub(crate) Vec<String>);

/// The names of all enabled stores in the order of opening. Names that refer to no enabled store are passed over.
pub(crate) fn opening_order(stores: &BTreeMap<String, StoreConfig>) -> Result<Vec<&str>, Ring> {
    let mut order: Vec<&str> = Vec::new();
    let mut left: Vec<(&str, Vec<&str>)> = stores
        .iter()
        .filter(|(_, store)| store.enabled)
        .map(|(name, store)| {
            let after =
                store.after.iter().filter(|other| stores.get(*other).is_some_and(|other| other.enabled));
            (name.as_str(), after.map(String::as_str).collect())
        })
        .collect();
    while !left.is_empty() {
        let ready = left.iter().position(|(_, after)| after.iter().all(|other| order.contains(other)));
        match ready {
            Some(at) => order.push(left.remove(at).0),
            None => return Err(ring(&left)),
        }
    }
    Ok(order)
}

/// Follows stores that wait for each other until one comes again.
fn ring(left: &[(&str, Vec<&str>)]) -> Ring {
    let mut path: Vec<&str> = Vec::new();
    let mut at = left.first().map(|(name, _)| *name);
    while let Some(name) = at {
        if let Some(from) = path.iter().position(|known| *known == name) {
            let mut names: Vec<String> = path.iter().skip(from).map(|name| (*name).to_owned()).collect();
            names.push(name.to_owned());
            return Ring(names);
        }
        path.push(name);
        let waits_for = left.iter().find(|(other, _)| *other == name).map_or(&[][..], |(_, after)| after);
        at = waits_for.iter().copied().find(|other| left.iter().any(|(name, _)| name == other));
    }
    Ring(path.into_iter().map(str::to_owned).collect())
}
