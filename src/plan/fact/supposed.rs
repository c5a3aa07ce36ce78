//! What is so once something else is: by this a dry run knows what it would find behind its changes.

use super::Fact;

impl Fact {
    /// Whether it holds once another has been made so: it is that one, or comes with it.
    pub fn follows_from(&self, made: &Self) -> bool {
        match (self, made) {
            // Under any name that it is made with.
            (
                Self::Macvlan {
                    side, name, parent, ..
                },
                Self::Macvlan {
                    side: made_side,
                    name: made_name,
                    parent: made_parent,
                    ..
                },
            ) => (side, name, parent) == (made_side, made_name, made_parent),
            // The kernel enters the group of a vxlan with the device (`vxlan_fdb_create`, `drivers/net/vxlan`).
            (Self::Flood { dev, to, .. }, Self::Vxlan { name, vxlan }) => {
                dev == name && vxlan.group == Some(*to)
            }
            _ => self == made,
        }
    }
}
