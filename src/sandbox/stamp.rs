//! Graph's zone-less time stamps, such as `2023-09-04T05:47:56`.

use std::time::{SystemTime, UNIX_EPOCH};

/// `at` in UTC; a time before 1970 is 1970.
pub(super) fn zoneless(at: SystemTime) -> String {
    let mut stamp = humantime::format_rfc3339_seconds(at.max(UNIX_EPOCH)).to_string();
    stamp.pop(); // Z
    stamp
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn is_utc_without_a_zone() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_693_806_476, "2023-09-04T05:47:56"),
            (4_107_542_400, "2100-03-01T00:00:00"),
        ] {
            assert_eq!(zoneless(UNIX_EPOCH + Duration::from_secs(seconds)), want);
        }
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(zoneless(before), "1970-01-01T00:00:00");
    }
}
