//! The report as a picture: a panel for each question that a bar can answer.

mod svg;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Figures, Report};
use crate::Result;
use svg::Svg;

#[derive(Args)]
pub(crate) struct Options {
    /// Figures that were kept with --json
    figures: PathBuf,
    /// Where the picture goes
    picture: PathBuf,
}

/// Draws the picture of figures in a file.
///
/// # Errors
///
/// When they cannot be read, or the picture not be written.
pub(crate) fn run(options: &Options) -> Result<()> {
    let file = File::open(&options.figures)
        .map_err(|error| format!("could not open {}: {error}", options.figures.display()))?;
    write(&serde_json::from_reader(file)?, &options.picture)
}

/// Draws the picture of a report.
///
/// # Errors
///
/// When there is nothing to draw, or the file cannot be written.
pub(crate) fn write(report: &Report, path: &Path) -> Result<()> {
    let picture = draw(report)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, picture))
        .map_err(|error| format!("could not write {}: {error}", path.display()).into())
}

/// One question and the figure that answers it.
struct Panel {
    title: &'static str,
    /// What is measured, and which end is good.
    subtitle: &'static str,
    scenario: Which,
    figure: fn(&Figures) -> Option<f64>,
    /// The figure as text.
    text: fn(f64) -> String,
}

enum Which {
    /// The scenario of this description.
    Named(&'static str),
    /// The first whose description begins so: how many sessions there are may differ.
    Beginning(&'static str),
}

const PANELS: [Panel; 6] = [
    Panel {
        title: "A call, answered as JSON",
        subtitle: "server CPU, µs per call in a session, 32 connections; less is better",
        scenario: Which::Named("json, 32 conn"),
        figure: |figures| figures.cpu_us_per_unit,
        text: |value| format!("{value:.1} µs"),
    },
    Panel {
        title: "A call, answered as a resumable stream",
        subtitle: "server CPU, µs per call in a session, 32 connections; less is better",
        scenario: Which::Named("sse, 32 conn"),
        figure: |figures| figures.cpu_us_per_unit,
        text: |value| format!("{value:.1} µs"),
    },
    Panel {
        title: "A call in the modern era, without a session",
        subtitle: "server CPU, µs per call, 32 connections; less is better",
        scenario: Which::Named("modern-json, 32 conn"),
        figure: |figures| figures.cpu_us_per_unit,
        text: |value| format!("{value:.1} µs"),
    },
    Panel {
        title: "1,000 progress notifications in one call",
        subtitle: "server CPU, µs per notification; less is better",
        scenario: Which::Named("progress, 1 conn"),
        figure: |figures| figures.cpu_us_per_unit,
        text: |value| format!("{value:.2} µs"),
    },
    Panel {
        title: "A session opened, used once, deleted",
        subtitle: "server CPU, µs per session, 32 connections; less is better",
        scenario: Which::Named("churn, 32 conn"),
        figure: |figures| figures.cpu_us_per_unit,
        text: |value| format!("{value:.1} µs"),
    },
    Panel {
        title: "An idle session with an open stream",
        subtitle: "memory of the server, KiB per session with its connection; less is better",
        scenario: Which::Beginning("idle-streams"),
        figure: |figures| Some(figures.memory?.rss_bytes? / 1024.0),
        text: |value| format!("{value:.1} KiB"),
    },
];

/// A bar: whose it is, and how long.
struct Bar<'a> {
    target: &'a str,
    value: f64,
}

fn bars<'a>(report: &'a Report, panel: &Panel) -> Vec<Bar<'a>> {
    let scenario =
        report.lines.iter().map(|line| line.scenario.to_string()).find(|name| match panel.scenario {
            Which::Named(wanted) => name == wanted,
            Which::Beginning(start) => name.starts_with(start),
        });
    let Some(scenario) = scenario else { return Vec::new() };
    report
        .targets
        .iter()
        .filter_map(|target| {
            let value = (panel.figure)(report.figures(&scenario, &target.name)?)?;
            (value.is_finite() && value >= 0.0).then_some(Bar { target: &target.name, value })
        })
        .collect()
}

