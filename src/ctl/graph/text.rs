//! A picture as text that other programs draw: mermaid, and dot for graphviz.

use super::picture::{Kind, Picture, State, Thing};

/// How mermaid draws what is not as it should be; readable on light pages and dark ones.
fn mermaid_style(state: State) -> &'static str {
    match state {
        State::Ok => "",
        State::Idle => "stroke:#8b949e,color:#8b949e,stroke-dasharray:2 4",
        State::Failed => "stroke:#bf8700,stroke-width:3px",
        State::Down => "stroke:#cf222e,stroke-width:3px",
        State::Missing => "stroke:#cf222e,stroke-width:3px,stroke-dasharray:6 4",
    }
}

/// For a page that renders mermaid.
pub fn mermaid(picture: &Picture) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    let thing = |number: usize| mermaid_thing(number, &picture.things[number]);
    let outside = |kind: Kind| {
        let all = picture.outside();
        all.filter(move |(_, thing)| thing.kind == kind)
    };
    lines.extend(outside(Kind::Peer).map(|(number, _)| format!("  {}", thing(number))));
    lines.push(format!("  subgraph node[\"{}\"]", entities(&picture.node)));
    lines.extend(outside(Kind::Underlay).map(|(number, _)| format!("    {}", thing(number))));
    for (index, (name, things)) in picture.networks.iter().enumerate() {
        lines.push(format!("    subgraph net{index}[\"{}\"]", entities(name)));
        lines.extend(
            things
                .iter()
                .map(|number| format!("      {}", thing(*number))),
        );
        lines.push("    end".to_owned());
    }
    lines.push("  end".to_owned());
    lines.extend(
        links(picture)
            .into_iter()
            .map(|(from, to, link)| match link {
                Link::Beside => format!("  n{from} ~~~ n{to}"),
                Link::Outer => format!("  n{from} === n{to}"),
                Link::Inner => format!("  n{from} --- n{to}"),
            }),
    );
    lines.extend(State::TOLD.into_iter().filter_map(|state| {
        let all = picture.things.iter().enumerate();
        let those = all.filter(|(_, thing)| thing.state == state);
        let those: Vec<String> = those.map(|(number, _)| format!("n{number}")).collect();
        let (name, style) = (state.as_str(), mermaid_style(state));
        (!those.is_empty()).then(|| {
            let those = those.join(",");
            format!("  classDef {name} {style}\n  class {those} {name}")
        })
    }));
    lines.join("\n") + "\n"
}

/// What a line between two things is.
enum Link {
    /// Of the underlay.
    Outer,
    /// Of a network.
    Inner,
    /// None: the one has its place beside the other.
    Beside,
}

/// The lines of a picture. Of the pods only the first of each row is joined to its vxlan, and the others are beside it:
/// a program that draws gives each a column so.
fn links(picture: &Picture) -> Vec<(usize, usize, Link)> {
    let networks = picture.networks.iter();
    let rows: Vec<Vec<usize>> = networks
        .flat_map(|(_, things)| picture.rows(things))
        .collect();
    let beside = rows.iter().flat_map(|row| row.windows(2));
    let beside: Vec<(usize, usize)> = beside.map(|pair| (pair[0], pair[1])).collect();
    let is_beside = |number: usize| beside.iter().any(|(_, to)| *to == number);
    let joined = picture.joined.iter().filter(|(_, to)| !is_beside(*to));
    let joined = joined.map(|(from, to)| {
        let link = match picture.things[*from].kind {
            Kind::Peer | Kind::Underlay => Link::Outer,
            _ => Link::Inner,
        };
        (*from, *to, link)
    });
    let mut links: Vec<(usize, usize, Link)> = joined.collect();
    links.extend(beside.iter().map(|(from, to)| (*from, *to, Link::Beside)));
    links
}

/// A vxlan has round ends, everything else is a box.
fn mermaid_thing(number: usize, thing: &Thing) -> String {
    let texts: Vec<String> = thing.texts().map(entities).collect();
    let label = texts.join("<br/>");
    match thing.kind {
        Kind::Vxlan => format!("n{number}([\"{label}\"])"),
        _ => format!("n{number}[\"{label}\"]"),
    }
}

/// Mermaid takes any character by its number; what is no letter, digit or plain sign is given so.
fn entities(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " ._-/:,()".contains(c);
    let one = |c: char| match c {
        c if plain(c) => c.to_string(),
        c if c.is_control() => "?".to_owned(),
        c => format!("#{};", u32::from(c)),
    };
    text.chars().map(one).collect()
}

