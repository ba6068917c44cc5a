//! The Pareto front: who is on it, how it is drawn, and whose labels matter.

use super::{ComparisonChart, ComparisonPoint, is_drawn};
use crate::report::axis::{Axis, Better};
use crate::report::logplot::LogPlot;
use crate::report::svg::Point;

/// With more points than this, only the front and the extremes are labelled.
const CROWDED: usize = 64;

impl ComparisonChart {
    /// Indices of the points that no other beats on both axes, by x.
    pub fn front(&self) -> Vec<usize> {
        let good = |axis: &Axis, v: f64| if axis.better == Better::Lower { -v } else { v };
        let worth = |p: &ComparisonPoint| (good(&self.x, p.x), good(&self.y, p.y));
        let beaten = |p: &ComparisonPoint| {
            let (x, y) = worth(p);
            let beats = |(ox, oy): (f64, f64)| ox >= x && oy >= y && (ox > x || oy > y);
            self.points.iter().filter(|o| is_drawn(o)).any(|o| beats(worth(o)))
        };
        let points = self.points.iter().enumerate();
        let mut front: Vec<usize> =
            points.filter(|(_, p)| is_drawn(p) && !beaten(p)).map(|(i, _)| i).collect();
        let key = |i: &usize| (self.points[*i].x, self.points[*i].y);
        front.sort_by(|a, b| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
        front
    }

    /// The front as steps: what is best up to each point.
    pub(super) fn front_line(&self, plot: &LogPlot, front: &[usize]) -> Vec<Point> {
        let places: Vec<Point> = front.iter().map(|i| self.at(plot, *i)).collect();
        let Some((first, last)) = places.first().zip(places.last()) else { return vec![] };
        let frame = &plot.frame;
        let mut line = vec![];
        // With x spent and y got, the front starts at the bottom and runs on to the right.
        let spent = (self.x.better, self.y.better) == (Better::Lower, Better::Higher);
        if spent {
            line.push(Point::new(first.x, frame.bottom));
        }
        for pair in places.windows(2) {
            line.push(pair[0]);
            line.push(match self.x.better {
                Better::Lower => Point::new(pair[1].x, pair[0].y),
                Better::Higher => Point::new(pair[0].x, pair[1].y),
            });
        }
        line.push(*last);
        if spent {
            line.push(Point::new(frame.right, last.y));
        }
        line
    }

    /// Drawn points in the order of their labels' importance, and how many of them get one.
    pub(super) fn order(&self, front: &[usize]) -> (Vec<usize>, usize) {
        let drawn: Vec<usize> =
            (0..self.points.len()).filter(|i| is_drawn(&self.points[*i])).collect();
        let mut order: Vec<usize> = self.chosen.into_iter().filter(|i| drawn.contains(i)).collect();
        order.extend(front.iter().filter(|i| self.chosen != Some(**i)));
        let (x, y) = (|i: &usize| self.points[*i].x, |i: &usize| self.points[*i].y);
        let by = |f: &dyn Fn(&usize) -> f64, a: &usize, b: &usize| f(a).total_cmp(&f(b));
        let extremes = [
            drawn.iter().min_by(|a, b| by(&x, a, b)),
            drawn.iter().max_by(|a, b| by(&x, a, b)),
            drawn.iter().min_by(|a, b| by(&y, a, b)),
            drawn.iter().max_by(|a, b| by(&y, a, b)),
        ];
        for extreme in extremes.into_iter().flatten() {
            if !order.contains(extreme) {
                order.push(*extreme);
            }
        }
        let important = order.len();
        order.extend(drawn.iter().filter(|i| !order[..important].contains(i)).collect::<Vec<_>>());
        let named = if order.len() > CROWDED { important } else { order.len() };
        (order, named)
    }
}
