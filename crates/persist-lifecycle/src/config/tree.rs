//! What a configuration says before anybody asks what it means: values, and where each of them stands.

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// Nobody knows: the value came from a program.
    #[default]
    Unknown,
    /// A line of the file, from 1.
    Line(usize),
    /// A variable of the environment.
    Variable(String),
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Tree,
    pub(crate) place: Place,
}

/// A value of any format.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// JSON's `null`, where it is no entry of a table: that is the same as none.
    Null,
    Switch(bool),
    Whole(i128),
    Text(String),
    /// What no key takes, in words: a date, a fraction.
    Other(String),
    List(Vec<Node>),
    /// In the order in which it was written, without repeated names.
    Table(Vec<(String, Node)>),
}

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What it is, for a message: short, and never much longer than a line.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Switch(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Text(text) if text.chars().count() > 40 => {
                format!("{:?} and so on", text.chars().take(40).collect::<String>())
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Other(what) => what.clone(),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) => "a table".to_owned(),
        }
    }
}

impl Node {
    pub(crate) fn new(value: Tree, place: Place) -> Self {
        Self { value, place }
    }

    /// Text from the environment, where everything is text.
    pub(crate) fn variable_text(&self) -> Option<&str> {
        match (&self.value, &self.place) {
            (Tree::Text(text), Place::Variable(_)) => Some(text),
            _ => None,
        }
    }
}

impl From<Tree> for Node {
    fn from(value: Tree) -> Self {
        Self::new(value, Place::Unknown)
    }
}

/// The lines of a text, to tell where an offset lies.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(at, _)| at).collect())
    }

    /// The line of a byte, from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|end| *end < at).saturating_add(1)
    }
}
