//! What a picture shows, and where: things in four columns, each network a band of rows.

/// What a thing is, which is also its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The device that connects the nodes.
    Underlay,
    /// A network's vxlan.
    Vxlan,
    /// A network's gateway.
    Gateway,
    /// One interface of a container.
    Pod,
}

impl Kind {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Underlay => "underlay",
            Self::Vxlan => "vxlan",
            Self::Gateway => "gateway",
            Self::Pod => "pod",
        }
    }
}

/// A box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thing {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What else there is to tell.
    pub lines: Vec<String>,
}

impl Thing {
    /// One of a kind.
    pub fn new(kind: Kind, name: &str, lines: Vec<String>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            lines,
        }
    }

    /// Its lines, the name first.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.lines.iter().map(String::as_str))
    }
}

/// Things and how they are joined, all by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The node's name.
    pub node: String,
    /// Every thing.
    pub things: Vec<Thing>,
    /// Each network with its things.
    pub networks: Vec<(String, Vec<usize>)>,
    /// Pairs, from the underlay towards the pods.
    pub joined: Vec<(usize, usize)>,
}

impl Picture {
    /// An empty one.
    pub fn new(node: &str) -> Self {
        Self {
            node: node.to_owned(),
            things: Vec::new(),
            networks: Vec::new(),
            joined: Vec::new(),
        }
    }

    /// The underlay device of this name, one for all networks.
    pub fn underlay(&mut self, name: &str) -> usize {
        let is_it = |thing: &Thing| thing.kind == Kind::Underlay && thing.name == name;
        self.things.iter().position(is_it).unwrap_or_else(|| {
            self.things.push(Thing::new(
                Kind::Underlay,
                name,
                vec!["underlay".to_owned()],
            ));
            self.things.len() - 1
        })
    }

    /// A network more.
    pub fn network(&mut self, name: &str) -> usize {
        self.networks.push((name.to_owned(), Vec::new()));
        self.networks.len() - 1
    }

    /// A thing more, of a network.
    pub fn put(&mut self, network: usize, thing: Thing) -> usize {
        self.things.push(thing);
        self.networks[network].1.push(self.things.len() - 1);
        self.things.len() - 1
    }

    /// A line between two.
    pub fn join(&mut self, from: usize, to: usize) {
        self.joined.push((from, to));
    }
}
