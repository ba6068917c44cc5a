//! Colours and type: CSS custom properties, light and dark, with plain values for readers of SVG
//! that know no custom properties.

use std::fmt::Write;

/// A colour's name, its light and its dark value. The operators' twelve are Paul Tol's muted set
/// with greys; the heat map's nine are Cynthia Brewer's blues above 1 and oranges below; prefill and decode are Okabe and Ito's blue and vermilion, which colour-blind
/// readers tell apart.
const COLORS: &[(&str, &str, &str)] = &[
    ("bg", "#ffffff", "#12161c"),
    ("ink", "#1b2128", "#e8ecf1"),
    ("muted", "#566270", "#a3afbd"),
    ("frame", "#9aa5b1", "#586472"),
    ("grid", "#e3e8ed", "#2a323c"),
    ("minor", "#f1f4f7", "#1c232b"),
    ("roof", "#2b333c", "#d5dce4"),
    ("ceiling", "#7d8996", "#8491a0"),
    ("prefill", "#0072b2", "#4db1ea"),
    ("prefill-ink", "#005a8c", "#7cc7f2"),
    ("decode", "#d55e00", "#f28b3c"),
    ("decode-ink", "#a84700", "#f7a868"),
    ("front", "#117a65", "#4fc3a1"),
    ("bar", "#0072b2", "#4db1ea"),
    ("hatch", "#ffffff", "#12161c"),
    ("c0", "#4477aa", "#6a9bd0"),
    ("c1", "#cc6677", "#df8695"),
    ("c2", "#ddcc77", "#ddcc77"),
    ("c3", "#117733", "#4aa968"),
    ("c4", "#88ccee", "#88ccee"),
    ("c5", "#882255", "#b9578a"),
    ("c6", "#44aa99", "#5cc2b1"),
    ("c7", "#999933", "#b5b54f"),
    ("c8", "#aa4499", "#cb6fbc"),
    ("c9", "#e08a4f", "#e8a06f"),
    ("c10", "#332288", "#8478d6"),
    ("c11", "#a0a8b0", "#8a949e"),
    ("h0", "#e6783c", "#b5652a"),
    ("h1", "#f9b384", "#6e3f1b"),
    ("h2", "#fde0c5", "#3a2616"),
    ("h3", "#deebf7", "#16293c"),
    ("h4", "#c6dbef", "#1c3d5a"),
    ("h5", "#9ecae1", "#22537b"),
    ("h6", "#6baed6", "#2c6fa3"),
    ("h7", "#3182bd", "#4a94cf"),
    ("h8", "#08519c", "#8cc4f0"),
];

/// Rules; a value that starts with `@` is a colour of the table.
const RULES: &[(&str, &[(&str, &str)])] = &[
    ("", &[("font-family", "\"Helvetica Neue\",Helvetica,Arial,\"Liberation Sans\",sans-serif")]),
    (".bg", &[("fill", "@bg")]),
    (".text", &[("fill", "@ink")]),
    (".title", &[("fill", "@ink"), ("font-weight", "700")]),
    (".strong", &[("fill", "@ink"), ("font-weight", "700")]),
    (".muted", &[("fill", "@muted")]),
    (".prefill-ink", &[("fill", "@prefill-ink")]),
    (".decode-ink", &[("fill", "@decode-ink")]),
    (".front-ink", &[("fill", "@front")]),
    (
        ".halo",
        &[
            ("paint-order", "stroke"),
            ("stroke", "@bg"),
            ("stroke-width", "3px"),
            ("stroke-linejoin", "round"),
        ],
    ),
    (".grid", &[("stroke", "@grid"), ("stroke-width", "1px")]),
    (".minor", &[("stroke", "@minor"), ("stroke-width", "1px")]),
    (".range", &[("stroke", "@ink"), ("stroke-width", "1.25px"), ("fill", "none")]),
    (".frame", &[("stroke", "@frame"), ("stroke-width", "1px"), ("fill", "none")]),
    (".roof", &[("stroke", "@roof"), ("stroke-width", "2.25px"), ("stroke-linecap", "round")]),
    (".ceiling", &[("stroke", "@ceiling"), ("stroke-width", "1.25px")]),
    (
        ".even",
        &[
            ("stroke", "@roof"),
            ("stroke-width", "2.25px"),
            ("stroke-dasharray", "7 4"),
            ("fill", "none"),
        ],
    ),
    (".best", &[("stroke", "@roof"), ("stroke-width", "1.5px"), ("fill", "none")]),
    (".drop", &[("stroke", "@ceiling"), ("stroke-width", "1px"), ("stroke-dasharray", "2 4")]),
    (".ridge", &[("stroke", "@roof"), ("stroke-width", "1.5px"), ("fill", "@bg")]),
    (".leader", &[("stroke", "@ceiling"), ("stroke-width", ".75px")]),
    (
        ".prefill",
        &[
            ("fill", "@prefill"),
            ("fill-opacity", ".72"),
            ("stroke", "@bg"),
            ("stroke-width", "1px"),
        ],
    ),
    (
        ".decode",
        &[("fill", "@decode"), ("fill-opacity", ".72"), ("stroke", "@bg"), ("stroke-width", "1px")],
    ),
    (".sample", &[("fill", "none"), ("stroke", "@muted"), ("stroke-width", "1.25px")]),
    (
        ".front",
        &[
            ("stroke", "@front"),
            ("stroke-width", "2px"),
            ("fill", "none"),
            ("stroke-linejoin", "round"),
        ],
    ),
    (".bar", &[("fill", "@bar")]),
    (".track", &[("fill", "@grid")]),
    (".edge", &[("stroke", "@bg"), ("stroke-width", "1px")]),
    (".diagonal", &[("fill", "url(#diagonal)")]),
    (".crossed", &[("fill", "url(#crossed)")]),
    (".dotted", &[("fill", "url(#dotted)")]),
    (".hatch", &[("stroke", "@hatch"), ("stroke-width", "1.6px"), ("stroke-opacity", ".75")]),
    (".dots", &[("fill", "@hatch"), ("fill-opacity", ".8")]),
    (".neutral", &[("fill", "@ceiling")]),
    (".opaque", &[("fill-opacity", "1")]),
];

