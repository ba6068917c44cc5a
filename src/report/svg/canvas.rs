//! The picture under construction: a shared handle that names, groups and classes what is drawn.

use super::backend::SvgBackend;
use super::escape::{escape, number};
use super::font::{Weight, text_width};
use super::geometry::{Point, Rect, Segment};
use super::theme::{TEXTURES, Type, css};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{
    Circle, CoordMapper, Drawable, PathElement, PointCollection, Polygon, Rectangle,
};
use plotters::style::{BLACK, Color, ShapeStyle};
use std::cell::RefCell;
use std::rc::Rc;

/// Backend units in one logical pixel.
pub(super) const SUBPIXELS: f64 = 16.0;

#[derive(Default)]
struct Content {
    body: String,
    class: Option<String>,
    tooltip: String,
}

/// A picture; clones are handles on the same picture.
#[derive(Clone)]
pub struct Canvas {
    content: Rc<RefCell<Content>>,
    width: f64,
    height: f64,
}

/// How one element looks and what it says when pointed at.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mark<'a> {
    /// CSS classes.
    pub class: &'a str,
    /// Tooltip lines; none where empty.
    pub tooltip: &'a str,
}

impl<'a> Mark<'a> {
    /// A class without tooltip.
    pub const fn class(class: &'a str) -> Self {
        Self { class, tooltip: "" }
    }
}

/// Which end of a text its position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// It starts there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// A line of text; the position is on its baseline.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// What it says.
    pub text: &'a str,
    /// Its size.
    pub size: Type,
    /// CSS classes.
    pub class: &'a str,
    /// Which end the position is.
    pub align: Align,
    /// Clockwise degrees around the position.
    pub angle: f64,
}

impl<'a> Text<'a> {
    /// Horizontal text that starts at its position.
    pub const fn new(text: &'a str, size: Type, class: &'a str) -> Self {
        Self { text, size, class, align: Align::Start, angle: 0.0 }
    }

    /// With another alignment.
    pub const fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    /// Turned clockwise around its position.
    pub const fn turned(self, angle: f64) -> Self {
        Self { angle, ..self }
    }

    /// Its width in pixels.
    pub fn width(&self) -> f64 {
        text_width(self.text, self.size.size(), self.weight())
    }

    /// Classes `title` and `strong` are bold.
    fn weight(&self) -> Weight {
        match self.class.split(' ').any(|c| matches!(c, "title" | "strong")) {
            true => Weight::Bold,
            false => Weight::Regular,
        }
    }
}