fn draw(report: &Report) -> Result<String> {
    let panels: Vec<(&Panel, Vec<Bar<'_>>)> = PANELS
        .iter()
        .map(|panel| (panel, bars(report, panel)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    if panels.is_empty() {
        return Err("none of the figures that the picture shows was measured".into());
    }
    // Two panels side by side; a row is as high as its higher one.
    let rows: Vec<&[(&Panel, Vec<Bar<'_>>)]> = panels.chunks(2).collect();
    let height_of = |row: &[(&Panel, Vec<Bar<'_>>)]| {
        let bars = row.iter().map(|(_, bars)| bars.len()).max().unwrap_or_default();
        HEAD + bars as f64 * STEP + GAP
    };
    let height = TOP + rows.iter().map(|row| height_of(row)).sum::<f64>();
    let columns = if panels.len() == 1 { 1.0 } else { 2.0 };
    let mut svg = Svg::new(MARGIN + columns * (WIDTH + MARGIN), height);
    let mut y = TOP;
    for row in rows {
        for (column, (panel, bars)) in row.iter().enumerate() {
            draw_panel(&mut svg, panel, bars, MARGIN + column as f64 * (WIDTH + MARGIN), y);
        }
        y += height_of(row);
    }
    Ok(svg.finish("What servers cost under the same load"))
}

fn draw_panel(svg: &mut Svg, panel: &Panel, bars: &[Bar<'_>], x: f64, y: f64) {
    svg.text(x, y + 14.0, "title", panel.title);
    svg.text(x, y + 30.0, "faint", panel.subtitle);
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    for (number, bar) in bars.iter().enumerate() {
        let top = y + HEAD + number as f64 * STEP;
        let class = if bar.target.starts_with("us") {
            "us"
        } else if bar.target.starts_with("floor") {
            "floor"
        } else {
            "peer"
        };
        let length = (bar.value / longest * LONGEST).max(1.0);
        svg.text_to(x + NAMES - 8.0, top + 12.0, "name", shown(bar.target));
        svg.bar(x + NAMES, top, length, THICK, class);
        svg.text(x + NAMES + length + 6.0, top + 12.0, "value", &(panel.text)(bar.value));
    }
}

/// The name of a target for readers who do not know the lab.
fn shown(target: &str) -> &str {
    match target {
        "us" => "throughline",
        "us-durable" => "throughline, disk",
        "us-es256" => "throughline, ES256",
        "us-rs256" => "throughline, RS256",
        other => other,
    }
}

// Pixels. Names are right-aligned before the bars, figures behind them.
const MARGIN: f64 = 20.0;
const TOP: f64 = 12.0;
const WIDTH: f64 = 430.0;
const NAMES: f64 = 116.0;
const LONGEST: f64 = 236.0;
const HEAD: f64 = 42.0;
const STEP: f64 = 22.0;
const THICK: f64 = 16.0;
const GAP: f64 = 18.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn every_panel_has_a_bar_for_each_target_that_was_measured() {
        let picture = draw(&report()).unwrap();
        for panel in &PANELS {
            assert!(picture.contains(panel.title), "{} is not drawn", panel.title);
        }
        assert_eq!(picture.matches("<rect").count(), 2 * PANELS.len());
        assert!(picture.contains("10.0 µs") && picture.contains("15.0 µs"));
        assert!(picture.contains(">throughline<"), "readers of the picture do not know who we are");
        assert!(!picture.contains("them"), "what was left out has no bar");
    }

    #[test]
    fn what_was_not_measured_is_not_drawn() {
        let mut report = report();
        report.lines.retain(|line| line.scenario.to_string() == "json, 32 conn");
        let picture = draw(&report).unwrap();
        assert_eq!(picture.matches("class=\"title\"").count(), 1);
        report.lines.clear();
        draw(&report).unwrap_err();
    }

    #[test]
    fn bars_keep_their_proportions() {
        let picture = draw(&report()).unwrap();
        let widths: Vec<f64> = picture
            .lines()
            .filter(|line| line.starts_with("<rect"))
            .take(2)
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[0] / widths[1] - 1_000.0 / 1_500.0).abs() < 0.01, "{widths:?}");
    }
}
