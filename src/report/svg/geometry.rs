//! Points, rectangles and segments in logical pixels, y downwards.

/// A place in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Rightwards.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

impl Point {
    /// From coordinates.
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// Distance to another point.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// Moved by an offset.
    pub fn shifted(self, dx: f64, dy: f64) -> Self {
        Self::new(self.x + dx, self.y + dy)
    }
}

/// An upright rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Right edge.
    pub right: f64,
    /// Bottom edge.
    pub bottom: f64,
}

impl Rect {
    /// From the upper left corner and a size.
    pub const fn new(left: f64, top: f64, width: f64, height: f64) -> Self {
        Self { left, top, right: left + width, bottom: top + height }
    }

    /// Around a centre.
    pub fn around(center: Point, width: f64, height: f64) -> Self {
        Self::new(center.x - width / 2.0, center.y - height / 2.0, width, height)
    }

    /// Width.
    pub fn width(&self) -> f64 {
        self.right - self.left
    }

    /// Height.
    pub fn height(&self) -> f64 {
        self.bottom - self.top
    }

    /// The middle.
    pub fn center(&self) -> Point {
        Point::new((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0)
    }

    /// Grown on every side.
    pub fn grown(&self, by: f64) -> Self {
        Self {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }

    /// Whether they share area.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    /// Whether the other lies inside.
    pub fn contains(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }

    /// Whether the point lies inside.
    pub fn holds(&self, point: Point) -> bool {
        self.nearest(point) == point
    }

    /// The point of the rectangle that is closest.
    pub fn nearest(&self, to: Point) -> Point {
        Point::new(to.x.max(self.left).min(self.right), to.y.max(self.top).min(self.bottom))
    }

    /// The part of a segment inside, by Liang and Barsky.
    pub fn clip(&self, s: Segment) -> Option<Segment> {
        let (dx, dy) = (s.to.x - s.from.x, s.to.y - s.from.y);
        let sides = [
            (-dx, s.from.x - self.left),
            (dx, self.right - s.from.x),
            (-dy, s.from.y - self.top),
            (dy, self.bottom - s.from.y),
        ];
        let (mut enter, mut leave) = (0.0f64, 1.0f64);
        for (step, room) in sides {
            if step == 0.0 {
                if room < 0.0 {
                    return None;
                }
            } else if step < 0.0 {
                enter = enter.max(room / step);
            } else {
                leave = leave.min(room / step);
            }
        }
        (enter < leave).then(|| Segment {
            from: s.from.shifted(dx * enter, dy * enter),
            to: s.from.shifted(dx * leave, dy * leave),
        })
    }
}

/// A straight line between two points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Segment {
    /// Start.
    pub from: Point,
    /// End.
    pub to: Point,
}

impl Segment {
    /// From two points.
    pub const fn new(from: Point, to: Point) -> Self {
        Self { from, to }
    }

    /// Whether two segments cross.
    pub fn crosses(&self, other: &Self) -> bool {
        let side =
            |a: Point, b: Point, c: Point| (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
        let split =
            |s: &Self, t: &Self| side(s.from, s.to, t.from) * side(s.from, s.to, t.to) < 0.0;
        split(self, other) && split(other, self)
    }

    /// Distance of a point to the segment.
    pub fn distance(&self, p: Point) -> f64 {
        let (dx, dy) = (self.to.x - self.from.x, self.to.y - self.from.y);
        let length = dx * dx + dy * dy;
        if length == 0.0 {
            return p.distance(self.from);
        }
        let along = ((p.x - self.from.x) * dx + (p.y - self.from.y) * dy) / length;
        p.distance(self.from.shifted(dx * along.clamp(0.0, 1.0), dy * along.clamp(0.0, 1.0)))
    }

    /// The point at a fraction of the way.
    pub fn at(&self, part: f64) -> Point {
        let (dx, dy) = (self.to.x - self.from.x, self.to.y - self.from.y);
        self.from.shifted(dx * part, dy * part)
    }

    /// Length.
    pub fn length(&self) -> f64 {
        self.from.distance(self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_keeps_what_is_inside() {
        let frame = Rect::new(0.0, 0.0, 10.0, 10.0);
        let line = Segment::new(Point::new(-5.0, 5.0), Point::new(15.0, 5.0));
        let kept = Segment::new(Point::new(0.0, 5.0), Point::new(10.0, 5.0));
        assert_eq!(frame.clip(line), Some(kept));
        let outside = Segment::new(Point::new(-5.0, 11.0), Point::new(15.0, 11.0));
        assert_eq!(frame.clip(outside), None);
    }
}
