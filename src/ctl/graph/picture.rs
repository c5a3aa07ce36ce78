//! What a picture shows, and where: things in five columns, each network a band of rows.

/// Up to how many pods of a network are below each other in one column.
const BELOW: usize = 8;

/// How many times as wide as high a box is, about.
const WIDE: usize = 3;

/// What a thing is, which is also its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Another node's VTEP.
    Peer,
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
            Self::Peer => "peer",
            Self::Underlay => "underlay",
            Self::Vxlan => "vxlan",
            Self::Gateway => "gateway",
            Self::Pod => "pod",
        }
    }
}

/// Whether a thing is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is.
    Ok,
    /// It is not there and need not be.
    Idle,
    /// Facts of it do not hold.
    Failed,
    /// It is there and down.
    Down,
    /// It should be there and is not.
    Missing,
}

impl State {
    /// Those that are told apart, in their order.
    pub const TOLD: [Self; 4] = [Self::Idle, Self::Failed, Self::Down, Self::Missing];

    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Idle => "idle",
            Self::Failed => "failed",
            Self::Down => "down",
            Self::Missing => "missing",
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
    /// How it is.
    pub state: State,
}

impl Thing {
    /// One of a kind.
    pub fn new(kind: Kind, name: &str, lines: Vec<String>) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            lines,
            state: State::Ok,
        }
    }

    /// The same in a state.
    pub fn in_state(self, state: State) -> Self {
        Self { state, ..self }
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

    /// The one thing of a kind and a name that is of no network; made where it is not there yet.
    pub fn shared(&mut self, kind: Kind, name: &str) -> usize {
        let is_it = |thing: &Thing| thing.kind == kind && thing.name == name;
        self.things.iter().position(is_it).unwrap_or_else(|| {
            self.things.push(Thing::new(kind, name, Vec::new()));
            self.things.len() - 1
        })
    }

    /// A line more of a thing, once.
    pub fn tell(&mut self, number: usize, line: String) {
        let lines = &mut self.things[number].lines;
        if !lines.contains(&line) {
            lines.push(line);
        }
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

    /// A line between two, once.
    pub fn join(&mut self, from: usize, to: usize) {
        if !self.joined.contains(&(from, to)) {
            self.joined.push((from, to));
        }
    }

    /// The things of no network, in the order of their kinds.
    pub fn outside(&self) -> impl Iterator<Item = (usize, &Thing)> {
        let all = || self.things.iter().enumerate();
        let of = move |kind| all().filter(move |(_, thing)| thing.kind == kind);
        of(Kind::Peer).chain(of(Kind::Underlay))
    }

    /// The pods among some things, in rows: as many in each that all of them are about as wide as high.
    pub fn rows(&self, things: &[usize]) -> Vec<Vec<usize>> {
        let is_pod = |number: &&usize| self.things[**number].kind == Kind::Pod;
        let pods: Vec<usize> = things.iter().filter(is_pod).copied().collect();
        let columns = match pods.len() {
            count if count <= BELOW => 1,
            count => (count.div_ceil(WIDE)).isqrt().max(2),
        };
        pods.chunks(columns).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pods_are_below_each_other_and_many_are_as_wide_as_high() {
        let shape = |count: usize| {
            let mut picture = Picture::new("n");
            let row = picture.network("blue");
            for _ in 0..count {
                picture.put(row, Thing::new(Kind::Pod, "p", Vec::new()));
            }
            let rows = picture.rows(&picture.networks[0].1);
            (rows.len(), rows.first().map_or(0, Vec::len))
        };
        let shapes = [0, 1, 8, 9, 30, 200].map(shape);
        assert_eq!(shapes, [(0, 0), (1, 1), (8, 1), (5, 2), (10, 3), (25, 8)]);
    }
}
