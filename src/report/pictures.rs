//! What must hold of every chart: well-formed, legible, inside its edges, the same every time.

use super::bars::{Bar, BarsChart, Outcome};
use super::roofline::{RooflineChart, RooflinePoint};
use super::samples;
use super::step::Phase;
use super::svg::{Point, Rect};
use crate::units::{FlopsPerByte, FlopsPerSecond};
use proptest::prelude::*;

fn parse(svg: &str) -> roxmltree::Document<'_> {
    roxmltree::Document::parse(svg).expect("well-formed XML")
}

fn number(node: &roxmltree::Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).and_then(|v| v.parse().ok()).unwrap_or(0.0)
}

/// Font sizes by class, as in the style sheet.
fn size(class: &str) -> f64 {
    match class.rsplit(' ').next() {
        Some("t1") => 19.0,
        Some("t2") => 13.5,
        Some("t3") => 12.5,
        Some("t4") => 11.5,
        _ => 11.0,
    }
}

/// Boxes of the capitals of all upright texts, with what they say.
fn texts(svg: &str) -> Vec<(String, Rect)> {
    let document = parse(svg);
    let upright =
        document.descendants().filter(|n| n.has_tag_name("text") && !n.has_attribute("transform"));
    upright
        .map(|n| {
            let (x, width) = (number(&n, "x"), number(&n, "textLength"));
            let left = match n.attribute("text-anchor") {
                Some("end") => x - width,
                Some("middle") => x - width / 2.0,
                _ => x,
            };
            let cap = size(n.attribute("class").unwrap_or("")) * 0.72;
            (n.text().unwrap_or("").to_owned(), Rect::new(left, number(&n, "y") - cap, width, cap))
        })
        .collect()
}

/// Texts neither overlap nor leave the picture.
fn assert_legible(svg: &str) {
    let document = parse(svg);
    let root = document.root_element();
    let picture = Rect::new(0.0, 0.0, number(&root, "width"), number(&root, "height"));
    let texts = texts(svg);
    for (i, (text, rect)) in texts.iter().enumerate() {
        assert!(picture.contains(rect), "`{text}` leaves the picture: {rect:?}");
        for (other, taken) in &texts[..i] {
            assert!(!taken.overlaps(rect), "`{text}` overlaps `{other}`");
        }
    }
}

/// The group's marks as boxes.
fn marks(svg: &str, group: &str) -> Vec<Rect> {
    let document = parse(svg);
    let group = document.descendants().find(|n| n.attribute("id") == Some(group));
    let shapes = group.into_iter().flat_map(|g| g.children()).filter(|n| n.is_element());
    shapes
        .map(|n| match n.attribute("points") {
            Some(points) => hull(points),
            None => {
                let r = number(&n, "r");
                Rect::around(Point::new(number(&n, "cx"), number(&n, "cy")), 2.0 * r, 2.0 * r)
            }
        })
        .collect()
}

fn hull(points: &str) -> Rect {
    let pairs = points.split(' ').filter_map(|p| p.split_once(','));
    let pairs: Vec<(f64, f64)> =
        pairs.filter_map(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?))).collect();
    let low = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).fold(f64::INFINITY, f64::min);
    let high = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).fold(f64::NEG_INFINITY, f64::max);
    let (left, top) = (low(|p| p.0), low(|p| p.1));
    Rect::new(left, top, high(|p| p.0) - left, high(|p| p.1) - top)
}

fn frame(svg: &str) -> Rect {
    let document = parse(svg);
    let frame = document.descendants().find(|n| n.attribute("class") == Some("frame"));
    hull(frame.and_then(|n| n.attribute("points")).expect("a frame"))
}

#[test]
fn charts_are_legible_and_the_same_every_time() {
    let charts: [fn() -> String; 8] = [
        || samples::roofline().to_svg(),
        || samples::breakdown().to_svg(),
        || samples::comparison().to_svg(),
        || samples::bars().to_svg(),
        || samples::memory().to_svg(),
        || samples::kv().chart().to_svg(),
        || samples::surface(&samples::loops()).to_svg(),
        || samples::heat(&samples::errors()).to_svg(),
    ];
    for chart in charts {
        let svg = chart();
        assert_legible(&svg);
        assert_eq!(svg, chart());
        for needed in ["role=\"img\"", "aria-label=", "<desc>", "prefers-color-scheme:dark"] {
            assert!(svg.contains(needed), "{needed}");
        }
    }
}

#[test]
fn a_heat_map_has_a_cell_for_each_tile_and_tells_wrong_ones() {
    let maps = samples::errors();
    let svg = samples::heat(&maps).to_svg();
    let document = parse(&svg);
    let cells = |class: &str| {
        document.descendants().filter(|n| n.attribute("class") == Some(class)).count()
    };
    // 8 heads by 40 cells of tokens, 1 row by 32 elements.
    assert_eq!(cells("h3") + cells("h0") + cells("text"), 8 * 40 + 32);
    assert!(svg.contains("head 3, token 0: 500.000") && svg.contains("NaN or infinite"));
    assert!(svg.contains("token (2 a cell)"));
}

