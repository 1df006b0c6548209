//! `Warning`: a bounded number of items with bounded texts.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use incidentgate::graph::{ProviderWarning, parse_warnings};

const MAX_ITEMS: usize = 16;
const MAX_NAME_BYTES: usize = 128;
/// An item, as the documentation shows it.
const DOCUMENTED: &str = r#"199 - "{Vendor2}/{Provider 2}/504/10000""#;

/// Each line of the input is a header's value.
pub(crate) fn warning(data: &[u8]) {
    let values: Vec<_> = super::lines(data)
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .collect();
    warnings_are_bounded(&values);
}

/// Checks what is read from these header lines.
pub(crate) fn warnings_are_bounded(values: &[HeaderValue]) {
    let found = parsed(values);
    assert!(found.len() <= MAX_ITEMS);
    for warning in &found {
        is_bounded(warning);
        let again = HeaderValue::try_from(shown(warning)).unwrap();
        assert_eq!(parsed(&[again]), std::slice::from_ref(warning));
    }
    // No line of the header changes what another one says.
    let documented = HeaderValue::from_static(DOCUMENTED);
    let with_another: Vec<_> = [&[documented], values].concat();
    let expected: Vec<_> = [ProviderWarning {
        vendor: "{Vendor2}".to_owned(),
        provider: "{Provider 2}".to_owned(),
        status_code: 504,
        latency: Some(Duration::from_secs(10)),
    }]
    .into_iter()
    .chain(found)
    .take(MAX_ITEMS)
    .collect();
    assert_eq!(parsed(&with_another), expected);
}

pub(super) fn is_bounded(warning: &ProviderWarning) {
    for name in [&warning.vendor, &warning.provider] {
        assert!(name.len() <= MAX_NAME_BYTES, "{name:?}");
        assert!(!name.contains(char::is_control), "{name:?}");
        assert!(!super::holds_a_token_or_url(name), "{name:?}");
    }
}

fn parsed(values: &[HeaderValue]) -> Vec<ProviderWarning> {
    let name = http::header::WARNING;
    let headers: HeaderMap = values
        .iter()
        .map(|value| (name.clone(), value.clone()))
        .collect();
    parse_warnings(&headers)
}

/// The item as Graph would have sent it.
fn shown(warning: &ProviderWarning) -> String {
    let latency = warning
        .latency
        .map(|latency| latency.as_millis().to_string());
    format!(
        "199 - \"{}/{}/{}/{}\"",
        warning.vendor,
        warning.provider,
        warning.status_code,
        latency.unwrap_or_default()
    )
}
