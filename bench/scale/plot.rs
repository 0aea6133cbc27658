//! Line charts as SVG, in the colours of the reader's page.

use std::fmt::Write;

/// Size of a chart with its labels, px.
pub const WIDTH: f64 = 430.0;
/// As `WIDTH`.
pub const HEIGHT: f64 = 260.0;
/// Room for labels: left, top, right, bottom.
const MARGIN: [f64; 4] = [52.0, 36.0, 104.0, 34.0];

/// A chart.
pub struct Chart {
    pub title: String,
    /// What the axis is of, and where its marks are.
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

/// An axis, from its first mark to its last.
pub struct Axis {
    pub label: String,
    pub marks: Vec<(f64, String)>,
    /// Equal steps are equal factors.
    pub logarithmic: bool,
}

/// A line.
pub struct Line {
    pub name: String,
    /// A colour: 1 to 4.
    pub colour: usize,
    pub dashed: bool,
    /// A dot at each point.
    pub dots: bool,
    pub points: Vec<(f64, f64)>,
}

impl Axis {
    /// Marks at 1, 2, 5, 10 and so on, around all values.
    pub fn logarithmic(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(values);
        let decades = (-1..7).map(|power| 10f64.powi(power));
        let marks: Vec<f64> = decades
            .flat_map(|decade| [1.0, 2.0, 5.0].map(|step| step * decade))
            .collect();
        let first = marks.iter().rposition(|mark| *mark <= low).unwrap_or(0);
        let last = marks.iter().position(|mark| *mark >= high).unwrap_or(marks.len() - 1);
        let shown = &marks[first..=last.max(first + 1)];
        Self {
            label: label.to_owned(),
            marks: shown.iter().map(|mark| (*mark, number(*mark))).collect(),
            logarithmic: true,
        }
    }

    /// Marks from 0 on at equal distances.
    pub fn linear(label: &str, values: impl Iterator<Item = f64>) -> Self {
        let greatest = ends(values).1.max(1.0);
        let power = 10f64.powf((greatest / 4.0).log10().floor());
        let step = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 10.0].map(|step| step * power);
        let step = step.into_iter().find(|step| step * 5.0 >= greatest).unwrap_or(greatest);
        let mut marks = vec![(0.0, "0".to_owned())];
        while marks[marks.len() - 1].0 < greatest {
            let next = marks[marks.len() - 1].0 + step;
            marks.push((next, number(next)));
        }
        Self {
            label: label.to_owned(),
            marks,
            logarithmic: false,
        }
    }

    /// Where a value is, from 0 at the first mark to 1 at the last.
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| {
            if self.logarithmic {
                value.max(1e-9).log10()
            } else {
                value
            }
        };
        let (from, to) = (scale(self.marks[0].0), scale(self.marks[self.marks.len() - 1].0));
        (scale(value) - from) / (to - from)
    }
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, greatest), value| {
        (least.min(value), greatest.max(value))
    })
}

fn number(value: f64) -> String {
    if value.fract() > 0.05 {
        return format!("{value:.1}");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // marks are small and not negative
    super::goals::thousands(value.round() as u64)
}

/// The charts side by side, so many in a row.
pub fn svg(what: &str, charts: &[Chart], in_a_row: usize) -> String {
    let rows = charts.len().div_ceil(in_a_row);
    let [columns, rows] = [charts.len().min(in_a_row), rows].map(|count| f64::from(u16::try_from(count).unwrap()));
    let (width, height) = (columns * WIDTH, rows * HEIGHT);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">\n\
         <title>{what}</title>\n{STYLE}"
    );
    for (index, chart) in charts.iter().enumerate() {
        let [column, row] = [index % in_a_row, index / in_a_row].map(|place| f64::from(u16::try_from(place).unwrap()));
        writeln!(text, "<g transform=\"translate({} {})\">", column * WIDTH, row * HEIGHT).unwrap();
        chart.draw(&mut text);
        text += "</g>\n";
    }
    text + "</svg>\n"
}

