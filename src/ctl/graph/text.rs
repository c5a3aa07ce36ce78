//! A picture as text that other programs draw: mermaid, and dot for graphviz.

use super::picture::{Kind, Picture, Thing};

/// For a page that renders mermaid.
pub fn mermaid(picture: &Picture) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    lines.push(format!("  subgraph node[\"{}\"]", entities(&picture.node)));
    for (number, thing) in picture.things.iter().enumerate() {
        if thing.kind == Kind::Underlay {
            lines.push(format!("    {}", mermaid_thing(number, thing)));
        }
    }
    for (index, (name, things)) in picture.networks.iter().enumerate() {
        lines.push(format!("    subgraph net{index}[\"{}\"]", entities(name)));
        let things = things.iter();
        lines.extend(
            things.map(|number| {
                format!("      {}", mermaid_thing(*number, &picture.things[*number]))
            }),
        );
        lines.push("    end".to_owned());
    }
    lines.push("  end".to_owned());
    let joined = picture.joined.iter().map(|(from, to)| {
        let line = match picture.things[*from].kind {
            Kind::Underlay => "===",
            _ => "---",
        };
        format!("  n{from} {line} n{to}")
    });
    lines.extend(joined);
    lines.join("\n") + "\n"
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
    for (number, thing) in picture.things.iter().enumerate() {
        if thing.kind == Kind::Underlay {
            lines.push(format!("  {}", dot_thing(number, thing)));
        }
    }
    for (index, (name, things)) in picture.networks.iter().enumerate() {
        lines.push(format!("  subgraph cluster_{index} {{"));
        lines.push(format!("    label={};", quoted(&[name])));
        let things = things.iter();
        lines.extend(
            things.map(|number| format!("    {}", dot_thing(*number, &picture.things[*number]))),
        );
        lines.push("  }".to_owned());
    }
    let joined = picture.joined.iter();
    lines.extend(joined.map(|(from, to)| format!("  n{from} -- n{to};")));
    lines.push("}".to_owned());
    lines.join("\n") + "\n"
}

fn dot_thing(number: usize, thing: &Thing) -> String {
    let texts: Vec<&str> = thing.texts().collect();
    let style = match thing.kind {
        Kind::Vxlan => ", style=rounded",
        _ => "",
    };
    format!("n{number} [label={}{style}];", quoted(&texts))
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
  subgraph node[\"node1\"]
    n0[\"eth0<br/>underlay\"]
    subgraph net0[\"blue\"]
      n1([\"vx_blue<br/>VNI 1\"])
      n2[\"mv_blue<br/>10.1.0.1/16\"]
      n3[\"shop/#34;#60;#38;#62;#39;#35;#59;0??<br/>10.1.0.9\"]
    end
    subgraph net1[\"green\"]
      n4([\"vx_green<br/>VNI 1\"])
      n5[\"mv_green<br/>10.1.0.1/16\"]
    end
  end
  n0 === n1
  n1 --- n2
  n1 --- n3
  n0 === n4
  n4 --- n5
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
  n0 [label=\"eth0\\nunderlay\"];
  subgraph cluster_0 {
    label=\"blue\";
    n1 [label=\"vx_blue\\nVNI 1\", style=rounded];
    n2 [label=\"mv_blue\\n10.1.0.1/16\"];
    n3 [label=\"shop/\\\"<&amp;>'#;0??\\n10.1.0.9\"];
  }
  subgraph cluster_1 {
    label=\"green\";
    n4 [label=\"vx_green\\nVNI 1\", style=rounded];
    n5 [label=\"mv_green\\n10.1.0.1/16\"];
  }
  n0 -- n1;
  n1 -- n2;
  n1 -- n3;
  n0 -- n4;
  n4 -- n5;
}
";
        assert_eq!(text, wanted);
    }
}
