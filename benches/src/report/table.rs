//! The report as text: a part for each question, with the columns that answer it.

use std::io::{self, Write};

use super::{Figures, Line, Outcome, Report};
use crate::scenario::Group;

/// Writes the whole table.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for note in notes(report) {
        writeln!(out, "note: {note}")?;
    }
    for group in Group::ALL {
        let mut lines = report.of(group).peekable();
        if lines.peek().is_none() {
            continue;
        }
        let columns = Columns::of(group);
        writeln!(out, "\n{}", group.title())?;
        writeln!(out, "  {:<36} {:<12} {}", "", "", columns.heads())?;
        let mut last = String::new();
        for line in lines {
            let scenario = line.scenario.to_string();
            let shown = if scenario == last { "" } else { &scenario };
            writeln!(out, "  {shown:<36} {:<12} {}", line.target, columns.cells(line))?;
            last = scenario;
        }
    }
    if let Some(flush) = report.flush {
        writeln!(out, "\nWhat does the disk take? (append 512 bytes, fdatasync; one after another)")?;
        writeln!(
            out,
            "  {:.0} flushes/s, p50 {:.0} us, p99 {:.0} us",
            flush.per_second, flush.p50_us, flush.p99_us
        )?;
    }
    writeln!(out, "\nTargets")?;
    for target in &report.targets {
        writeln!(out, "  {:<12} {}", target.name, target.about)?;
    }
    Ok(())
}

fn notes(report: &Report) -> Vec<&'static str> {
    let mut notes = Vec::new();
    if report.is_quick {
        notes.push("a quick run: it shows that the lab works, and its figures mean nothing");
    }
    if !report.is_optimized {
        notes.push("a build without optimization: use `cargo xtask bench`");
    }
    if !report.is_pinned {
        notes.push("not pinned (no taskset, or fewer than two cores): expect noise");
    }
    notes
}

/// Which figures a part of the table shows.
#[derive(Debug, Clone, Copy)]
enum Columns {
    Throughput,
    Rate,
    Memory,
    Neighbours,
}

impl Columns {
    fn of(group: Group) -> Self {
        match group {
            Group::Rate => Self::Rate,
            Group::Memory => Self::Memory,
            Group::Neighbours => Self::Neighbours,
            Group::Session
            | Group::Stateless
            | Group::Modern
            | Group::Streams
            | Group::Sizes
            | Group::Verified => Self::Throughput,
        }
    }

    fn heads(self) -> String {
        let (heads, unit): (&[&str], _) = match self {
            Self::Throughput => {
                (&["per s", "CPU us", "busy", "p50 us", "p99 us", "x per s", "x CPU"], "  of one")
            }
            Self::Rate => (&["rate/s", "done/s", "busy", "p50 us", "p99 us", "p99.9 us", "x p99"], ""),
            Self::Memory => (&["sessions", "heap B", "RSS B", "open us"], "  each"),
            Self::Neighbours => (&["per s", "alone", "beside", "x"], "  p99, us"),
        };
        heads.iter().map(|head| format!("{head:>10}")).collect::<String>() + unit
    }

    fn cells(self, line: &Line) -> String {
        let figures = match &line.outcome {
            Outcome::Measured(figures) => &**figures,
            Outcome::LeftOut(reason) => return format!("  left out: {reason}"),
        };
        let (cells, unit): (Vec<String>, _) = match self {
            Self::Throughput => (throughput(figures), line.scenario.work.unit()),
            Self::Rate => (rate(figures), ""),
            Self::Memory => (memory(figures), ""),
            Self::Neighbours => (neighbours(figures), ""),
        };
        let cells: String = cells.iter().map(|cell| format!("{cell:>10}")).collect();
        if unit.is_empty() { cells } else { format!("{cells}  {unit}") }
    }
}

fn throughput(figures: &Figures) -> Vec<String> {
    vec![
        format!("{:.0}", figures.units_per_second),
        maybe(figures.cpu_us_per_unit, 2),
        percent(figures.server_busy),
        format!("{:.1}", figures.p50_us),
        format!("{:.1}", figures.p99_us),
        format!("{:.2}", figures.throughput_ratio),
        maybe(figures.cpu_ratio, 2),
    ]
}

fn rate(figures: &Figures) -> Vec<String> {
    vec![
        maybe(figures.rate, 0),
        format!("{:.0}", figures.units_per_second),
        percent(figures.server_busy),
        format!("{:.1}", figures.p50_us),
        format!("{:.1}", figures.p99_us),
        format!("{:.1}", figures.p999_us),
        format!("{:.2}", figures.p99_ratio),
    ]
}

fn memory(figures: &Figures) -> Vec<String> {
    let memory = figures.memory;
    vec![
        memory.map_or_else(none, |memory| memory.sessions.to_string()),
        maybe(memory.and_then(|memory| memory.heap_bytes), 0),
        maybe(memory.and_then(|memory| memory.rss_bytes), 0),
        format!("{:.1}", figures.p50_us),
    ]
}

fn neighbours(figures: &Figures) -> Vec<String> {
    vec![
        format!("{:.0}", figures.units_per_second),
        maybe(figures.alone_p99_us, 1),
        format!("{:.1}", figures.p99_us),
        maybe(figures.alone_p99_us.map(|alone| figures.p99_us / alone), 2),
    ]
}

fn maybe(figure: Option<f64>, digits: usize) -> String {
    let text = figure.map_or_else(none, |figure| format!("{figure:.digits$}"));
    // A little less than nothing is nothing.
    if text == "-0" { "0".to_owned() } else { text }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(none, |share| format!("{:.0}%", share * 100.0))
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn printed(report: &Report) -> String {
        let mut out = Vec::new();
        print(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_question_and_every_target_is_there() {
        let table = printed(&report());
        for group in Group::ALL {
            assert!(table.contains(group.title()), "{}", group.title());
        }
        assert!(table.contains("left out: no <echo>: it & they"));
        assert!(table.contains("what floor is"));
        assert!(table.contains("800 flushes/s"));
        assert!(!table.contains("note:"));
    }

    #[test]
    fn figures_stand_below_their_heads() {
        let table = printed(&report());
        let lines: Vec<&str> = table.lines().collect();
        let at = lines.iter().position(|line| *line == Group::Memory.title()).unwrap();
        let head = lines[at + 1];
        let cells = lines[at + 2];
        let end = |line: &str, text: &str| line.find(text).unwrap() + text.len();
        assert_eq!(end(head, "heap B"), end(cells, "2048"));
        assert_eq!(end(head, "RSS B"), end(cells, "4096"));
    }

    #[test]
    fn nothing_has_no_sign() {
        assert_eq!(maybe(Some(-0.4), 0), "0");
        assert_eq!(maybe(Some(-3.2), 0), "-3");
        assert_eq!(maybe(None, 0), "-");
    }

    #[test]
    fn what_makes_figures_worthless_is_said_first() {
        let quick = Report { is_quick: true, is_pinned: false, is_optimized: false, ..report() };
        assert_eq!(printed(&quick).lines().filter(|line| line.starts_with("note: ")).count(), 3);
    }
}