#[test]
fn every_operator_is_drawn_in_the_frame_or_named_below() {
    let svg = samples::roofline().to_svg();
    let (frame, marks) = (frame(&svg), marks(&svg, "points"));
    assert_eq!(marks.len(), samples::roofline().points.len() - 1);
    assert!(marks.iter().all(|m| frame.contains(m)));
    let notes = texts(&svg);
    assert!(notes.iter().any(|(t, _)| t.contains("without FLOPs: kv_append (decode 0.2 %, DRAM)")));
    for point in samples::roofline().points {
        assert!(notes.iter().any(|(t, _)| t.contains(&point.label)), "{}", point.label);
    }
}

#[test]
fn ridge_points_stand_where_the_roofs_meet() {
    let svg = samples::roofline().to_svg();
    for ridge in ["153 FLOP/B", "57.5 FLOP/B", "16.4 FLOP/B", "9.56 FLOP/B"] {
        assert!(texts(&svg).iter().any(|(t, _)| t == ridge), "{ridge}");
    }
}

#[test]
fn a_surface_has_a_cell_a_point_and_marks_each_rates_fastest_gamma() {
    let loops = samples::loops();
    let chart = samples::surface(&loops);
    let svg = chart.to_svg();
    let document = parse(&svg);
    let group = |id: &str| document.descendants().find(|n| n.attribute("id") == Some(id));
    let shapes = |id: &str, tag: &str| {
        let children = group(id).into_iter().flat_map(|g| g.children());
        children.filter(|n| n.has_tag_name(tag)).count()
    };
    assert_eq!(shapes("cells", "rect"), 21 * 16);
    let faster = chart.to_table().rows.iter().filter(|row| row[1] != "-").count();
    assert_eq!(shapes("lines", "circle"), faster);
    let csv = chart.to_csv().expect("text");
    let fastest = csv.lines().filter(|line| line.ends_with(",true")).count();
    assert_eq!((csv.lines().count(), fastest), (1 + 21 * 16, faster));
    let json = chart.to_json();
    let points = json["points"].as_array().expect("a list");
    for (line, point) in csv.lines().skip(1).zip(points) {
        let speed_up = line.split(',').nth(4).and_then(|v| v.parse::<f64>().ok());
        assert_eq!(speed_up, point["speed_up"].as_f64(), "{line}");
    }
}

#[test]
fn the_pareto_front_is_what_nothing_beats() {
    let chart = samples::comparison();
    let front: Vec<&str> = chart.front().iter().map(|i| chart.points[*i].label.as_str()).collect();
    assert_eq!(front[..3], ["RTX 3090", "RTX 4090", "RTX 5090"]);
    assert!(!front.contains(&"T4") && front.contains(&"MI355X"));
}

#[test]
fn empty_and_hostile_charts_are_still_pictures() {
    let mut roofline = samples::roofline();
    roofline.points[0].label = "<script>&\u{0}".repeat(9);
    roofline.points[1].share = f64::NAN;
    roofline.points[2].attained = FlopsPerSecond::new(f64::INFINITY);
    assert_legible(&roofline.to_svg());
    let bare = RooflineChart {
        points: vec![],
        compute_roofs: vec![],
        memory_roofs: vec![],
        subtitle: String::new(),
        ..roofline
    };
    assert_legible(&bare.to_svg());
    assert_legible(
        &super::comparison::ComparisonChart { points: vec![], ..samples::comparison() }.to_svg(),
    );
    let none = crate::cost::speculative::Surface::new(vec![]);
    assert_legible(&samples::surface(&none).to_svg());
    assert_legible(&super::bars::BarsChart { bars: vec![], ..samples::bars() }.to_svg());
    assert_legible(
        &super::breakdown::BreakdownChart { phases: vec![], ..samples::breakdown() }.to_svg(),
    );
}

#[test]
fn a_small_chart_stays_as_it_was_reviewed() {
    let bar = |label: &str, outcome| Bar {
        label: label.to_owned(),
        outcome,
        range: None,
        detail: String::new(),
    };
    let bars = vec![
        bar("T4", Outcome::Status("does not fit".to_owned())),
        bar("A100", Outcome::Value(7.09e-3)),
    ];
    let chart = BarsChart {
        title: "TPOT".to_owned(),
        subtitle: String::new(),
        bars,
        notes: vec![],
        ..samples::bars()
    };
    let svg = chart.to_svg();
    let (head, rest) = svg.split_once("<style>").expect("a style sheet");
    let body = rest.split_once("</style>").expect("its end").1;
    insta::assert_snapshot!(format!("{head}{body}"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_roofline_is_legible(
        rows in prop::collection::vec((-1.0..3.5f64, -3.0..0.0f64, 0.0..1.0f64, 0..3usize), 0..24)
    ) {
        let phases = [Phase::Encode, Phase::Prefill, Phase::Decode];
        let point = |(i, (x, y, share, phase)): (usize, &(f64, f64, f64, usize))| RooflinePoint {
            label: format!("operator_{i}"),
            phase: phases[*phase],
            intensity: FlopsPerByte::new(10f64.powf(*x)),
            attained: FlopsPerSecond::new(312e12 * 10f64.powf(*y)),
            share: share * 0.3,
            bound: "DRAM".to_owned(),
            detail: String::new(),
        };
        let points: Vec<RooflinePoint> = rows.iter().enumerate().map(point).collect();
        let svg = RooflineChart { points, ..samples::roofline() }.to_svg();
        assert_legible(&svg);
        let (frame, marks) = (frame(&svg), marks(&svg, "points"));
        prop_assert_eq!(marks.len(), rows.len());
        prop_assert!(marks.iter().all(|m| frame.contains(m)));
    }
}
