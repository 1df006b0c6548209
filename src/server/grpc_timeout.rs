//! `grpc-timeout`: how long the caller will wait (gRPC over HTTP/2,
//! `Timeout → TimeoutValue TimeoutUnit`).

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::failure::{Failure, Violation};

pub(super) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `TimeoutValue → {positive integer as ASCII string of at most 8 digits}`.
const MAX_DIGITS: usize = 8;

/// The time for one call: what the caller asks for, within the limits.
pub(super) fn effective(
    headers: &HeaderMap,
    default: Duration,
    max: Duration,
) -> Result<Duration, Failure> {
    Ok(asked(headers)?.unwrap_or(default).min(max))
}

/// The time that the caller asks for, if it does.
pub(super) fn asked(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let value = headers.get(GRPC_TIMEOUT);
    let asked = value.map(|value| parse(value.as_bytes()).ok_or_else(malformed));
    asked.transpose()
}

/// 1 to 8 digits and one of the units `H`, `M`, `S`, `m`, `u`, `n`; nothing if the
/// value is anything else.
pub fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

fn malformed() -> Failure {
    Failure::invalid_request(vec![Violation {
        field: "grpc-timeout",
        description: "must be 1 to 8 digits and one of the units H, M, S, m, u, n, as in 500m"
            .to_owned(),
    }])
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_unit_and_refuses_everything_else() {
        for (value, want) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("500m", Some(Duration::from_millis(500))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("00000001S", Some(Duration::from_secs(1))),
            ("100000000n", None),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("1h", None),
            ("-1S", None),
            ("+1S", None),
            ("1.5S", None),
            (" 1S", None),
            ("1S ", None),
            ("abc", None),
        ] {
            assert_eq!(parse(value.as_bytes()), want, "{value:?}");
        }
    }

    #[test]
    fn the_effective_time_is_the_smaller_one() {
        let (default, max) = (Duration::from_secs(30), Duration::from_secs(120));
        for (value, want) in [(None, 30), (Some("5S"), 5), (Some("1H"), 120)] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(GRPC_TIMEOUT, HeaderValue::from_static(value));
            }
            assert_eq!(
                effective(&headers, default, max).unwrap(),
                Duration::from_secs(want)
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(value: Vec<u8>) {
            parse(&value);
        }

        #[test]
        fn reads_whatever_the_grammar_allows(number in 0_u32..100_000_000, unit in "[HMSmun]") {
            let value = format!("{number}{unit}");
            prop_assert!(parse(value.as_bytes()).is_some());
        }
    }
}
