//! Randomness that depends on names and numbers alone, the same on every platform.
//!
//! Two kinds: [`hash`] decides about one thing by its name, so that nothing else can shift the
//! decision; a [`Stream`] serves one host's or the workload's many draws.

use std::hash::Hasher;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;
use udpchat_core::machine::Entropy;

/// A number that the seed and the parts determine, and no fewer of them.
#[must_use]
pub fn hash(seed: u64, parts: &[&str]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(seed, 0);
    for part in parts {
        hasher.write(&(part.len() as u64).to_le_bytes());
        hasher.write(part.as_bytes());
    }
    hasher.finish()
}

/// The number as a fraction in [0, 1), with 53 bits.
#[must_use]
pub fn fraction(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

/// A stream of draws.
#[derive(Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of this name under this seed.
    #[must_use]
    pub fn new(seed: u64, name: &[&str]) -> Self {
        let mut key = [0; 32];
        for (quarter, bytes) in ["0", "1", "2", "3"].iter().zip(key.chunks_exact_mut(8)) {
            let number = hash(seed, &[&[*quarter], name].concat());
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Any of 2^64 numbers.
    pub fn draw(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The bias is below 2^-40 for every bound that a workload has.
        self.draw() % bound
    }

    /// A fraction in [0, 1).
    pub fn fraction(&mut self) -> f64 {
        fraction(self.draw())
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len().max(1) as u64);
        items.get(usize::try_from(index).unwrap_or_default())
    }
}

impl From<Stream> for Entropy {
    fn from(mut stream: Stream) -> Self {
        Self::new(move || stream.draw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_everywhere_and_for_ever() {
        assert_eq!(hash(1, &["drop", "alice"]), 12_942_510_729_272_436_306);
        let mut stream = Stream::new(1, &["alice", "1"]);
        let draws = (stream.draw(), stream.draw());
        assert_eq!(draws, (2_563_844_209_735_871_274, 2_993_286_942_157_113_677));
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash(1, &["ab", "c"]), hash(1, &["a", "bc"]));
        assert_ne!(hash(1, &["a"]), hash(2, &["a"]));
    }

    #[test]
    fn fractions_stay_below_one() {
        assert!(fraction(u64::MAX) < 1.0);
        assert_eq!(fraction(0), 0.0);
    }
}
