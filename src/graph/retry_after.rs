//! `Retry-After` (RFC 9110, section 10.2.3): seconds or an HTTP date.

use std::time::{Duration, SystemTime};

/// The longest wait that is believed. Graph's throttling windows are minutes; an
/// hour keeps an absurd value from locking a caller out.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The wait that the header's value asks for, capped at [`MAX_RETRY_AFTER`]; a
/// date that has passed is no wait. Nothing if the value is neither form.
pub fn parse(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value.trim_ascii()).ok()?;
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than u64 holds are a long wait all the same.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 06:00:00 GMT").unwrap();
        for (value, seconds) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("999999", Some(3600)),
            ("99999999999999999999999999", Some(3600)),
            ("Tue, 24 Nov 2026 06:00:10 GMT", Some(10)),
            ("Tue, 24 Nov 2026 05:59:00 GMT", Some(0)),
            ("Tuesday, 24-Nov-26 06:00:10 GMT", Some(10)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
            // Only spaces and tabs may stand around a header's value.
            ("\u{a0}17", None),
        ] {
            assert_eq!(
                parse(value.as_bytes(), now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_exceeds_the_cap(value: Vec<u8>, now in 0_u64..1 << 40) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            if let Some(wait) = parse(&value, now) {
                prop_assert!(wait <= MAX_RETRY_AFTER);
            }
        }
    }
}
