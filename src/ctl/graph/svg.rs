//! A picture as SVG that needs nothing else, and reads well in light and dark.
//!
//! Each kind has a column, as wide as its widest text; each network a band of rows, the gateway in the first
//! and the pods below it, some in a row where there are many. A line leaves a vxlan, goes down beside it, and
//! into the rows; no line crosses a box.

use std::fmt::Write;

use super::picture::{Kind, Picture, Thing};

/// Pixels of a character of the font, which is fixed: the widest that browsers have for 12 px.
const CHAR: usize = 8;
/// Pixels of a line of text.
const LINE: usize = 16;
/// Pixels between a box and its text, and between two boxes of a row.
const PAD: usize = 10;
/// Pixels between two columns.
const GAP: usize = 44;
/// Pixels around a band, its name's line not counted.
const BAND: usize = 12;
/// The most characters of a text that are shown; the whole is in the box's title.
const MOST: usize = 40;

/// Colours of this file's own, for both kinds of page.
const STYLE: &str = "\
svg{color-scheme:light dark;background:#fff}text{font:12px ui-monospace,monospace;fill:#1f2328}\
.n{font-weight:bold}.b{fill:#f6f8fa;stroke:#d0d7de}.x{fill:#fff;stroke:#57606a}\
.peer,.underlay{stroke:#9a6700}.vxlan{stroke:#0969da}.gateway{stroke:#8250df}.pod{stroke:#1a7f37}\
.failed{stroke:#bf8700;stroke-width:3}.down,.missing{stroke:#cf222e;stroke-width:3}\
.missing{stroke-dasharray:6 4}.idle{stroke-dasharray:2 4}\
path{fill:none;stroke:#57606a}\
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.b{fill:#161b22;stroke:#30363d}\
.x{fill:#0d1117;stroke:#8b949e}.underlay{stroke:#d29922}.vxlan{stroke:#4493f8}.gateway{stroke:#ab7df8}\
.pod{stroke:#3fb950}path{stroke:#8b949e}}";

/// Where a box is, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From the left.
    pub x: usize,
    /// From the top.
    pub y: usize,
    /// Its width.
    pub w: usize,
    /// Its height.
    pub h: usize,
}

impl Place {
    fn right(self) -> usize {
        self.x + self.w
    }

    fn bottom(self) -> usize {
        self.y + self.h
    }

    fn middle(self) -> usize {
        self.y + self.h / 2
    }
}

/// Where everything is.
struct Layout {
    /// Of each thing.
    places: Vec<Place>,
    /// Of each network.
    bands: Vec<Place>,
    width: usize,
    height: usize,
}

/// The columns' left ends and widths, by kind.
struct Columns([(usize, usize); 5]);

impl Columns {
    fn of(picture: &Picture) -> Self {
        let mut columns = [(0, 0); 5];
        let mut x = GAP / 2;
        for (index, column) in columns.iter_mut().enumerate() {
            let of_it = picture
                .things
                .iter()
                .filter(|thing| thing.kind as usize == index);
            let width = of_it.map(width).max().unwrap_or(0);
            *column = (x, width);
            // Without a peer there is no column of them.
            x += if width > 0 { width + GAP } else { 0 };
        }
        Self(columns)
    }

    fn of_kind(&self, kind: Kind) -> (usize, usize) {
        self.0[kind as usize]
    }
}

fn width(thing: &Thing) -> usize {
    let longest = thing
        .texts()
        .map(|text| text.chars().count().min(MOST))
        .max();
    longest.unwrap_or(0) * CHAR + 2 * PAD
}

fn height(thing: &Thing) -> usize {
    thing.texts().count() * LINE + PAD
}

impl Layout {
    fn of(picture: &Picture) -> Self {
        let columns = Columns::of(picture);
        let mut layout = Self {
            places: vec![
                Place {
                    x: 0,
                    y: 0,
                    w: 0,
                    h: 0
                };
                picture.things.len()
            ],
            bands: Vec::new(),
            width: 0,
            height: LINE + 2 * BAND,
        };
        for (_, things) in &picture.networks {
            layout.band(picture, &columns, things);
        }
        // The nearer to the networks, the earlier.
        layout.outside(picture, &columns, Kind::Underlay);
        layout.outside(picture, &columns, Kind::Peer);
        let right = layout
            .bands
            .iter()
            .chain(&layout.places)
            .map(|place| place.right())
            .max();
        layout.width = right.unwrap_or(0) + GAP / 2;
        for band in &mut layout.bands {
            band.w = layout.width - GAP / 2 - band.x;
        }
        layout
    }

