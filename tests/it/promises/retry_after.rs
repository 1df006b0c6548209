//! `Retry-After` is a bounded wait, or nothing.

use std::time::{Duration, SystemTime};

use incidentgate::graph::{MAX_RETRY_AFTER, parse_retry_after};

/// The clock of every check: 2026-11-24 06:00:00 UTC.
pub(super) const NOW: Duration = Duration::from_secs(1_795_500_000);

/// The input is the header's value.
pub(crate) fn retry_after(value: &[u8]) {
    let now = SystemTime::UNIX_EPOCH + NOW;
    let wait = parse_retry_after(value, now);
    assert_eq!(wait, by_grammar(value, now), "{}", value.escape_ascii());
    a_date_as_long_ahead_is_waited_for(value, now);
}

/// RFC 9110, section 10.2.3, and section 5.5 for the white space around.
fn by_grammar(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = value.trim_ascii();
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let seconds = text.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let date = httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()?;
    Some(capped(date, now))
}

/// The first bytes of the input are a number of seconds here.
fn a_date_as_long_ahead_is_waited_for(value: &[u8], now: SystemTime) {
    let seconds = value
        .iter()
        .take(4)
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    for (seconds, want) in [
        (seconds, Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
        (
            seconds % 7200,
            Duration::from_secs(seconds % 7200).min(MAX_RETRY_AFTER),
        ),
    ] {
        let date = httpdate::fmt_http_date(now + Duration::from_secs(seconds));
        assert_eq!(
            parse_retry_after(date.as_bytes(), now),
            Some(want),
            "{date}"
        );
    }
}

fn capped(date: SystemTime, now: SystemTime) -> Duration {
    let wait = date.duration_since(now).unwrap_or_default();
    wait.min(MAX_RETRY_AFTER)
}
