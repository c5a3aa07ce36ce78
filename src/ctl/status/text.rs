//! Status for people, on wide terminals and narrow ones.

use super::seen::{Counted, Counters, Seen, age, gateway, network};
use crate::config::Network;
use crate::ctl::node::{OnNode, Recorded, State};
use crate::ip::IfName;
use crate::plan::Side;
use crate::table::columns;

/// The heads of the columns.
const HEADS: [&str; 6] = ["POD", "ADDRESS", "AGE", "CLAIM", "STATE", "CONTAINER"];

/// Everything; `width` columns, where that is known.
pub fn text(seen: &Seen<'_>, width: Option<usize>) -> String {
    let each = seen.node.networks.iter().zip(&seen.counters);
    let parts: Vec<String> = each
        .map(|(on, counters)| head(seen, on, *counters) + &attachments(seen, on, width))
        .collect();
    match parts.is_empty() {
        true => "no network is configured, and there is no attachment\n".to_owned(),
        false => parts.join("\n"),
    }
}

/// What a network is.
fn head(seen: &Seen<'_>, on: &OnNode, counters: Option<Counters>) -> String {
    let Some(network) = network(on) else {
        return format!("network {}, of which only records tell\n", on.name);
    };
    let vxlan = &network.options.vxlan;
    let title = match &on.configured {
        Some(_) => format!("network {}, VNI {}\n", on.name, vxlan.vni),
        None => format!(
            "network {}, VNI {}, no longer in the configuration\n",
            on.name, vxlan.vni
        ),
    };
    let under = vxlan.dev.as_ref().map(|dev| device(seen, dev));
    let peers = seen.peers(network);
    let rows = [
        ("device", device(seen, &network.vx)),
        (
            "gateway",
            format!("{}, {}", device(seen, &network.mv), gateway(network)),
        ),
        (
            "underlay",
            under.unwrap_or_else(|| "by the routing table".to_owned()),
        ),
        ("peers", told_peers(network, peers.map(|peers| peers.len()))),
        (
            "traffic",
            counters.map_or_else(|| "none".to_owned(), traffic),
        ),
    ];
    let rows = rows.map(|(word, what)| format!("  {word:<8}  {what}\n"));
    title + &rows.concat()
}

fn device(seen: &Seen<'_>, dev: &IfName) -> String {
    match seen.devices.link(Side::Host, dev) {
        None => format!("{dev} (not there)"),
        Some(link) if !link.flag("UP") => format!("{dev} (down), MTU {}", link.mtu),
        Some(link) if link.flag("NO-CARRIER") => format!("{dev} (no carrier), MTU {}", link.mtu),
        Some(link) => format!("{dev}, MTU {}", link.mtu),
    }
}

fn told_peers(network: &Network, learnt: Option<usize>) -> String {
    let vxlan = &network.options.vxlan;
    let toward = match (vxlan.group, &network.peers) {
        (Some(group), _) if group.is_multicast() => format!("group {group}"),
        (Some(peer), _) => format!("VTEP {peer}"),
        (None, Some(peers)) => match &network.peers_from {
            Some(from) => format!("{} addresses of {from}", peers.len()),
            None => format!("{} addresses listed", peers.len()),
        },
        (None, None) => match &network.peers_from {
            Some(from) => format!("{from}, not asked yet"),
            None => "none".to_owned(),
        },
    };
    let learnt = match learnt {
        Some(learnt) => format!("{learnt} known"),
        None => format!("not listed: {} may learn without limit", network.vx),
    };
    format!("{toward}, port {}, {learnt}", vxlan.dstport)
}

fn traffic(counters: Counters) -> String {
    let of = |word: &str, one: Counted| {
        let lost = match (one.errors, one.dropped) {
            (0, 0) => String::new(),
            (errors, dropped) => format!(", {errors} errors, {dropped} dropped"),
        };
        format!("{word} {} packets, {}{lost}", one.packets, bytes(one.bytes))
    };
    format!("{}; {}", of("in", counters.rx), of("out", counters.tx))
}

/// Bytes in the largest unit that leaves a number of at least one.
fn bytes(count: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, bits)| count >> bits > 0) {
        Some((unit, bits)) => format!("{:.1} {unit}", count as f64 / f64::from(1_u32 << bits)),
        None => format!("{count} B"),
    }
}

fn attachments(seen: &Seen<'_>, on: &OnNode, width: Option<usize>) -> String {
    if on.attachments.is_empty() {
        return "  no attachments\n".to_owned();
    }
    let rows: Vec<Vec<String>> = on.attachments.iter().map(|one| row(seen, one)).collect();
    laid_out(&rows, width)
}

/// A table where it fits, with one address below the other where it does not otherwise, else a few lines for each.
fn laid_out(rows: &[Vec<String>], width: Option<usize>) -> String {
    let heads = HEADS.map(str::to_owned).to_vec();
    let table = |rows: Vec<Vec<String>>| {
        let all: Vec<Vec<String>> = std::iter::once(heads.clone()).chain(rows).collect();
        let text = columns(&without_empty(&all));
        let lines = text.lines().map(|line| format!("  {line}\n"));
        lines.collect::<String>()
    };
    let fits = |table: &String| {
        let widest = table.lines().map(|line| line.chars().count()).max();
        width.is_none_or(|width| widest <= Some(width))
    };
    let stacked = || {
        table(
            rows.iter()
                .flat_map(|row| one_below_the_other(row))
                .collect(),
        )
    };
    let whole = Some(table(rows.to_vec())).filter(fits);
    whole
        .or_else(|| Some(stacked()).filter(fits))
        .unwrap_or_else(|| rows.iter().map(|row| block(row)).collect())
}

