//! `route-table list`: address, owner, since when, on which device, seen elsewhere or not.

use serde_json::{Value, json};

use super::ledger::{Entry, Ledger};
use crate::ip::route::RouteRecord;
use crate::table::columns;

/// The heads of the columns.
const HEADS: [&str; 6] = ["ADDRESS", "OWNER", "SINCE", "DEVICE", "CLAIM", "ELSEWHERE"];

/// As text, with what to do where something is wrong.
pub fn text(ledgers: &[Ledger]) -> String {
    let entries: Vec<&Entry> = ledgers.iter().flat_map(|ledger| &ledger.entries).collect();
    let orphans: Vec<&RouteRecord> = ledgers.iter().flat_map(|ledger| &ledger.orphans).collect();
    let mut text = match entries.is_empty() {
        true => "no address is claimed on this node\n".to_owned(),
        false => {
            let heads = std::iter::once(HEADS.map(str::to_owned).to_vec());
            columns(
                &heads
                    .chain(entries.iter().map(|entry| row(entry)))
                    .collect::<Vec<_>>(),
            )
        }
    };
    for orphan in &orphans {
        text += &format!("orphaned: {}\n", orphan.shown());
    }
    if entries.iter().any(|entry| entry.elsewhere.is_some()) {
        text += "an address that is claimed elsewhere too has two owners: remove one of the two containers\n";
    }
    if !orphans.is_empty()
        || entries
            .iter()
            .any(|entry| !entry.is_well() && entry.elsewhere.is_none())
    {
        text += "`route-table reconcile` puts missing claims back and drops orphaned ones\n";
    }
    text
}

fn row(entry: &Entry) -> Vec<String> {
    let owner = entry.held.owner.as_ref();
    let of = |cell: fn(&super::owners::Owner) -> String| owner.map_or("?".to_owned(), cell);
    let elsewhere = entry.elsewhere.as_ref().map(RouteRecord::shown);
    vec![
        entry.held.address.to_string(),
        of(super::owners::Owner::shown),
        of(|owner| owner.since.clone()),
        of(|owner| owner.route.dev.to_string()),
        entry.claim.as_str().to_owned(),
        elsewhere.unwrap_or_else(|| "no".to_owned()),
    ]
}

/// As one JSON document: `{"claims": [ENTRY...], "orphans": [ROUTE...]}`.
pub fn document(ledgers: &[Ledger]) -> Value {
    let entries = ledgers.iter().flat_map(|ledger| &ledger.entries);
    let orphans = ledgers.iter().flat_map(|ledger| &ledger.orphans);
    json!({
        "claims": entries.map(Entry::to_json).collect::<Vec<_>>(),
        "orphans": orphans.map(RouteRecord::shown).collect::<Vec<_>>(),
    })
}
