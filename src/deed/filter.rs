//! Which verbs of a journal are meant.

use super::Deed;

/// What a verb must have; what is not said does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// The pod, `NAMESPACE/NAME` or `NAME`.
    pub pod: Option<String>,
    /// The container's id or its start, with the interface or without.
    pub container: Option<String>,
    /// The network.
    pub network: Option<String>,
    /// The verb, in capitals or not.
    pub verb: Option<String>,
    /// Only what failed.
    pub failed: bool,
    /// Not before: RFC 3339 in UTC.
    pub since: Option<String>,
}

impl Filter {
    /// Whether a verb is meant, by what is known of it so far.
    pub fn takes(&self, deed: &Deed) -> bool {
        let wanted =
            |wanted: &Option<String>, is: &dyn Fn(&str) -> bool| wanted.as_deref().is_none_or(is);
        wanted(&self.pod, &|pod| is_pod(deed, pod))
            && wanted(&self.container, &|container| is_container(deed, container))
            && wanted(&self.network, &|network| deed.on() == Some(network))
            && wanted(&self.verb, &|verb| deed.verb.eq_ignore_ascii_case(verb))
            && wanted(&self.since, &|since| deed.started.as_str() >= since)
            && (!self.failed || deed.failed())
    }
}

fn is_pod(deed: &Deed, wanted: &str) -> bool {
    let Some(pod) = deed.pod.as_deref() else {
        return false;
    };
    pod == wanted || pod.split_once('/').map(|(_, name)| name) == Some(wanted)
}

/// Whether a verb is of a container, by its id or the start of it, and of the interface where one is named.
pub fn is_container(deed: &Deed, wanted: &str) -> bool {
    let (wanted, ifname) = match wanted.split_once('/') {
        Some((wanted, ifname)) => (wanted, Some(ifname)),
        None => (wanted, None),
    };
    let starts = |container: &str| container.starts_with(wanted);
    deed.container().is_some_and(starts) && (ifname.is_none() || deed.ifname() == ifname)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deed::{read, tests::MIXED};

    fn taken(filter: &Filter) -> Vec<String> {
        let deeds = read(MIXED.lines());
        let taken = deeds.iter().filter(|deed| filter.takes(deed));
        taken.map(Deed::subject).collect()
    }

    #[test]
    fn each_word_of_a_filter_narrows_what_is_taken() {
        let text = |text: &str| Some(text.to_owned());
        let all = Filter::default();
        assert_eq!(taken(&all).len(), 4);
        for pod in ["shop/web-1", "web-1"] {
            let pod = text(pod);
            assert_eq!(taken(&Filter { pod, ..all.clone() }), ["ADD blue a/eth0"]);
        }
        for (container, count) in [
            ("a", 1),
            ("a/eth0", 1),
            ("a/eth", 0),
            ("b/eth0", 1),
            ("", 3),
        ] {
            let filter = Filter {
                container: text(container),
                ..all.clone()
            };
            assert_eq!(taken(&filter).len(), count, "{container}");
        }
        let network = Filter {
            network: text("blue"),
            ..all.clone()
        };
        assert_eq!(taken(&network).len(), 2);
        let verb = Filter {
            verb: text("del"),
            ..all.clone()
        };
        assert_eq!(taken(&verb), ["DEL - c/eth0"]);
        let failed = Filter {
            failed: true,
            ..all.clone()
        };
        assert_eq!(taken(&failed), ["ADD blue b/eth0"]);
        let since = Filter {
            since: text("2031-05-02T10:00:00.200Z"),
            ..all
        };
        assert_eq!(taken(&since), ["RECONCILE", "DEL - c/eth0"]);
    }
}
