//! An SVG backend for plotters: smooth lines, CSS classes, tooltips, light and dark, measured text.

mod backend;
mod canvas;
mod escape;
mod font;
mod geometry;
mod place;
mod theme;

pub use backend::SvgBackend;
pub use canvas::{Align, Canvas, Mark, Text};
pub use escape::escape;
pub use font::{Weight, ellipsis, text_width, wrap};
pub use geometry::{Point, Rect, Segment};
pub use place::{Placed, Request, Scene, place};
pub use theme::Type;
