//! Names that somebody may have meant.

/// A sentence's end about names that are like the one that is not there: `; did you mean `echo`?`, or which there are.
pub(super) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let mut near: Vec<(usize, &str)> = known
        .iter()
        .filter_map(|known| {
            let far = distance(&name.to_lowercase(), &known.to_lowercase());
            let contains = name.len() >= 3 && known.contains(name);
            (far <= MOST_FAR.min(known.chars().count() / 2) || contains).then_some((far, *known))
        })
        .collect();
    near.sort_by_key(|(far, _)| *far);
    let quote = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match &near[..] {
        [] if known.is_empty() => "; there are none".into(),
        [] if known.len() > MOST_NAMED => {
            format!("; there are {} and others", quote(&known[..MOST_NAMED]))
        }
        [] => format!("; there are {}", quote(&known)),
        [(_, one)] => format!("; did you mean `{one}`?"),
        [(_, one), (_, two), ..] => format!("; did you mean `{one}` or `{two}`?"),
    }
}

/// How many characters differ: inserted, left out, replaced, or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().take(MOST_COMPARED).collect();
    let other: Vec<char> = other.chars().take(MOST_COMPARED).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let mut least = (above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[other.len()]
}

/// A slip of the finger or two.
const MOST_FAR: usize = 3;
/// Names in a sentence.
const MOST_NAMED: usize = 10;
/// Characters of a name that are looked at: the work is their square.
const MOST_COMPARED: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near() {
        for (one, other, far) in
            [("", "", 0), ("", "ab", 2), ("ehco", "echo", 1), ("echo", "ech", 1), ("a", "b", 1)]
        {
            assert_eq!(distance(one, other), far, "{one} {other}");
        }
    }

    #[test]
    fn what_is_near_is_named() {
        let known = ["echo", "research", "slow", "ask_permission"];
        for (name, says) in [
            ("ehco", "; did you mean `echo`?"),
            ("Research", "; did you mean `research`?"),
            ("permission", "; did you mean `ask_permission`?"),
            ("xyzzy", "; there are `echo`, `research`, `slow`, `ask_permission`"),
        ] {
            assert_eq!(hint(name, known), says);
        }
        assert_eq!(hint("echo", []), "; there are none");
    }
}
