//! The `Warning` header of Graph's security API: which provider had trouble.
//!
//! `Warning: 199 - "{Vendor}/{Provider}/{StatusCode}/{LatencyInMs}"`, a list of
//! such items, in one header line or in several (Graph page "Microsoft Graph
//! Security API error responses"; warn-value of RFC 7234, section 5.5).

use std::time::Duration;

use http::HeaderMap;

use super::{ProviderWarning, text};

/// The most items that are kept; Graph federates fewer providers.
const MAX_ITEMS: usize = 16;
/// The longest name of a vendor or provider in bytes.
const MAX_NAME_BYTES: usize = 128;
const WARNING: &str = "warning";

/// All well-formed items with code 199; anything else is skipped.
pub fn parse(headers: &HeaderMap) -> Vec<ProviderWarning> {
    headers
        .get_all(WARNING)
        .iter()
        .filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
        .flat_map(quoted_texts_of_199)
        .filter_map(item)
        .take(MAX_ITEMS)
        .collect()
}

/// The quoted text of each `199 agent "text"` in one header line.
fn quoted_texts_of_199(line: &str) -> impl Iterator<Item = &str> {
    // Outside quotes at even positions, inside at odd ones: Graph's texts hold no
    // escaped quotes, and an item broken by one is not well-formed for `item`.
    let mut parts = line.split('"');
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
        .filter(|(before, _)| {
            before
                .trim_start_matches([',', ' ', '\t'])
                .split_ascii_whitespace()
                .next()
                == Some("199")
        })
        .map(|(_, text)| text)
}

fn item(text: &str) -> Option<ProviderWarning> {
    let mut from_the_end = text.rsplitn(3, '/');
    let latency = from_the_end.next()?;
    let status_code = from_the_end.next()?;
    let (vendor, provider) = from_the_end.next()?.split_once('/')?;
    Some(ProviderWarning {
        vendor: text::scrub(vendor, MAX_NAME_BYTES),
        provider: text::scrub(provider, MAX_NAME_BYTES),
        status_code: status_code.trim().parse().ok()?,
        latency: latency
            .trim()
            .parse()
            .ok()
            .map(|ms: u32| Duration::from_millis(ms.into())),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parsed(lines: &[&str]) -> Vec<(String, String, u16, Option<u64>)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WARNING, HeaderValue::from_str(line).unwrap());
        }
        parse(&headers)
            .into_iter()
            .map(|warning| {
                let ms = warning
                    .latency
                    .map(|latency| u64::try_from(latency.as_millis()).unwrap());
                (warning.vendor, warning.provider, warning.status_code, ms)
            })
            .collect()
    }

    fn row(
        vendor: &str,
        provider: &str,
        code: u16,
        ms: Option<u64>,
    ) -> (String, String, u16, Option<u64>) {
        (vendor.to_owned(), provider.to_owned(), code, ms)
    }

    #[test]
    fn reads_the_documented_sample() {
        let sample =
            r#"199 - "{Vendor2}/{Provider 2}/504/10000",    199 - "{Vendor4}/{Provider 4}/403/10""#;
        assert_eq!(
            parsed(&[sample]),
            [
                row("{Vendor2}", "{Provider 2}", 504, Some(10_000)),
                row("{Vendor4}", "{Provider 4}", 403, Some(10)),
            ]
        );
    }

    #[test]
    fn reads_several_lines_and_odd_latencies() {
        assert_eq!(
            parsed(&[r#"199 host:80 "A/B/C/500/7""#, r#"199 - "V/P/403/""#]),
            [row("A", "B/C", 500, Some(7)), row("V", "P", 403, None)]
        );
    }

    #[test]
    fn skips_what_is_not_a_provider_warning() {
        for line in [
            "",
            "199",
            r#"110 - "Response is stale""#,
            r#"199 - "no slashes""#,
            r#"199 - "a/b/c/d""#,
            r#"199 - "a/b/70000/1""#,
            r#"199 - "a/504/1""#,
            r#"199 - "unclosed/x/1/1"#,
        ] {
            // An unclosed quote still shows a whole item.
            let expected = usize::from(line.contains("unclosed"));
            assert_eq!(parsed(&[line]).len(), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_is_bounded(values in prop::collection::vec(any::<Vec<u8>>(), 0..40)) {
            let mut headers = HeaderMap::new();
            for value in values {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.append(WARNING, value);
                }
            }
            prop_assert!(parse(&headers).len() <= MAX_ITEMS);
        }
    }
}