    /// One network, below those before it.
    fn band(&mut self, picture: &Picture, columns: &Columns, things: &[usize]) {
        let x = columns.of_kind(Kind::Vxlan).0 - BAND;
        let top = self.height;
        let mut y = top + LINE + BAND;
        for number in of_kind(picture, things, Kind::Gateway) {
            y = self.put(picture, columns, number, 0, y) + PAD;
        }
        for row in picture.rows(things) {
            let bottoms = row
                .iter()
                .enumerate()
                .map(|(place, number)| self.put(picture, columns, *number, place, y));
            y = bottoms.max().unwrap_or(y) + PAD;
        }
        let (first, last) = (top + LINE + BAND, y - PAD);
        for number in of_kind(picture, things, Kind::Vxlan) {
            // In the middle of what it joins, and not above it.
            let above = (last - first).saturating_sub(height(&picture.things[number])) / 2;
            y = y.max(self.put(picture, columns, number, 0, first + above) + PAD);
        }
        let right = things
            .iter()
            .map(|number| self.places[*number].right())
            .max();
        let w = right.unwrap_or(x) + BAND - x;
        self.bands.push(Place {
            x,
            y: top,
            w,
            h: y - PAD + BAND - top,
        });
        self.height = y - PAD + 2 * BAND;
    }

    /// Puts a thing into its column, or some boxes further; tells where it ends.
    fn put(
        &mut self,
        picture: &Picture,
        columns: &Columns,
        number: usize,
        along: usize,
        y: usize,
    ) -> usize {
        let thing = &picture.things[number];
        let (x, w) = columns.of_kind(thing.kind);
        let place = Place {
            x: x + along * (w + PAD),
            y,
            w,
            h: height(thing),
        };
        self.places[number] = place;
        place.bottom()
    }

    /// Each thing of a kind that is of no network in the middle of those it leads to, below the one before it.
    fn outside(&mut self, picture: &Picture, columns: &Columns, kind: Kind) {
        let of_it = picture.outside().filter(|(_, thing)| thing.kind == kind);
        let those: Vec<(usize, &Thing)> = of_it.collect();
        let all: usize = those.iter().map(|(_, thing)| height(thing) + PAD).sum();
        let mut y = LINE + 2 * BAND;
        for (number, thing) in those {
            let joined = picture.joined.iter().filter(|(from, _)| *from == number);
            let middles: Vec<usize> = joined.map(|(_, to)| self.places[*to].middle()).collect();
            let middle = middles.iter().sum::<usize>() / middles.len().max(1);
            let own = match kind {
                // They lead to one and the same.
                Kind::Peer => (all - PAD) / 2,
                _ => height(thing) / 2,
            };
            let top = y.max(middle.saturating_sub(own));
            y = self.put(picture, columns, number, 0, top) + PAD;
        }
        self.height = self.height.max(y + BAND);
    }
}

fn of_kind<'a>(
    picture: &'a Picture,
    things: &'a [usize],
    kind: Kind,
) -> impl Iterator<Item = usize> + 'a {
    things
        .iter()
        .copied()
        .filter(move |number| picture.things[*number].kind == kind)
}

/// The picture.
pub fn svg(picture: &Picture) -> String {
    let layout = Layout::of(picture);
    let (width, height) = (layout.width, layout.height);
    let title = escaped(&picture.node);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <text class=\"n\" x=\"{}\" y=\"{}\">{title}</text>\n",
        GAP / 2,
        LINE + BAND / 2
    );
    for ((name, _), band) in picture.networks.iter().zip(&layout.bands) {
        frame(&mut svg, *band, "b", 8);
        line(&mut svg, "n", band.x + BAND, band.y + LINE, name);
    }
    for (from, to) in &picture.joined {
        joint(&mut svg, layout.places[*from], layout.places[*to]);
    }
    for (thing, place) in picture.things.iter().zip(&layout.places) {
        boxed(&mut svg, thing, *place);
    }
    svg + "</svg>\n"
}

