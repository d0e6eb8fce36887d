//! How sure a share is that was counted in a few runs.

/// The quantile of the normal distribution for intervals of 95 %.
const Z: f64 = 1.959_964;

/// A share with the interval in which the true one lies in 95 % of all cases.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// As counted, 0 to 1.
    pub share: f64,
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

/// So many of so many, with Wilson's interval, which also holds for none and for all.
#[must_use]
pub fn wilson(count: u64, of: u64) -> Share {
    if of == 0 {
        return Share { share: 0.0, low: 0.0, high: 1.0 };
    }
    let n = of as f64;
    let share = count as f64 / n;
    let scale = 1.0 + Z * Z / n;
    let centre = (share + Z * Z / (2.0 * n)) / scale;
    let half = Z / scale * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    Share { share, low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// The most that a share is, with 95 % confidence, of which so many of so many were seen: the one
/// at which no more than that would be seen in one case of twenty (Clopper and Pearson 1934). Of
/// none among n it is close to 3/n.
#[must_use]
pub fn at_most(count: u64, of: u64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if count >= of {
        return high;
    }
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        *(if seen_at_most(count, of, middle) > DOUBT { &mut low } else { &mut high }) = middle;
    }
    high
}

/// The remaining doubt.
const DOUBT: f64 = 0.05;

/// As many as there are bits in a fraction.
const BISECTIONS: u32 = 53;

/// How likely it is to see at most so many of so many, if each is seen with probability `p`.
fn seen_at_most(count: u64, of: u64, p: f64) -> f64 {
    let n = of as f64;
    let odds = (p / (1.0 - p)).ln();
    let mut term = n * (-p).ln_1p();
    let mut sum = term.exp();
    for seen in 1..=count {
        let k = seen as f64;
        term += ((n - k + 1.0) / k).ln() + odds;
        sum += term.exp();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_none_the_rule_of_three_holds_and_of_some_clopper_and_pearson() {
        assert!((at_most(0, 1_000) - 0.002_991).abs() < 0.000_001);
        // One-sided limits from their tables.
        assert!((at_most(1, 10) - 0.394).abs() < 0.001, "{}", at_most(1, 10));
        assert!((at_most(5, 100) - 0.102).abs() < 0.001, "{}", at_most(5, 100));
        assert_eq!([at_most(0, 0), at_most(3, 3)], [1.0, 1.0]);
    }

    #[test]
    fn intervals_are_wilsons() {
        // Computed by hand from the formula in Wilson 1927.
        let half = wilson(10, 20);
        assert!((half.low - 0.299).abs() < 0.001 && (half.high - 0.701).abs() < 0.001);
        let none = wilson(0, 20);
        assert!(none.low.abs() < f64::EPSILON && (none.high - 0.161).abs() < 0.001);
        let all = wilson(20, 20);
        assert!((all.low - 0.839).abs() < 0.001 && (all.high - 1.0).abs() < 1e-9);
        assert_eq!(wilson(0, 0), Share { share: 0.0, low: 0.0, high: 1.0 });
    }
}
