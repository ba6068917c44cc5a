//! `plotters_backend::DrawingBackend` that writes SVG: 16 units a pixel, so that curves are smooth.

use super::canvas::{Canvas, SUBPIXELS};
use super::escape::{escape, number};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};
use std::convert::Infallible;

type Done = Result<(), DrawingErrorKind<Infallible>>;

/// Draws on a [`Canvas`]; its pen's class replaces the style's colour.
pub struct SvgBackend {
    canvas: Canvas,
}

impl SvgBackend {
    /// A backend that draws on the canvas.
    pub fn new(canvas: &Canvas) -> Self {
        Self { canvas: canvas.clone() }
    }

    /// Class, or stroke and fill where the pen has no class.
    fn look<S: BackendStyle>(&self, style: &S, fill: bool) -> String {
        if let Some(class) = self.canvas.pen_class() {
            return format!(" class=\"{class}\"");
        }
        let (color, alpha) = (hex(style.color()), number(style.color().alpha));
        if fill {
            return format!(" fill=\"{color}\" fill-opacity=\"{alpha}\"");
        }
        let width = style.stroke_width();
        format!(
            " fill=\"none\" stroke=\"{color}\" stroke-opacity=\"{alpha}\" stroke-width=\"{width}\""
        )
    }

    fn poly(&self, tag: &str, points: impl IntoIterator<Item = BackendCoord>, look: &str) {
        let points: Vec<String> =
            points.into_iter().map(|(x, y)| format!("{},{}", scaled(x), scaled(y))).collect();
        self.canvas.element(tag, &format!("points=\"{}\"{look}", points.join(" ")));
    }
}

fn scaled(units: i32) -> String {
    number(f64::from(units) / SUBPIXELS)
}

fn hex(color: BackendColor) -> String {
    let (r, g, b) = color.rgb;
    format!("#{r:02x}{g:02x}{b:02x}")
}

impl DrawingBackend for SvgBackend {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let (width, height) = self.canvas.size();
        ((width * SUBPIXELS) as u32, (height * SUBPIXELS) as u32)
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Done {
        self.draw_rect(at, (at.0 + 1, at.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, a: BackendCoord, b: BackendCoord, style: &S) -> Done {
        let look = self.look(style, false);
        let [x1, y1, x2, y2] = [a.0, a.1, b.0, b.1].map(scaled);
        let shape = format!("x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"{look}");
        self.canvas.element("line", &shape);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        a: BackendCoord,
        b: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Done {
        let look = self.look(style, fill);
        let [x, y] = [a.0.min(b.0), a.1.min(b.1)].map(scaled);
        let [w, h] = [(a.0 - b.0).abs(), (a.1 - b.1).abs()].map(scaled);
        let shape = format!("x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"{look}");
        self.canvas.element("rect", &shape);
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Done {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        if let [from, to] = points[..] {
            return self.draw_line(from, to, style);
        }
        self.poly("polyline", points, &self.look(style, false));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Done {
        let look = self.look(style, fill);
        let [cx, cy] = [center.0, center.1].map(scaled);
        let r = number(f64::from(radius) / SUBPIXELS);
        self.canvas.element("circle", &format!("cx=\"{cx}\" cy=\"{cy}\" r=\"{r}\"{look}"));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Done {
        self.poly("polygon", corners, &self.look(style, true));
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(&mut self, text: &str, style: &T, at: BackendCoord) -> Done {
        let size = style.size() / SUBPIXELS;
        let anchor = match style.anchor().h_pos {
            HPos::Left => "start",
            HPos::Center => "middle",
            HPos::Right => "end",
        };
        let drop = match style.anchor().v_pos {
            VPos::Top => 0.8,
            VPos::Center => 0.35,
            VPos::Bottom => -0.2,
        };
        let angle = match style.transform() {
            FontTransform::None => 0,
            FontTransform::Rotate90 => 90,
            FontTransform::Rotate180 => 180,
            FontTransform::Rotate270 => 270,
        };
        let [x, y] = [at.0, at.1].map(scaled);
        let color = hex(style.color());
        let (dy, size) = (number(drop * size), number(size));
        self.canvas.raw(&format!(
            "<text x=\"{x}\" y=\"{y}\" dy=\"{dy}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             transform=\"rotate({angle} {x} {y})\" fill=\"{color}\">{}</text>\n",
            escape(text)
        ));
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let width = super::font::text_width(text, style.size(), super::font::Weight::Regular);
        Ok((width.ceil() as u32, style.size().ceil() as u32))
    }
}

#[cfg(test)]
mod tests {
    use crate::report::svg::{Canvas, Mark};
    use plotters::element::PathElement;
    use plotters::style::{BLACK, Color, IntoFont, RED, TextStyle};

    #[test]
    fn plotters_draws_between_pixels_with_class_and_tooltip() {
        let canvas = Canvas::new(100.0, 50.0);
        canvas.pen(Mark { class: "roof", tooltip: "2 TB/s & more" });
        let line = PathElement::new(vec![(16, 8), (1600, 17)], BLACK.filled());
        canvas.area().draw(&line).expect("drawn");
        canvas.pen(Mark::default());
        canvas.area().draw(&PathElement::new(vec![(0, 0), (16, 16)], RED)).expect("drawn");
        let style = TextStyle::from(("sans-serif", 160).into_font());
        canvas.area().draw_text("<x>", &style, (160, 160)).expect("drawn");
        let svg = canvas.finish("t", "d");
        let classed = "<line x1=\"1\" y1=\"0.5\" x2=\"100\" y2=\"1.06\" class=\"roof\">\
                       <title>2 TB/s &amp; more</title></line>";
        assert!(svg.contains(classed), "{svg}");
        assert!(svg.contains("stroke=\"#ff0000\""), "{svg}");
        assert!(svg.contains("font-size=\"10\"") && svg.contains(">&lt;x&gt;</text>"), "{svg}");
    }
}
