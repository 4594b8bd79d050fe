//! Drawing by hand: a page of SVG with axes, bars, lines and words.

use std::fmt::Write;

use super::summary::named;

/// Width of every plot.
pub(super) const WIDTH: f64 = 760.0;
const COLOURS: [&str; 12] = [
    "#d1495b", "#30638e", "#edae49", "#00798c", "#8d6a9f", "#5b8c5a", "#b5651d", "#4a4e69", "#c97b84",
    "#7fb7be", "#9a8c98", "#3d405b",
];

/// A plot that is being drawn.
pub(super) struct Plot {
    body: String,
    height: f64,
}

impl Plot {
    /// An empty plot with a title.
    pub(super) fn new(title: &str, height: f64) -> Self {
        let mut plot = Self { body: String::new(), height };
        plot.words(WIDTH / 2.0, 20.0, "middle", 15, title);
        plot
    }

    /// Words at a place; `anchor` is `start`, `middle` or `end`.
    pub(super) fn words(&mut self, x: f64, y: f64, anchor: &str, size: u32, words: &str) {
        let words = words.replace('&', "&amp;").replace('<', "&lt;");
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}">{words}</text>"#
        );
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="{width}"/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    /// A filled rectangle.
    pub(super) fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
        );
    }

    /// A line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let mut text = String::new();
        for (x, y) in points {
            let _ = write!(text, "{x:.1},{y:.1} ");
        }
        let _ = writeln!(
            self.body,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            text.trim_end()
        );
    }

    /// Names with their colours, in one column.
    pub(super) fn legend(&mut self, x: f64, y: f64, names: &[&str]) {
        for (at, name) in (0_u32..).zip(names) {
            let y = y + f64::from(at) * 16.0;
            self.bar(x, y - 9.0, 10.0, 10.0, colour(at));
            self.words(x + 15.0, y, "start", 11, &named(name));
        }
    }

    /// The whole file.
    pub(super) fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" \
             font-family=\"sans-serif\" fill=\"#222\">\n<rect width=\"{WIDTH}\" height=\"{0}\" fill=\"#fff\"/>\n{1}</svg>\n",
            self.height, self.body
        )
    }
}

/// The colour of the n-th contender.
pub(super) fn colour(at: u32) -> &'static str {
    COLOURS[at as usize % COLOURS.len()]
}

/// A logarithmic axis from a range of values to a range of places.
pub(super) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Ends at powers of ten or halves of them, so that all values fit.
    pub(super) fn over(values: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.into_iter().filter(|value| value.is_finite() && *value > 0.0) {
            (low, high) = (low.min(value), high.max(value));
        }
        (high > 0.0).then(|| Self { low: low / 1.15, high: high * 1.15, from, to })
    }

    /// The place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        self.from + share * (self.to - self.from)
    }

    /// 1, 2 and 5 times powers of ten inside.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        for power in -4..14 {
            for digit in [1.0, 2.0, 5.0] {
                let tick = digit * 10_f64.powi(power);
                if (self.low..=self.high).contains(&tick) {
                    ticks.push(tick);
                }
            }
        }
        ticks
    }
}