const STYLE: &str = "<style>\n\
    text { font-family: system-ui, sans-serif; font-size: 12px; fill: #52514e } .title { font-weight: 600; fill: #0b0b0b }\n\
    .grid { stroke: #e1e0d9 } path { fill: none; stroke-width: 2; stroke-linejoin: round } .dashed { stroke-dasharray: 5 4 }\n\
    .c1 { stroke: #2a78d6 } .c2 { stroke: #eb6834 } .c3 { stroke: #1baf7a } .c4 { stroke: #8a8880 }\n\
    circle { stroke-width: 2; fill: #fff }\n\
    @media (prefers-color-scheme: dark) { text { fill: #c3c2b7 } .title { fill: #fff } .grid { stroke: #383835 }\n\
    .c1 { stroke: #3987e5 } .c2 { stroke: #d95926 } .c3 { stroke: #199e70 } circle { fill: #0d1117 } }\n\
    </style>\n";

impl Chart {
    fn draw(&self, text: &mut String) {
        let [left, top, right, bottom] = MARGIN;
        let (width, height) = (WIDTH - left - right, HEIGHT - top - bottom);
        let x = |value: f64| left + width * self.x.place(value);
        let y = |value: f64| top + height * (1.0 - self.y.place(value));
        writeln!(
            text,
            "<text class=\"title\" x=\"{left}\" y=\"16\">{}</text>",
            self.title
        )
        .unwrap();
        writeln!(text, "<text x=\"8\" y=\"16\">{}</text>", self.y.label).unwrap();
        for (value, label) in &self.y.marks {
            let (y, end) = (y(*value), left + width);
            writeln!(
                text,
                "<path class=\"grid\" style=\"stroke-width:1\" d=\"M{left} {y:.1}H{end:.1}\"/>"
            )
            .unwrap();
            writeln!(
                text,
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                left - 6.0,
                y + 4.0
            )
            .unwrap();
        }
        for (value, label) in &self.x.marks {
            let (x, y) = (x(*value), top + height + 16.0);
            writeln!(
                text,
                "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"
            )
            .unwrap();
        }
        let (end, below) = (left + width + 10.0, top + height + 16.0);
        writeln!(text, "<text x=\"{}\" y=\"{below}\">{}</text>", end + 18.0, self.x.label).unwrap();
        let mut names: Vec<(f64, &str)> = Vec::new();
        for line in &self.lines {
            line.draw(text, x, y);
            let last = line.points.last().map_or(top, |point| y(point.1));
            names.push((last, &line.name));
        }
        for (y, name) in apart(names) {
            writeln!(text, "<text x=\"{end}\" y=\"{:.1}\">{name}</text>", y + 4.0).unwrap();
        }
    }
}

/// Labels at these heights, moved down so far that none covers another.
fn apart(mut labels: Vec<(f64, &str)>) -> Vec<(f64, &str)> {
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lowest = HEIGHT - MARGIN[3];
    for index in 1..labels.len() {
        labels[index].0 = labels[index].0.max(labels[index - 1].0 + 14.0);
    }
    let over = labels.last().map_or(0.0, |last| (last.0 - lowest).max(0.0));
    for label in &mut labels {
        label.0 -= over;
    }
    labels
}

impl Line {
    fn draw(&self, text: &mut String, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
        let class = if self.dashed { " dashed" } else { "" };
        let points: Vec<String> = self
            .points
            .iter()
            .map(|point| format!("{:.1} {:.1}", x(point.0), y(point.1)))
            .collect();
        writeln!(
            text,
            "<path class=\"c{}{class}\" d=\"M{}\"/>",
            self.colour,
            points.join("L")
        )
        .unwrap();
        for point in self.points.iter().filter(|_| self.dots) {
            let (x, y) = (x(point.0), y(point.1));
            writeln!(
                text,
                "<circle class=\"c{}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>",
                self.colour
            )
            .unwrap();
        }
    }
}
