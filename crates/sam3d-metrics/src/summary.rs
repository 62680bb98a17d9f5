use serde::{Deserialize, Serialize};

/// Mean and spread of one metric over cases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// Number of cases.
    pub count: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the cases at hand (divided by their number, not by one less): 0 for a single case.
    pub std: f64,
}

impl Summary {
    /// The summary of `values`; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        Some(Self { count: values.len(), mean, std: variance.sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_none_one_and_two() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[0.5]), Some(Summary { count: 1, mean: 0.5, std: 0.0 }));
        assert_eq!(Summary::of(&[1.0, 0.0]), Some(Summary { count: 2, mean: 0.5, std: 0.5 }));
    }
}
