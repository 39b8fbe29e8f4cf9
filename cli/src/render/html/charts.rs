//! Plots as SVG: bars, and lines over time. Widths are of a drawing 880 wide that is scaled.
//!
//! Every mark has a title with its exact value, which a browser shows where the pointer rests.

use std::fmt::Write;

use crate::render::html::text;

const WIDTH: f64 = 880.0;
/// Where bars begin: names stand before it, values behind the bars.
const BARS_LEFT: f64 = 190.0;
const BARS_RIGHT: f64 = 720.0;
const BAR: f64 = 13.0;
const BAR_GAP: f64 = 2.0;
const GROUP_GAP: f64 = 14.0;
const PLOT_LEFT: f64 = 78.0;
const PLOT_RIGHT: f64 = 868.0;
const PLOT_TOP: f64 = 10.0;
const PLOT_HEIGHT: f64 = 130.0;
/// Lines across a plot above its ground.
const GRID_LINES: u32 = 3;

/// One bar, or a part of one.
pub(super) struct Bar {
    /// Class of its colour.
    pub class: &'static str,
    /// Its length.
    pub value: f64,
    /// What stands behind it.
    pub shown: String,
}

/// Bars under one name.
pub(super) struct Group {
    pub name: String,
    pub bars: Vec<Bar>,
}

/// One line of a plot.
pub(super) struct Line {
    /// Class of its colour.
    pub class: &'static str,
    /// Seconds and values, ascending in seconds.
    pub points: Vec<(f64, f64)>,
}

/// Groups of bars below each other, all to one scale.
pub(super) fn bars(groups: &[Group]) -> String {
    let values = groups.iter().flat_map(|group| &group.bars);
    let longest = values
        .map(|bar| bar.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let (mut marks, mut y) = (String::new(), 4.0);
    for group in groups {
        let height = group.bars.len() as f64 * (BAR + BAR_GAP) - BAR_GAP;
        let middle = y + height / 2.0 + 4.5;
        let name = text(&group.name);
        push(
            &mut marks,
            format_args!("<text x=\"0\" y=\"{middle:.1}\">{name}</text>"),
        );
        for bar in &group.bars {
            let width = (bar.value / longest * (BARS_RIGHT - BARS_LEFT)).max(1.0);
            let (class, shown) = (bar.class, text(&bar.shown));
            push(
                &mut marks,
                format_args!(
                    "<rect class=\"{class}\" x=\"{BARS_LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                     height=\"{BAR}\" rx=\"3\"><title>{name}: {shown}</title></rect>"
                ),
            );
            let (x, base) = (BARS_LEFT + width + 7.0, y + BAR - 2.5);
            push(
                &mut marks,
                format_args!("<text class=\"soft\" x=\"{x:.1}\" y=\"{base:.1}\">{shown}</text>"),
            );
            y += BAR + BAR_GAP;
        }
        y += GROUP_GAP - BAR_GAP;
    }
    drawing(y - GROUP_GAP + 8.0, &marks)
}

/// Lines over time; `shown` says what a height means.
pub(super) fn lines(all: &[Line], name: &str, shown: impl Fn(f64) -> String) -> String {
    let points = || all.iter().flat_map(|line| &line.points);
    let last = points()
        .map(|point| point.0)
        .fold(f64::MIN_POSITIVE, f64::max);
    let highest = points().map(|point| point.1).fold(0.0, f64::max);
    let top = round_up(highest);
    let ground = PLOT_TOP + PLOT_HEIGHT;
    let mut marks = String::new();
    for number in 0..=GRID_LINES {
        let part = f64::from(number) / f64::from(GRID_LINES);
        let (y, value) = (ground - part * PLOT_HEIGHT, text(&shown(part * top)));
        push(
            &mut marks,
            format_args!(
                "<line x1=\"{PLOT_LEFT}\" y1=\"{y:.1}\" x2=\"{PLOT_RIGHT}\" y2=\"{y:.1}\"/>\
                 <text class=\"soft end\" x=\"{:.1}\" y=\"{:.1}\">{value}</text>",
                PLOT_LEFT - 8.0,
                y + 4.0
            ),
        );
    }
    for line in all {
        let place = |&(at, value): &(f64, f64)| {
            let x = PLOT_LEFT + at / last * (PLOT_RIGHT - PLOT_LEFT);
            format!("{x:.1},{:.1}", ground - value / top * PLOT_HEIGHT)
        };
        let places: Vec<_> = line.points.iter().map(place).collect();
        let (class, peak) = (line.class, text(&shown(peak(line))));
        let (places, name) = (places.join(" "), text(name));
        push(
            &mut marks,
            format_args!(
                "<polyline class=\"{class}\" points=\"{places}\"><title>{name}: at most {peak}</title></polyline>"
            ),
        );
    }
    let base = ground + 18.0;
    push(
        &mut marks,
        format_args!(
            "<text class=\"soft\" x=\"{PLOT_LEFT}\" y=\"{base:.1}\">0 s</text>\
             <text class=\"soft end\" x=\"{PLOT_RIGHT}\" y=\"{base:.1}\">{last:.1} s</text>"
        ),
    );
    drawing(base + 6.0, &marks)
}

fn peak(line: &Line) -> f64 {
    line.points.iter().map(|point| point.1).fold(0.0, f64::max)
}

/// The next round number whose thirds are round too.
fn round_up(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(highest.log10().floor());
    let steps = [1.2, 1.5, 1.8, 2.4, 3.0, 4.5, 6.0, 7.5, 9.0, 12.0];
    let step = steps.iter().find(|step| *step * unit >= highest);
    step.unwrap_or(&12.0) * unit
}

fn drawing(height: f64, marks: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {height:.1}\" role=\"img\">{marks}</svg>")
}

fn push(out: &mut String, part: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = out.write_fmt(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_names_are_escaped() {
        let bar = |value| Bar {
            class: "all",
            value,
            shown: format!("{value} GB/s"),
        };
        let group = Group {
            name: "a<b".into(),
            bars: vec![bar(2.0), bar(1.0)],
        };
        let drawn = bars(&[group]);
        assert!(
            drawn.contains("width=\"530.0\"") && drawn.contains("width=\"265.0\""),
            "{drawn}"
        );
        assert!(
            drawn.contains("a&lt;b: 2 GB/s") && !drawn.contains("a<b"),
            "{drawn}"
        );
    }

    #[test]
    fn nothing_and_a_single_moment_can_be_drawn() {
        for points in [vec![], vec![(0.0, 0.0)]] {
            let line = Line {
                class: "all",
                points,
            };
            let drawn = lines(&[line], "x", |value| format!("{value}"));
            assert!(
                drawn.starts_with("<svg") && !drawn.contains("NaN"),
                "{drawn}"
            );
        }
        assert!(!bars(&[]).contains("NaN"));
    }

    #[test]
    fn a_scale_ends_at_a_round_number_above_everything() {
        for highest in [0.004, 1.0, 2.5, 777.0, 9.5e8] {
            let top = round_up(highest);
            assert!(top >= highest && top <= 2.0 * highest, "{highest}: {top}");
        }
    }
}
