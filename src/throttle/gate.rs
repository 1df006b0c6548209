//! One credential's gate: closed until a moment, then opened slowly.
//!
//! After the opening, calls go by slots. `5·t²` slots have begun `t` seconds later:
//! 5 in the first second, 15 in the next, then 25, and so on; slot `k` begins `√(k/5)`
//! seconds after the opening. So the pace grows by ten calls a second each second, and
//! starts anew when Graph asks to wait again. A slot that nobody took lapses: a pause
//! saves no calls up for a burst.

use std::time::Duration;

use tokio::time::Instant;

use super::Passage;

/// How many slots the first second after an opening has. Few beside any limit that
/// Microsoft documents (Defender's machine actions: 100 a minute), and 100 calls pass
/// within 4.5 seconds.
const FIRST_SECOND: u64 = 5;
/// How long after its opening a gate spreads calls. At its end 300 calls a second go.
pub(super) const RAMP: Duration = Duration::from_secs(30);
/// A call whose slot begins within this time gets it and waits; a later one is
/// refused, rather than held.
const AHEAD: Duration = Duration::from_secs(1);

const MICROS: u64 = 1_000_000;

/// When one credential may call Graph again, and how fast.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    opens_at: Instant,
    /// The first slot that no call has.
    next_slot: u64,
    /// The slot at whose time the next refused call is told to come back. No slot is
    /// kept for it: it may never come.
    next_turn: u64,
}

impl Gate {
    pub(super) fn new(opens_at: Instant) -> Self {
        Self {
            opens_at,
            next_slot: 0,
            next_turn: 0,
        }
    }

    pub(super) fn opens_at(&self) -> Instant {
        self.opens_at
    }

    pub(super) fn is_closed(&self, now: Instant) -> bool {
        now < self.opens_at
    }

    /// Graph asked to wait until `opens_at`; a gate that opens later than that stays
    /// as it is.
    pub(super) fn close(&mut self, opens_at: Instant, now: Instant) {
        if opens_at <= self.opens_at {
            return;
        }
        if self.is_closed(now) {
            // The answers of calls that were under way: those who have been sent away
            // keep their turns, only later.
            self.opens_at = opens_at;
        } else {
            *self = Self::new(opens_at);
        }
    }

    /// While it is closed, how long a refused call waits.
    pub(super) fn refuse(&mut self, now: Instant) -> Option<Duration> {
        self.is_closed(now).then(|| self.turn(0, now))
    }

    /// May a call go?
    pub(super) fn enter(&mut self, now: Instant) -> Passage {
        if let Some(wait) = self.refuse(now) {
            return Passage::Closed(wait);
        }
        let slot = self.next_slot.max(slots_begun(now - self.opens_at));
        let wait = self.time_of(slot).saturating_duration_since(now);
        if wait > AHEAD {
            return Passage::Closed(self.turn(slot, now));
        }
        self.next_slot = slot + 1;
        if wait.is_zero() {
            Passage::Open
        } else {
            Passage::After(wait)
        }
    }

    /// How long a refused call waits: refused calls come back one by one, at the pace
    /// of the slots from `first` on. A crowd too large for the slots of one ramp shares
    /// them, so that a caller who does not obey cannot push the others away for long.
    fn turn(&mut self, first: u64, now: Instant) -> Duration {
        let last = slots_begun(now.saturating_duration_since(self.opens_at) + RAMP);
        if !(first..=last).contains(&self.next_turn) {
            self.next_turn = first;
        }
        let wait = self.time_of(self.next_turn) - now;
        self.next_turn += 1;
        whole_millis(wait)
    }

    fn time_of(&self, slot: u64) -> Instant {
        self.opens_at + slot_offset(slot)
    }
}

/// The last slot that has begun so long after the opening: `⌊5·t²⌋`.
fn slots_begun(open_for: Duration) -> u64 {
    // A gate is asked for two ramps at most; what is longer would not change an answer.
    let micros = open_for.min(3 * RAMP).as_micros();
    let slots = u128::from(FIRST_SECOND) * micros * micros / u128::from(MICROS * MICROS);
    u64::try_from(slots).unwrap_or(u64::MAX)
}

