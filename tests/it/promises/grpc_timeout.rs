//! `grpc-timeout` is read by its grammar, or not at all.

use incidentgate::server::parse_grpc_timeout;

/// The units of gRPC over HTTP/2 in nanoseconds.
const UNITS: [(u8, u128); 6] = [
    (b'H', 3_600_000_000_000),
    (b'M', 60_000_000_000),
    (b'S', 1_000_000_000),
    (b'm', 1_000_000),
    (b'u', 1000),
    (b'n', 1),
];

/// The input is the header's value.
pub(crate) fn grpc_timeout(value: &[u8]) {
    let nanos = parse_grpc_timeout(value).map(|timeout| timeout.as_nanos());
    assert_eq!(nanos, by_grammar(value), "{}", value.escape_ascii());
}

/// `TimeoutValue → {positive integer as ASCII string of at most 8 digits}`, then a unit.
fn by_grammar(value: &[u8]) -> Option<u128> {
    let (unit, digits) = value.split_last()?;
    let (_, nanos) = UNITS.into_iter().find(|(letter, _)| letter == unit)?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = || {
        digits
            .iter()
            .fold(0, |sum, digit| sum * 10 + u128::from(digit - b'0'))
    };
    is_number.then(|| number() * nanos)
}
