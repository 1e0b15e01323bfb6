//! Names that an operator types.

/// Likeness, from 0 to 1, from which on a name can have been meant.
const LIKENESS_MIN: f64 = 0.7;

/// A clause that says that there is no such thing, which one can have been meant, and which there are.
pub(crate) fn unknown(kind: &str, name: &str, known: &[&str]) -> String {
    let beginning: String = name.chars().take(80).collect();
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&beginning, known);
    let nearest = known.iter().max_by(|first, second| likeness(first).total_cmp(&likeness(second)));
    let nearest = nearest.filter(|nearest| likeness(nearest) >= LIKENESS_MIN);
    let meant = nearest.map(|nearest| format!("did you mean `{nearest}`? ")).unwrap_or_default();
    format!("there is no {kind} {beginning:?}; {meant}there are {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn what_can_have_been_meant_is_named_first() {
        let known = ["storage.measure", "coordination.set"];
        assert_eq!(
            unknown("capability", "storage.mesure", &known),
            "there is no capability \"storage.mesure\"; did you mean `storage.measure`? there are storage.measure, coordination.set"
        );
        assert_eq!(
            unknown("capability", "x", &known),
            "there is no capability \"x\"; there are storage.measure, coordination.set"
        );
    }
}