/// A row, and one for each further address.
fn one_below_the_other(row: &[String]) -> Vec<Vec<String>> {
    let with = |(number, address): (usize, &str)| {
        let mut cells = match number {
            0 => row.to_vec(),
            _ => vec![String::new(); row.len()],
        };
        cells[1] = address.to_owned();
        cells
    };
    row[1].split(' ').enumerate().map(with).collect()
}

/// Leaves out the columns that are empty in each row.
fn without_empty(rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let said: Vec<bool> = (0..HEADS.len())
        .map(|column| {
            let mut cells = rows.iter().skip(1).map(|row| row[column].as_str());
            cells.any(|cell| !matches!(cell, "-" | ""))
        })
        .collect();
    let kept = |row: &Vec<String>| {
        let cells = row.iter().zip(&said);
        cells
            .filter(|(_, said)| **said)
            .map(|(cell, _)| cell.clone())
            .collect()
    };
    rows.iter().map(kept).collect()
}

fn row(seen: &Seen<'_>, one: &Recorded) -> Vec<String> {
    let state = match &one.state {
        State::Whole(..) => "-",
        state => state.as_str(),
    };
    let dash = || "-".to_owned();
    let Some(record) = one.record() else {
        let file = one.path.display().to_string();
        return vec![dash(), dash(), dash(), dash(), state.to_owned(), file];
    };
    vec![
        record.pod.clone().unwrap_or_else(dash),
        match super::addresses(record) {
            addresses if addresses.is_empty() => dash(),
            addresses => addresses.join(" "),
        },
        age(&record.since).map_or_else(dash, shown_age),
        seen.claim(one).unwrap_or_else(dash),
        state.to_owned(),
        record.id(),
    ]
}

/// The same as a few short lines.
fn block(row: &[String]) -> String {
    let [pod, address, age, claim, state, container] = row else {
        return String::new();
    };
    let title = if pod == "-" { container } else { pod };
    let line = |word: &str, text: &String| match text.as_str() {
        "-" => String::new(),
        text if text == title => String::new(),
        text => format!("    {word}{text}\n"),
    };
    [
        format!("  {title}\n"),
        address
            .split(' ')
            .map(|one| line("", &one.to_owned()))
            .collect(),
        line("age ", age),
        line("claim ", claim),
        line("", state),
        line("", container),
    ]
    .concat()
}

/// In the largest unit of which there is at least one.
pub fn shown_age(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60)];
    match units.iter().find(|(_, unit)| seconds >= *unit) {
        Some((name, unit)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_bytes_are_told_in_their_largest_unit() {
        let ages = [0, 59, 60, 7_300, 200_000].map(shown_age);
        assert_eq!(ages, ["0s", "59s", "1m", "2h", "2d"]);
        let sizes = [0, 1_023, 1_024, 1_572_864, 3 << 30].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "3.0 GiB"]);
    }

    #[test]
    fn a_column_that_says_nothing_is_left_out() {
        let row = |pod: &str| [pod, "10.1.0.9/16", "3m", "-", "-", "a/eth0"].map(str::to_owned);
        let rows = [HEADS.map(str::to_owned).to_vec(), row("web").to_vec()];
        let kept = without_empty(&rows);
        assert_eq!(kept[0], ["POD", "ADDRESS", "AGE", "CONTAINER"]);
        assert_eq!(kept[1], ["web", "10.1.0.9/16", "3m", "a/eth0"]);
    }

    #[test]
    fn eighty_columns_take_two_families_one_below_the_other() {
        let row = |pod: &str, four: &str| {
            let addresses = format!("{four} fd10:1::9d7f:816b:435b:e28b/64");
            [pod, &addresses, "12s", "ok", "-", "8e10c7b2/eth0"]
                .map(str::to_owned)
                .to_vec()
        };
        let rows = [
            row("shop/web-1", "10.1.188.49/16"),
            row("shop/web-2", "10.1.2.3/16"),
        ];
        let wanted = "  \
  POD         ADDRESS                         AGE  CLAIM  CONTAINER
  shop/web-1  10.1.188.49/16                  12s  ok     8e10c7b2/eth0
              fd10:1::9d7f:816b:435b:e28b/64
  shop/web-2  10.1.2.3/16                     12s  ok     8e10c7b2/eth0
              fd10:1::9d7f:816b:435b:e28b/64
";
        assert_eq!(laid_out(&rows, Some(80)), wanted);
        assert_eq!(laid_out(&rows, Some(200)).lines().count(), 3);
        assert!(laid_out(&rows, Some(40)).starts_with("  shop/web-1\n    10.1.188.49/16\n"));
    }

    #[test]
    fn a_narrow_terminal_gets_short_lines() {
        let row = ["web", "10.1.0.9/16 fd10::9/64", "3m", "ok", "-", "a/eth0"];
        let text = block(&row.map(str::to_owned));
        let wanted =
            "  web\n    10.1.0.9/16\n    fd10::9/64\n    age 3m\n    claim ok\n    a/eth0\n";
        assert_eq!(text, wanted);
    }
}
