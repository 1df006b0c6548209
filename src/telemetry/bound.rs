//! Instruments with their attributes looked up once. To look up a set of attributes takes
//! a hash over all their names and values, at every measurement.

use std::sync::Arc;

use arc_swap::ArcSwap;

/// The most sets that are kept, but for what several threads bind at once. They come from
/// closed lists, but an HTTP status is a number that a peer chooses.
const MAX_SETS: usize = 64;

/// What has been bound so far: an instrument `I` for each set of attributes `K`.
#[derive(Debug)]
pub(super) struct Bound<K, I>(ArcSwap<Vec<(K, I)>>);

impl<K: PartialEq + Clone, I: Clone> Bound<K, I> {
    /// The instrument of this set, which `bind` makes the first time.
    pub(super) fn get(&self, key: &K, bind: impl FnOnce() -> I) -> I {
        let known = self.0.load();
        // A handful.
        if let Some((_, instrument)) = known.iter().find(|(known, _)| known == key) {
            return instrument.clone();
        }
        let instrument = bind();
        if known.len() < MAX_SETS {
            self.0.rcu(|known| {
                let mut known = Vec::clone(known);
                // Another thread may have been faster; then it stands there twice, at worst.
                known.push((key.clone(), instrument.clone()));
                Arc::new(known)
            });
        }
        instrument
    }
}

impl<K, I> Default for Bound<K, I> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_set_is_bound_once_and_too_many_are_not_kept() {
        let (bound, binds, sum) = (Bound::default(), Cell::new(0), Cell::new(0));
        let measure = |key: usize| {
            let bind = || {
                binds.set(binds.get() + 1);
                key
            };
            sum.set(sum.get() + bound.get(&key, bind));
        };
        for _ in 0..3 {
            (0..MAX_SETS).for_each(&measure);
        }
        assert_eq!(binds.get(), MAX_SETS);
        assert_eq!(sum.get(), 3 * (0..MAX_SETS).sum::<usize>());
        for _ in 0..3 {
            measure(MAX_SETS);
        }
        assert_eq!(binds.get(), MAX_SETS + 3);
        assert_eq!(bound.0.load().len(), MAX_SETS);
    }
}
