//! Where a page of a list is: what of Graph's link to it is kept.
//!
//! The link is opaque, and holds the list's own parameters again beside what tells the page.
//! Those are known, and are written anew, so that neither a link nor whoever forges a page
//! token can make another list of it.

use percent_encoding::percent_decode_str;

use super::{ListTasks, MAX_PAGE_SIZE};

/// The longest query of a link. Graph's skip tokens have some hundred bytes.
const MAX_BYTES: usize = 4096;
/// The system query options that make something else of a list (`OData` 4.01, part 2,
/// section 5); Graph takes them with and without the dollar.
const OTHERS: [&str; 11] = [
    "select",
    "expand",
    "search",
    "apply",
    "compute",
    "format",
    "levels",
    "index",
    "schemaversion",
    "deltatoken",
    "id",
];

/// The query of a page's address, but for the list's own conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page(String);

// === impl Page ===

impl Page {
    /// Reads the query of a link; nothing if it is none to a page of a list of tasks.
    pub fn of_query(query: &str) -> Option<Self> {
        let is_plain = query
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if query.is_empty() || query.len() > MAX_BYTES || !is_plain {
            return None;
        }
        let kept = query.split('&').map(kept).collect::<Option<Vec<_>>>()?;
        Some(Self(kept.join("&")))
    }

    /// What is kept, for a page token.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The query of the page's address, for this list. `encode` makes a value of a text.
    pub fn query(&self, list: &ListTasks, encode: impl Fn(&str) -> String) -> String {
        let parts = self.0.split('&').filter_map(|part| match part {
            FILTER => Some(format!("{FILTER}={}", encode(&list.filter()?))),
            ORDER_BY => Some(format!("{ORDER_BY}={}", encode(list.order_by()?))),
            other => Some(other.to_owned()),
        });
        parts.collect::<Vec<_>>().join("&")
    }
}

const FILTER: &str = "$filter";
const ORDER_BY: &str = "$orderby";

/// What is kept of one parameter. Nothing if it has no place in a list of tasks.
fn kept(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let name = percent_decode_str(name).decode_utf8().ok()?;
    let name = name.to_ascii_lowercase();
    let option = name.strip_prefix('$').unwrap_or(&name);
    // What somebody else could read otherwise (`+`, `%25`, spaces) is no name of anything.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if option.is_empty() || !option.bytes().all(is_plain) {
        return None;
    }
    match option {
        "filter" => Some(FILTER.to_owned()),
        "orderby" => Some(ORDER_BY.to_owned()),
        "top" => {
            let top: u16 = value.parse().ok()?;
            (1..=MAX_PAGE_SIZE)
                .contains(&top)
                .then(|| parameter.to_owned())
        }
        "skip" | "skiptoken" | "count" => Some(parameter.to_owned()),
        _ if name.starts_with('$') || OTHERS.contains(&option) => None,
        _ => Some(parameter.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::command::Order;

    fn query(link: &str, list: &ListTasks) -> Option<String> {
        let page = Page::of_query(link)?;
        // What is kept can be kept again: it is what a token holds.
        assert_eq!(Page::of_query(page.as_str()), Some(page.clone()), "{link}");
        Some(page.query(list, |value| value.replace(' ', "%20")))
    }

    #[test]
    fn a_page_is_one_of_its_own_list_whatever_the_link_says_of_it() {
        let all = ListTasks::default();
        let open = ListTasks {
            incident_id: Some("7".to_owned()),
            order: Some(Order::Updated),
            ..all.clone()
        };
        for (link, of_all, of_open) in [
            (
                "$skiptoken=a%20b+c/=",
                "$skiptoken=a%20b+c/=",
                "$skiptoken=a%20b+c/=",
            ),
            (
                "%24top=50&$skip=50",
                "%24top=50&$skip=50",
                "%24top=50&$skip=50",
            ),
            (
                "$filter=anything&$skiptoken=x",
                "$skiptoken=x",
                "$filter=incidentId%20eq%20'7'&$skiptoken=x",
            ),
            (
                "%24FILTER=x&OrderBy=y&$skiptoken=x",
                "$skiptoken=x",
                "$filter=incidentId%20eq%20'7'&$orderby=lastUpdateDateTime%20asc&$skiptoken=x",
            ),
            (
                "sdk=1&$skiptoken=x",
                "sdk=1&$skiptoken=x",
                "sdk=1&$skiptoken=x",
            ),
        ] {
            assert_eq!(query(link, &all).as_deref(), Some(of_all), "{link}");
            assert_eq!(query(link, &open).as_deref(), Some(of_open), "{link}");
        }
    }

    #[test]
    fn what_would_make_another_list_is_none() {
        let long = format!("$skiptoken={}", "x".repeat(MAX_BYTES));
        for link in [
            "",
            "$expand=incident",
            "expand=incident",
            "%24EXPAND=incident&$skiptoken=x",
            "$skiptoken=x&$apply=y",
            "$exp\tand=incident",
            "$exp\nand=incident",
            " $expand=incident",
            "%20$expand=incident",
            "+$expand=incident",
            "+expand=incident",
            "expand+=incident",
            "%2524expand=incident",
            "%EF%BB%BFexpand=incident",
            "$$expand=incident",
            "=x",
            "$skiptoken=x&",
            "$top=501",
            "$top=0",
            "$top=x",
            "$anything=x",
            "$select=id",
            "$skiptoken=a#b",
            "$skiptoken=ü",
            &long,
        ] {
            assert_eq!(Page::of_query(link), None, "{link:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_gets_through_is_another_option(link in "[!-~]{0,60}") {
            let Some(query) = query(&link, &ListTasks::default()) else {
                return Ok(());
            };
            let url = url::Url::parse(&format!("http://h/?{query}")).unwrap();
            for (name, _) in url.query_pairs() {
                let name = name.trim().to_ascii_lowercase();
                let option = name.strip_prefix('$').unwrap_or(&name);
                prop_assert!(!OTHERS.contains(&option), "{}", query);
                prop_assert!(!["filter", "orderby"].contains(&option), "{}", query);
            }
        }
    }
}
