//! The node's journal and the IPAMs', put together by container and time.

use std::collections::BTreeMap;

use super::Deed;

/// All verbs by the time they began, an IPAM's right behind the one it was asked by, whose network and
/// pod it is told to be for.
pub fn merged(node: Vec<Deed>, ipams: Vec<Deed>) -> Vec<Deed> {
    let mut of: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, deed) in node.iter().enumerate() {
        of.entry(deed.id.clone().unwrap_or_default())
            .or_default()
            .push(index);
    }
    let asker = |deed: &Deed| {
        let candidates = of.get(deed.id.as_ref()?)?.iter().rev();
        let mut candidates = candidates.map(|index| &node[*index]);
        candidates.find(|asker| is_within(deed, asker))
    };
    let placed = |deed: Deed| match asker(&deed) {
        Some(asker) => (asker.began.clone(), asker.id.clone(), 1, with(deed, asker)),
        None => (deed.began.clone(), deed.id.clone(), 1, deed),
    };
    let mut all: Vec<_> = ipams.into_iter().map(placed).collect();
    all.extend(
        node.into_iter()
            .map(|deed| (deed.began.clone(), deed.id.clone(), 0, deed)),
    );
    all.sort_by(|a, b| (&a.0, &a.1, a.2).cmp(&(&b.0, &b.1, b.2)));
    all.into_iter().map(|(_, _, _, deed)| deed).collect()
}

/// Whether a verb ran while another did.
pub fn is_within(deed: &Deed, asker: &Deed) -> bool {
    let until = asker.end.as_ref().map(|end| end.time.as_str());
    asker.began <= deed.started && until.is_none_or(|until| deed.started.as_str() <= until)
}

/// A verb of an IPAM with the network and pod it was asked for.
pub fn with(deed: Deed, asker: &Deed) -> Deed {
    Deed {
        joined: asker.network.clone(),
        pod: deed.pod.or_else(|| asker.pod.clone()),
        ..deed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::deed::read;

    #[test]
    fn an_ipams_verb_stands_behind_the_one_it_was_asked_by() {
        let node = "\
# 2031-05-02T10:00:00.103Z ADD blue a/eth0 pod=shop/web
true 1
# 2031-05-02T10:00:00.104Z ADD green b/eth0
true 2
# 2031-05-02T10:00:00.110Z ADD blue a/eth0 ok 10.0 ms 10.1.0.9/16
# 2031-05-02T10:00:00.120Z ADD green b/eth0 ok 16.0 ms 10.2.0.9/16
# 2031-05-02T10:00:00.220Z DEL blue a/eth0 ok 10.0 ms
";
        // The IPAM had something to write before the one that asked it had.
        let ipam = "\
# 2031-05-02T10:00:00.101Z ADD lab a/eth0
ip route add 10.1.0.9/32 dev mv_blue
# 2031-05-02T10:00:00.109Z ADD lab a/eth0 ok 7.0 ms 10.1.0.9/16
# 2031-05-02T10:00:00.150Z RECONCILE ok 2.0 ms nothing
# 2031-05-02T10:00:00.215Z DEL lab a/eth0 ok 1.0 ms
# 2031-05-02T10:00:00.300Z DEL lab z/eth0 ok 1.0 ms
";
        let all = merged(read(node.lines()), read(ipam.lines()));
        let told: Vec<_> = all
            .iter()
            .map(|deed| format!("{} on {}", deed.subject(), deed.on().unwrap_or("-")))
            .collect();
        assert_eq!(
            told,
            [
                "ADD blue a/eth0 on blue",
                "ADD lab a/eth0 on blue",
                "ADD green b/eth0 on green",
                "RECONCILE on -",
                "DEL blue a/eth0 on blue",
                "DEL lab a/eth0 on blue",
                "DEL lab z/eth0 on lab",
            ]
        );
        assert_eq!(all[1].pod.as_deref(), Some("shop/web"));
    }
}