fn boxed(svg: &mut String, thing: &Thing, place: Place) {
    let whole: Vec<String> = thing.texts().map(escaped).collect();
    let _ = writeln!(svg, "<g><title>{}</title>", whole.join(" "));
    let radius = if thing.kind == Kind::Vxlan { 14 } else { 4 };
    let class = format!("x {} {}", thing.kind.as_str(), thing.state.as_str());
    frame(svg, place, &class, radius);
    for (index, text) in thing.texts().enumerate() {
        let class = if index == 0 { "n" } else { "t" };
        line(
            svg,
            class,
            place.x + PAD,
            place.y + PAD / 2 + (index + 1) * LINE - 4,
            text,
        );
    }
    svg.push_str("</g>\n");
}

fn frame(svg: &mut String, place: Place, class: &str, radius: usize) {
    let Place { x, y, w, h } = place;
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"{radius}\"/>"
    );
}

fn line(svg: &mut String, class: &str, x: usize, y: usize, text: &str) {
    let shown = match text.chars().count() > MOST {
        true => text.chars().take(MOST - 1).chain(['…']).collect(),
        false => text.to_owned(),
    };
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        escaped(&shown)
    );
}

/// Out of the one, down or up in the gap behind its column, into the other; what stands further in a row
/// is joined to the one before it.
fn joint(svg: &mut String, from: Place, to: Place) {
    let bend = from.right() + GAP / 2;
    let (start, end) = (from.middle(), to.middle());
    let _ = writeln!(
        svg,
        "<path d=\"M{} {start}H{bend}V{end}H{}\"/>",
        from.right(),
        to.x
    );
}

/// A text between tags or in an attribute. XML 1.0 has no way to write most control characters.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\'' => "&#39;".to_owned(),
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "?".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ctl::graph::tests::sample;

    fn overlap(a: &Place, b: &Place) -> bool {
        a.x < b.right() && b.x < a.right() && a.y < b.bottom() && b.y < a.bottom()
    }

    #[test]
    fn no_two_boxes_overlap_and_every_one_is_in_the_band_of_its_network() {
        for pods in [0, 1, 2, 12, 13, 100] {
            let picture = sample(pods);
            let layout = Layout::of(&picture);
            for (index, place) in layout.places.iter().enumerate() {
                assert!(
                    place.w > 0 && place.right() < layout.width && place.bottom() < layout.height
                );
                let others = layout.places.iter().skip(index + 1);
                assert!(others.clone().all(|other| !overlap(place, other)), "{pods}");
            }
            for ((_, things), band) in picture.networks.iter().zip(&layout.bands) {
                for place in things.iter().map(|number| &layout.places[*number]) {
                    assert!(
                        place.x > band.x && place.right() < band.right(),
                        "{pods}: {place:?} {band:?}"
                    );
                    assert!(
                        place.y > band.y && place.bottom() < band.bottom(),
                        "{pods}: {place:?} {band:?}"
                    );
                }
            }
            assert!(!overlap(&layout.bands[0], &layout.bands[1]));
        }
    }

    #[test]
    fn the_same_picture_is_the_same_text_with_every_name_escaped() {
        let text = svg(&sample(2));
        assert_eq!(text, svg(&sample(2)));
        assert!(
            text.contains("shop/&quot;&lt;&amp;&gt;&#39;#;1??"),
            "{text}"
        );
        assert!(text.contains("@media(prefers-color-scheme:dark)"));
        assert!(
            text.contains("class=\"x gateway missing\"") && text.contains("class=\"x peer ok\"")
        );
        for foreign in ["http://", "https://", "url(", "@import", "<script"] {
            let own = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_long_name_is_cut_in_the_box_and_whole_in_its_title() {
        let mut picture = Picture::new("n");
        let row = picture.network("blue");
        let name = "x".repeat(90);
        picture.put(row, Thing::new(Kind::Pod, &name, Vec::new()));
        let text = svg(&picture);
        assert!(text.contains(&format!("<title>{name}</title>")));
        assert!(
            text.contains(&format!(">{}…</text>", "x".repeat(39))),
            "{text}"
        );
    }
}
