//! A measured figure, its target, and what stands beside it.

use std::time::Duration;

/// Values of one measure over several runs.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    values: Vec<f64>,
    unit: &'static str,
}

/// What a figure is to reach.
#[derive(Debug, Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    what: String,
    figure: Figure,
    target: Option<Target>,
    beside: Vec<(String, Figure)>,
}

impl Figure {
    /// Values in `unit`.
    pub(crate) fn new(unit: &'static str, values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self { values, unit }
    }

    /// Durations in milliseconds.
    pub(crate) fn ms(values: impl IntoIterator<Item = Duration>) -> Self {
        Self::new("ms", values.into_iter().map(|value| value.as_secs_f64() * 1000.0))
    }

    /// Durations in seconds.
    pub(crate) fn seconds(values: impl IntoIterator<Item = Duration>) -> Self {
        Self::new("s", values.into_iter().map(|value| value.as_secs_f64()))
    }

    /// The middle one; of none, no number.
    pub(crate) fn median(&self) -> f64 {
        self.at_share(0.5)
    }

    /// The value that so large a share of all values does not exceed.
    pub(crate) fn at_share(&self, share: f64) -> f64 {
        let last = self.values.len().saturating_sub(1);
        let place = (last as f64 * share).round() as usize;
        self.values.get(place).copied().unwrap_or(f64::NAN)
    }

    /// `12.3 [11.0–14.1] ms`; a single value stands alone.
    fn text(&self) -> String {
        let Self { values, unit } = self;
        match values.as_slice() {
            [] => "–".to_owned(),
            [one] => format!("{} {unit}", number(*one)),
            [first, .., last] => {
                format!("{} [{}–{}] {unit}", number(self.median()), number(*first), number(*last))
            }
        }
    }
}

impl Row {
    /// `figure` is what was measured of `what`.
    pub(crate) fn new(what: impl Into<String>, figure: Figure) -> Self {
        Self { what: what.into(), figure, target: None, beside: Vec::new() }
    }

    /// The median is not to exceed `bound`.
    pub(crate) fn at_most(self, bound: f64) -> Self {
        Self { target: Some(Target::AtMost(bound)), ..self }
    }

    /// The median is to reach `bound`.
    pub(crate) fn at_least(self, bound: f64) -> Self {
        Self { target: Some(Target::AtLeast(bound)), ..self }
    }

    /// What else took in the same run, by name.
    pub(crate) fn beside(mut self, name: impl Into<String>, figure: Figure) -> Self {
        self.beside.push((name.into(), figure));
        self
    }

    /// A line of a Markdown table: what, figure, runs, target, beside.
    pub(crate) fn markdown(&self) -> String {
        let beside: Vec<String> =
            self.beside.iter().map(|(name, figure)| self.compared(name, figure)).collect();
        let (what, figure, runs) = (&self.what, self.figure.text(), self.figure.values.len());
        format!("| {what} | {figure} | {runs} | {} | {} |", self.judged(), beside.join("<br>"))
    }

    fn judged(&self) -> String {
        let (median, unit) = (self.figure.median(), self.figure.unit);
        let (sign, bound, met) = match self.target {
            None => return String::new(),
            Some(Target::AtMost(bound)) => ("≤", bound, median <= bound),
            Some(Target::AtLeast(bound)) => ("≥", bound, median >= bound),
        };
        let verdict = if met { "met".to_owned() } else { format!("**missed** (×{:.2})", median / bound) };
        format!("{sign} {} {unit}: {verdict}", plain(bound))
    }

    fn compared(&self, name: &str, other: &Figure) -> String {
        format!("{name}: {} (ours ×{:.2})", other.text(), self.figure.median() / other.median())
    }
}

/// Three digits say all that a measurement on a shared machine can.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => plain(value.round()),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A number as people write it, with commas between the thousands.
fn plain(value: f64) -> String {
    let text = format!("{value}");
    let (whole, rest) = text
        .split_once('.')
        .map_or((text.as_str(), String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + &rest
}
