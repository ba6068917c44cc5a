//! Searches for scales that leave the least squared error (A95).

/// Levels that elements are rounded to, times a scale.
pub(super) trait Levels: Copy {
    /// The lowest and the highest level.
    fn ends(self) -> [f32; 2];

    /// The level nearest to `y`.
    fn nearest(self, y: f32) -> f32;

    /// The code of a level.
    fn code(self, level: f32) -> u8;
}

/// Whole numbers from `-n` to `n - 1`.
#[derive(Clone, Copy)]
pub(super) struct Whole {
    /// `n`.
    pub n: f32,
}

impl Levels for Whole {
    fn ends(self) -> [f32; 2] {
        [-self.n, self.n - 1.0]
    }

    fn nearest(self, y: f32) -> f32 {
        whole(y.max(-self.n).min(self.n - 1.0))
    }

    fn code(self, level: f32) -> u8 {
        (level + self.n) as u8
    }
}

/// The whole number nearest to `y`, for magnitudes below 2^22.
fn whole(y: f32) -> f32 {
    // The sum has no bits left for a fraction.
    const SHIFT: f32 = 12_582_912.0;
    (y + SHIFT) - SHIFT
}

/// Steps of [`scale`] and [`line`] to either side of the one that reaches the extremes, and their size in levels.
const STEPS: i32 = 5;
const STEP: f32 = 0.2;

/// The scale `s` for which `s level` comes nearest to the values.
///
/// The element of largest magnitude is put on either end, and around it; each time the codes that follow give
/// the scale by least squares.
pub(super) fn scale(values: &[f32], levels: impl Levels) -> f32 {
    let most = values.iter().fold(0.0_f32, |most, x| if x.abs() > most.abs() { *x } else { most });
    if most == 0.0 || !most.is_finite() {
        return 0.0;
    }
    // A sixteenth of the range is a step of a table that has 16 levels.
    let step = STEP * ((levels.ends()[1] - levels.ends()[0]) / 32.0).max(1.0);
    let (mut best, mut gain) = (0.0, 0.0);
    for end in levels.ends() {
        for i in -STEPS..=STEPS {
            let inverse = (end + step * i as f32) / most;
            let (xl, ll) = products(values, inverse, levels);
            // The squared error is what this leaves of the sum of squares.
            if ll > 0.0 && xl * xl > gain * ll {
                (best, gain) = (xl / ll, xl * xl / ll);
            }
        }
    }
    best
}

/// Sums of `x level` and `level^2` where levels are those nearest to `x inverse`.
fn products(values: &[f32], inverse: f32, levels: impl Levels) -> (f32, f32) {
    lanes(values, |x| {
        let level = levels.nearest(x * inverse);
        (x * level, level * level)
    })
}

/// Sums in eight lanes, which a core adds at once.
fn lanes(values: &[f32], of: impl Fn(f32) -> (f32, f32)) -> (f32, f32) {
    let (mut a, mut b) = ([0.0; 8], [0.0; 8]);
    for part in values.chunks_exact(8) {
        for i in 0..8 {
            let (p, q) = of(part[i]);
            a[i] += p;
            b[i] += q;
        }
    }
    (a.iter().sum(), b.iter().sum())
}

/// Sums of `x level` and `level^2`, and the squared error, of values rounded with a scale.
pub(super) fn rounded(values: &[f32], scale: f32, levels: impl Levels) -> ([f32; 2], f32) {
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let (xl, ll) = products(values, inverse, levels);
    let (error, _) = lanes(values, |x| {
        let off = x - scale * levels.nearest(x * inverse);
        (off * off, 0.0)
    });
    ([xl, ll], error)
}

/// `x = scale q - minimum` for codes `q` from 0 to the top.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    /// Not negative.
    pub scale: f32,
    /// Not negative.
    pub minimum: f32,
}

/// Sums over elements with their codes: `q`, `q^2`, `x q`, `x`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    pub q: f32,
    pub qq: f32,
    pub xq: f32,
    pub x: f32,
}

impl Line {
    /// The code nearest to `x`.
    pub(super) fn code(self, x: f32, top: f32) -> f32 {
        Self::at(x, self.minimum, self.inverse(), top)
    }

    fn at(x: f32, minimum: f32, inverse: f32, top: f32) -> f32 {
        whole(((x + minimum) * inverse).max(0.0).min(top))
    }

    fn inverse(self) -> f32 {
        if self.scale == 0.0 { 0.0 } else { 1.0 / self.scale }
    }

    /// The squared error that it leaves.
    pub(super) fn error(self, values: &[f32], top: f32) -> f32 {
        let inverse = self.inverse();
        let error = |x| {
            let off = x - (self.scale * Self::at(x, self.minimum, inverse, top) - self.minimum);
            (off * off, 0.0)
        };
        lanes(values, error).0
    }

    /// Sums over the codes that it gives.
    pub(super) fn sums(self, values: &[f32], top: f32) -> Sums {
        let inverse = self.inverse();
        let code = |x| Self::at(x, self.minimum, inverse, top);
        let (q, qq) = lanes(values, |x| (code(x), code(x) * code(x)));
        let (xq, x) = lanes(values, |x| (x * code(x), x));
        Sums { q, qq, xq, x }
    }
}

/// The line that comes nearest to the values.
///
/// The range of the values, and zero, is cut into a little less and a little more than the steps there are; each
/// time the codes that follow give the line by least squares.
pub(super) fn line(values: &[f32], top: f32) -> Line {
    let low = values.iter().fold(0.0_f32, |low, x| low.min(*x));
    let high = values.iter().fold(f32::NEG_INFINITY, |high, x| high.max(*x));
    if high <= low || !high.is_finite() || !low.is_finite() {
        return Line { scale: 0.0, minimum: if low.is_finite() { -low } else { 0.0 } };
    }
    let (mut best, mut least) = (Line::default(), f32::INFINITY);
    for i in -STEPS..=STEPS {
        let scale = (high - low) / (top + STEP * i as f32);
        let first = Line { scale, minimum: -low };
        let fitted = least_squares(first.sums(values, top), values.len() as f32).unwrap_or(first);
        let error = fitted.error(values, top);
        if error < least {
            (best, least) = (fitted, error);
        }
    }
    best
}

/// The line through points with these sums; through zero where it would lie above.
fn least_squares(s: Sums, n: f32) -> Option<Line> {
    let determinant = n * s.qq - s.q * s.q;
    let scale = (n * s.xq - s.x * s.q) / determinant;
    let minimum = (scale * s.q - s.x) / n;
    let (scale, minimum) = if minimum < 0.0 { (s.xq / s.qq, 0.0) } else { (scale, minimum) };
    (determinant > 0.0 && scale > 0.0).then_some(Line { scale, minimum })
}
