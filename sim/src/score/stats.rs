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

#[cfg(test)]
mod tests {
    use super::*;

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