/// When a slot begins, after the opening: `√(slot/5)` seconds, rounded up to the
/// microsecond, so that the slot has begun by then.
fn slot_offset(slot: u64) -> Duration {
    let square = u128::from(slot) * u128::from(MICROS * MICROS) / u128::from(FIRST_SECOND);
    let floor = square.isqrt();
    let micros = floor + u128::from(floor * floor < square);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// Rounded up: a delay goes to the caller in milliseconds, and nobody must come back
/// too early.
fn whole_millis(wait: Duration) -> Duration {
    const MILLI: u128 = 1_000_000;
    let millis = wait.as_nanos().div_ceil(MILLI);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn slots_come_faster_and_faster() {
        for (open_for, begun) in [
            (0, 0),
            (447, 0),
            (448, 1),
            (999, 4),
            (1_000, 5),
            (2_000, 20),
        ] {
            assert_eq!(slots_begun(millis(open_for)), begun, "{open_for} ms");
        }
        assert_eq!(slots_begun(RAMP), 4_500);
        assert_eq!(slot_offset(0), Duration::ZERO);
        assert_eq!(slot_offset(1), Duration::from_micros(447_214));
        assert_eq!(slot_offset(5), SECOND);
        assert_eq!(slot_offset(4_500), RAMP);
    }

    #[test]
    fn the_first_calls_go_one_by_one_and_later_ones_are_refused() {
        let opens_at = Instant::now();
        let mut gate = Gate::new(opens_at);
        assert_eq!(gate.enter(opens_at), Passage::Open);
        for slot in 1..=5 {
            assert_eq!(gate.enter(opens_at), Passage::After(slot_offset(slot)));
        }
        // The next slot is 1095.4 ms away: too long to be held.
        assert_eq!(gate.enter(opens_at), Passage::Closed(millis(1_096)));
        assert_eq!(gate.enter(opens_at), Passage::Closed(millis(1_184)));
        // Who comes back in time finds the slot free.
        assert_eq!(gate.enter(opens_at + millis(1_096)), Passage::Open);
    }

    #[test]
    fn a_slot_that_nobody_took_lapses() {
        let opens_at = Instant::now();
        let mut gate = Gate::new(opens_at);
        // 20 slots have begun, and one call goes at once all the same.
        let now = opens_at + 2 * SECOND;
        assert_eq!(gate.enter(now), Passage::Open);
        let next = slot_offset(21).checked_sub(2 * SECOND).unwrap();
        assert_eq!(gate.enter(now), Passage::After(next));
    }

    #[test]
    fn refused_calls_are_told_different_times_while_it_is_closed() {
        let now = Instant::now();
        let mut gate = Gate::new(now + 10 * SECOND);
        let mut told: Vec<Duration> = Vec::new();
        for _ in 0..=slots_begun(RAMP) {
            let Passage::Closed(wait) = gate.enter(now) else {
                panic!("let through while closed");
            };
            told.push(wait);
        }
        assert_eq!(told[0], 10 * SECOND);
        assert_eq!(told[told.len() - 1], 10 * SECOND + RAMP);
        assert!(told.is_sorted_by(|one, next| one < next));
        // A crowd larger than that begins again.
        assert_eq!(gate.enter(now), Passage::Closed(10 * SECOND));
    }

    #[test]
    fn closing_never_shortens_and_starts_the_slow_opening_anew() {
        let now = Instant::now();
        let mut gate = Gate::new(now + 10 * SECOND);
        assert_eq!(gate.enter(now), Passage::Closed(10 * SECOND));
        gate.close(now + 5 * SECOND, now);
        assert_eq!(gate.opens_at(), now + 10 * SECOND);
        // Longer, while it is closed: the second turn stays the second.
        gate.close(now + 20 * SECOND, now);
        assert_eq!(gate.enter(now), Passage::Closed(millis(20_448)));
        // Again, after it was opened.
        let later = now + 25 * SECOND;
        assert_eq!(gate.enter(later), Passage::Open);
        gate.close(later + 5 * SECOND, later);
        assert_eq!(gate.enter(later), Passage::Closed(5 * SECOND));
        let opened = later + 5 * SECOND;
        assert_eq!(gate.enter(opened), Passage::Open);
        assert_eq!(gate.enter(opened), Passage::After(slot_offset(1)));
    }

    proptest! {
        #[test]
        fn a_slot_has_begun_when_its_time_comes_and_not_before(slot in 1_u64..40_000) {
            let offset = slot_offset(slot);
            prop_assert_eq!(slots_begun(offset), slot);
            let before = offset.checked_sub(Duration::from_micros(1)).unwrap();
            prop_assert_eq!(slots_begun(before), slot - 1);
        }

        #[test]
        fn no_two_calls_go_at_the_same_moment(arrivals in prop::collection::vec(0_u64..400, 1..200)) {
            let opens_at = Instant::now();
            let mut gate = Gate::new(opens_at);
            let (mut now, mut last) = (opens_at, None);
            for pause in arrivals {
                now += millis(pause);
                let goes_at = match gate.enter(now) {
                    Passage::Open => now,
                    Passage::After(wait) => {
                        prop_assert!(!wait.is_zero() && wait <= AHEAD);
                        now + wait
                    }
                    Passage::Closed(wait) => {
                        prop_assert!(wait > AHEAD);
                        continue;
                    }
                };
                prop_assert!(last < Some(goes_at), "{:?} {:?}", last, goes_at);
                last = Some(goes_at);
            }
        }
    }
}
