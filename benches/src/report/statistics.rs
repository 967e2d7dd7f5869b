//! Middles.

/// The middle of some figures; the mean of the two in the middle of an even number.
pub(crate) fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (len, middle) if len % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// The middle of what the runs have of a figure; nothing when none has it.
pub(super) fn median_of<R>(runs: &[R], figure: impl Fn(&R) -> Option<f64>) -> Option<f64> {
    let figures: Vec<f64> = runs.iter().filter_map(figure).collect();
    (!figures.is_empty()).then(|| median(&figures))
}

/// The middle of the ratios of runs to those of the same rounds.
pub(crate) fn median_ratio<R>(runs: &[R], first: &[R], figure: impl Fn(&R) -> Option<f64>) -> Option<f64> {
    let ratios: Vec<f64> =
        runs.iter().zip(first).filter_map(|(run, first)| Some(figure(run)? / figure(first)?)).collect();
    (!ratios.is_empty()).then(|| median(&ratios))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn what_no_run_has_has_no_middle() {
        let runs = [Some(1.0), None, Some(3.0)];
        assert_eq!(median_of(&runs, |run| *run), Some(2.0));
        assert_eq!(median_of(&runs[1..2], |run| *run), None);
        assert_eq!(median_ratio(&runs, &[Some(2.0), Some(1.0), Some(2.0)], |run| *run), Some(1.0));
    }
}