impl Canvas {
    /// An empty picture.
    pub fn new(width: f64, height: f64) -> Self {
        Self { content: Rc::default(), width, height }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (f64, f64) {
        (self.width, self.height)
    }

    /// The whole picture as a plotters area, 16 units a pixel.
    pub fn area(&self) -> DrawingArea<SvgBackend, Shift> {
        SvgBackend::new(self).into_drawing_area()
    }

    /// Sets what following plotters elements look like and say.
    pub fn pen(&self, mark: Mark<'_>) {
        let mut content = self.content.borrow_mut();
        content.class = (!mark.class.is_empty()).then(|| escape(mark.class));
        mark.tooltip.clone_into(&mut content.tooltip);
    }

    pub(super) fn pen_class(&self) -> Option<String> {
        self.content.borrow().class.clone()
    }

    /// Writes one element with the pen's tooltip.
    pub(super) fn element(&self, tag: &str, attributes: &str) {
        let mut content = self.content.borrow_mut();
        let written = if content.tooltip.is_empty() {
            format!("<{tag} {attributes}/>\n")
        } else {
            let tooltip = escape(&content.tooltip);
            format!("<{tag} {attributes}><title>{tooltip}</title></{tag}>\n")
        };
        content.body.push_str(&written);
    }

    pub(super) fn raw(&self, markup: &str) {
        self.content.borrow_mut().body.push_str(markup);
    }

    /// Draws inside a group with an id.
    pub fn group<T>(&self, id: &str, draw: impl FnOnce() -> T) -> T {
        self.raw(&format!("<g id=\"{}\">\n", escape(id)));
        let drawn = draw();
        self.raw("</g>\n");
        drawn
    }

    fn draw<E, B>(&self, element: &E, mark: Mark<'_>)
    where
        B: CoordMapper,
        for<'e> &'e E: PointCollection<'e, (i32, i32), B>,
        E: Drawable<SvgBackend, B>,
    {
        self.pen(mark);
        self.area().draw(element).expect("invariant: drawing on a string cannot fail");
        self.pen(Mark::default());
    }

    /// A straight line.
    pub fn line(&self, segment: Segment, mark: Mark<'_>) {
        self.draw(&PathElement::new(vec![units(segment.from), units(segment.to)], style()), mark);
    }

    /// A bent line.
    pub fn path(&self, points: &[Point], mark: Mark<'_>) {
        let points: Vec<_> = points.iter().copied().map(units).collect();
        self.draw(&PathElement::new(points, style()), mark);
    }

    /// A rectangle.
    pub fn rect(&self, rect: &Rect, mark: Mark<'_>) {
        let corners =
            [Point::new(rect.left, rect.top), Point::new(rect.right, rect.bottom)].map(units);
        self.draw(&Rectangle::new(corners, style()), mark);
    }

    /// A circle.
    pub fn circle(&self, center: Point, radius: f64, mark: Mark<'_>) {
        let radius = (radius * SUBPIXELS).round() as i32;
        self.draw(&Circle::new(units(center), radius, style()), mark);
    }

    /// A square on its corner, of half diagonal `reach`.
    pub fn diamond(&self, c: Point, reach: f64, mark: Mark<'_>) {
        let corners = [(0.0, -reach), (reach, 0.0), (0.0, reach), (-reach, 0.0)];
        let corners: Vec<_> = corners.iter().map(|(x, y)| units(c.shifted(*x, *y))).collect();
        self.draw(&Polygon::new(corners, style()), mark);
    }

    /// A triangle on its base.
    pub fn triangle(&self, c: Point, reach: f64, mark: Mark<'_>) {
        let corners = [(0.0, -reach), (reach, reach * 0.8), (-reach, reach * 0.8)];
        let corners: Vec<_> = corners.iter().map(|(x, y)| units(c.shifted(*x, *y))).collect();
        self.draw(&Polygon::new(corners, style()), mark);
    }

    /// A line of text, fitted to its measured width whatever font the reader has.
    pub fn text(&self, at: Point, text: &Text<'_>) {
        let anchor = match text.align {
            Align::Start => "",
            Align::Middle => " text-anchor=\"middle\"",
            Align::End => " text-anchor=\"end\"",
        };
        let [x, y, angle, width] = [at.x, at.y, text.angle, text.width()].map(number);
        let turn = if text.angle == 0.0 {
            String::new()
        } else {
            format!(" transform=\"rotate({angle} {x} {y})\"")
        };
        let fitted = format!(" textLength=\"{width}\" lengthAdjust=\"spacingAndGlyphs\"");
        let (class, size) = (escape(text.class), text.size.class());
        self.raw(&format!(
            "<text x=\"{x}\" y=\"{y}\" class=\"{class} {size}\"{anchor}{turn}{fitted}>{}</text>\n",
            escape(text.text)
        ));
    }

    /// The SVG file: what it is called and what it shows, for those who cannot see it, come first.
    pub fn finish(&self, title: &str, description: &str) -> String {
        let [width, height] = [self.width, self.height].map(number);
        let (title, description) = (escape(title), escape(description));
        let body = self.content.borrow();
        let textured = body.body.contains("diagonal") || body.body.contains("dotted");
        let textures = if textured { TEXTURES } else { "" };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cosim\" role=\"img\" \
             aria-label=\"{title}\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<title>{title}</title>\n\
             <desc>{description}</desc>\n<style>\n{}</style>\n{textures}\
             <rect class=\"bg\" fill=\"#ffffff\" width=\"{width}\" height=\"{height}\"/>\n{}</svg>\n",
            css(),
            body.body
        )
    }
}

fn units(p: Point) -> (i32, i32) {
    ((p.x * SUBPIXELS).round() as i32, (p.y * SUBPIXELS).round() as i32)
}

fn style() -> ShapeStyle {
    BLACK.filled()
}