/// For graphviz.
pub fn dot(picture: &Picture) -> String {
    let mut lines = vec![
        format!("graph {} {{", quoted(&[&picture.node])),
        "  rankdir=LR;".to_owned(),
        "  node [shape=box, fontname=monospace];".to_owned(),
    ];
    let outside = picture.outside();
    lines.extend(outside.map(|(number, thing)| format!("  {}", dot_thing(number, thing))));
    for (index, (name, things)) in picture.networks.iter().enumerate() {
        lines.push(format!("  subgraph cluster_{index} {{"));
        lines.push(format!("    label={};", quoted(&[name])));
        // From left to right, graphviz puts what comes first below what comes later.
        let things = things.iter().rev();
        lines.extend(
            things.map(|number| format!("    {}", dot_thing(*number, &picture.things[*number]))),
        );
        lines.push("  }".to_owned());
    }
    lines.extend(
        links(picture)
            .into_iter()
            .map(|(from, to, link)| match link {
                Link::Beside => format!("  n{from} -- n{to} [style=invis];"),
                Link::Outer => format!("  n{from} -- n{to} [penwidth=2];"),
                Link::Inner => format!("  n{from} -- n{to};"),
            }),
    );
    lines.push("}".to_owned());
    lines.join("\n") + "\n"
}

fn dot_thing(number: usize, thing: &Thing) -> String {
    let texts: Vec<&str> = thing.texts().collect();
    let round = (thing.kind == Kind::Vxlan).then_some("rounded");
    let (line, colour) = match thing.state {
        State::Ok => (None, ""),
        State::Idle => (Some("dotted"), ", color=gray, fontcolor=gray"),
        State::Failed => (None, ", color=orange, penwidth=2"),
        State::Down => (None, ", color=red, penwidth=2"),
        State::Missing => (Some("dashed"), ", color=red, penwidth=2"),
    };
    let styles: Vec<&str> = round.into_iter().chain(line).collect();
    let style = match styles.is_empty() {
        true => String::new(),
        false => format!(", style=\"{}\"", styles.join(",")),
    };
    format!("n{number} [label={}{style}{colour}];", quoted(&texts))
}

/// A string of dot, a line for each text; graphviz reads entities in it, and escapes.
fn quoted(texts: &[&str]) -> String {
    let one = |c: char| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '&' => "&amp;".to_owned(),
        c if c.is_control() => "?".to_owned(),
        c => c.to_string(),
    };
    let escaped = texts
        .iter()
        .map(|text| text.chars().map(one).collect::<String>());
    format!("\"{}\"", escaped.collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::graph::tests::sample;

    #[test]
    fn mermaid_has_each_network_as_a_group_and_takes_no_sign_of_a_name_for_its_own() {
        let text = mermaid(&sample(1));
        let wanted = "\
flowchart LR
  n1[\"198.18.0.2\"]
  subgraph node[\"node1\"]
    n0[\"eth0\"]
    subgraph net0[\"blue\"]
      n2([\"vx_blue<br/>VNI 1\"])
      n3[\"mv_blue<br/>10.1.0.1/16\"]
      n4[\"shop/#34;#60;#38;#62;#39;#35;#59;0??<br/>10.1.0.9\"]
    end
    subgraph net1[\"green\"]
      n5([\"vx_green<br/>VNI 1\"])
      n6[\"mv_green<br/>10.1.0.1/16\"]
    end
  end
  n1 === n0
  n0 === n2
  n2 --- n3
  n2 --- n4
  n0 === n5
  n5 --- n6
  classDef missing stroke:#cf222e,stroke-width:3px,stroke-dasharray:6 4
  class n6 missing
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn dot_has_each_network_as_a_cluster_and_every_text_in_quotes() {
        let text = dot(&sample(1));
        let wanted = "\
graph \"node1\" {
  rankdir=LR;
  node [shape=box, fontname=monospace];
  n1 [label=\"198.18.0.2\"];
  n0 [label=\"eth0\"];
  subgraph cluster_0 {
    label=\"blue\";
    n4 [label=\"shop/\\\"<&amp;>'#;0??\\n10.1.0.9\"];
    n3 [label=\"mv_blue\\n10.1.0.1/16\"];
    n2 [label=\"vx_blue\\nVNI 1\", style=\"rounded\"];
  }
  subgraph cluster_1 {
    label=\"green\";
    n6 [label=\"mv_green\\n10.1.0.1/16\", style=\"dashed\", color=red, penwidth=2];
    n5 [label=\"vx_green\\nVNI 1\", style=\"rounded\"];
  }
  n1 -- n0 [penwidth=2];
  n0 -- n2 [penwidth=2];
  n2 -- n3;
  n2 -- n4;
  n0 -- n5 [penwidth=2];
  n5 -- n6;
}
";
        assert_eq!(text, wanted);
    }

    #[test]
    fn of_many_pods_the_first_of_each_row_is_joined_and_the_others_are_beside_it() {
        let picture = sample(30);
        let (mermaid, dot) = (mermaid(&picture), dot(&picture));
        let count = |text: &str, of: &str| text.matches(of).count();
        // Ten rows of three, and a gateway on each network.
        assert_eq!(count(&mermaid, " --- "), 10 + 2);
        assert_eq!(count(&mermaid, " ~~~ "), 20);
        assert_eq!(count(&dot, "[style=invis];"), 20);
        for link in ["n2 --- n4\n", "n4 ~~~ n5\n", "n5 ~~~ n6\n", "n2 --- n7\n"] {
            assert!(mermaid.contains(link), "{link}");
        }
        // A program that reads the document is told of each.
        assert_eq!(picture.joined.len(), 1 + 4 + 30);
    }
}