/// Textures that classes `diagonal`, `crossed` and `dotted` lay over a fill.
pub(super) const TEXTURES: &str = "<defs>\n\
<pattern id=\"diagonal\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<path class=\"hatch\" d=\"M-1,1l2,-2M0,6l6,-6M5,7l2,-2\"/></pattern>\n\
<pattern id=\"crossed\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\">\
<path class=\"hatch\" d=\"M0,0l7,7M0,7l7,-7\"/></pattern>\n\
<pattern id=\"dotted\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">\
<circle class=\"dots\" cx=\"2.5\" cy=\"2.5\" r=\"1.3\"/></pattern>\n</defs>\n";

/// The sizes of text: what lays it out and what draws it agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// The chart's title.
    Title,
    /// What the chart is about, under the title.
    Subtitle,
    /// Names of axes, rows and legend entries.
    Body,
    /// Ticks and labels of marks.
    Small,
    /// Footnotes.
    Note,
}

impl Type {
    /// Font size in pixels.
    pub const fn size(self) -> f64 {
        match self {
            Self::Title => 19.0,
            Self::Subtitle => 13.5,
            Self::Body => 12.5,
            Self::Small => 11.5,
            Self::Note => 11.0,
        }
    }

    /// CSS class.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Title => "t1",
            Self::Subtitle => "t2",
            Self::Body => "t3",
            Self::Small => "t4",
            Self::Note => "t5",
        }
    }

    const ALL: [Self; 5] = [Self::Title, Self::Subtitle, Self::Body, Self::Small, Self::Note];
}

fn light(name: &str) -> Option<&'static str> {
    COLORS.iter().find(|(n, ..)| *n == name).map(|(_, light, _)| *light)
}

/// How a colour is written: its light value, or its custom property.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Plain,
    Property,
}

/// `property:value;`; as a property only what is a colour.
fn declaration(css: &mut String, property: &str, value: &str, written: Written) {
    let color = value.strip_prefix('@').and_then(|name| Some((name, light(name)?)));
    let text = match (color, written) {
        (Some((name, _)), Written::Property) => format!("{property}:var(--{name});"),
        (Some((_, plain)), Written::Plain) => format!("{property}:{plain};"),
        (None, Written::Plain) => format!("{property}:{value};"),
        (None, Written::Property) => return,
    };
    css.push_str(&text);
}

fn properties(
    css: &mut String,
    pick: impl Fn(&(&str, &'static str, &'static str)) -> &'static str,
) {
    css.push_str(".cosim{");
    for color in COLORS {
        write!(css, "--{}:{};", color.0, pick(color)).expect("invariant: a string takes text");
    }
    css.push_str("}\n");
}

fn rules(css: &mut String, written: Written) {
    for (selector, declarations) in RULES {
        let mut body = String::new();
        declarations.iter().for_each(|(p, v)| declaration(&mut body, p, v, written));
        let space = if selector.is_empty() { "" } else { " " };
        if !body.is_empty() {
            css.push_str(&format!(".cosim{space}{selector}{{{body}}}\n"));
        }
    }
    for (name, ..) in COLORS.iter().filter(|(n, ..)| n.len() < 4 && n.starts_with(['c', 'h'])) {
        let mut body = String::new();
        declaration(&mut body, "fill", &format!("@{name}"), written);
        css.push_str(&format!(".cosim .{name}{{{body}}}\n"));
    }
}

/// The style sheet of a chart. Readers without custom properties skip what stands in `@supports`.
pub(super) fn css() -> String {
    let mut css = String::new();
    rules(&mut css, Written::Plain);
    for text in Type::ALL {
        css.push_str(&format!(".cosim .{}{{font-size:{}px}}\n", text.class(), text.size()));
    }
    css.push_str("@supports (--a:0){\n");
    properties(&mut css, |c| c.1);
    rules(&mut css, Written::Property);
    css.push_str("}\n@media (prefers-color-scheme:dark){");
    properties(&mut css, |c| c.2);
    css.push_str("}\n");
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_names_a_known_colour() {
        let values = RULES.iter().flat_map(|(_, d)| d.iter()).map(|(_, v)| v);
        for name in values.filter_map(|v| v.strip_prefix('@')) {
            assert!(light(name).is_some(), "{name}");
        }
        assert_eq!(css().matches('@').count(), 2, "only @supports and @media remain");
    }
}
