//! Page tokens: where the next page is, for the same selection only (AIP-158).
//!
//! Graph's link to a page is opaque, so the token holds the whole of its query, and the
//! gateway keeps nothing: a page can be asked for at any replica. Whoever writes a token by
//! hand can choose among the tasks that the caller may list anyway, and no more: the
//! request goes to the list of tasks whatever the token says, and what would add other
//! data to it is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::form_urlencoded;

/// The form of the token.
const VERSION: &str = "1";
/// The parameters that would make something else of the list (`OData` 4.01, part 2).
const OTHERS: [&str; 4] = ["$expand", "$apply", "$compute", "$search"];
const WRONG: &str = "must be empty, or the `next_page_token` of the page before";

/// The token of a page whose address has this query. `selection` is what all pages of a
/// list have in common, on one line.
pub(super) fn encode(selection: &str, query: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}\n{selection}\n{query}"))
}

/// The query of the page; the error says what is wrong with the token.
pub(super) fn decode(token: &str, selection: &str) -> Result<String, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| WRONG)?;
    let text = String::from_utf8(bytes).map_err(|_| WRONG)?;
    let mut parts = text.splitn(3, '\n');
    let (Some(VERSION), Some(selected), Some(query)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(WRONG);
    };
    if selected != selection {
        return Err("is for another list: send the same filters and order as for the page before");
    }
    let makes_another_list = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| {
        let name = name.trim();
        OTHERS.iter().any(|other| {
            let bare = other.trim_start_matches('$');
            name.eq_ignore_ascii_case(other) || name.eq_ignore_ascii_case(bare)
        })
    });
    if makes_another_list || query.is_empty() {
        return Err(WRONG);
    }
    Ok(query.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_leads_to_its_page_for_its_own_selection_only() {
        let token = encode("a|b", "$skiptoken=x%20y");
        assert_eq!(decode(&token, "a|b").unwrap(), "$skiptoken=x%20y");
        assert!(decode(&token, "a|c").unwrap_err().contains("another list"));
        assert!(
            token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let of = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for token in [
            "x",
            "###",
            &of(""),
            &of("1"),
            &of("1\na|b"),
            &of("1\na|b\n"),
            &of("2\na|b\n$skiptoken=x"),
            &URL_SAFE_NO_PAD.encode([0xff, 0xfe]),
            &encode("a|b", "$expand=incident"),
            &encode("a|b", "$skiptoken=x&%24EXPAND=incident"),
            &encode("a|b", "expand=incident"),
            &encode("a|b", "$apply=aggregate(x)"),
        ] {
            assert_eq!(decode(token, "a|b"), Err(WRONG), "{token}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(token: String) {
            let _result = decode(&token, "a|b");
        }

        #[test]
        fn every_query_comes_back(query in "[!-~]{1,60}") {
            prop_assume!(!OTHERS.iter().any(|other| query.to_lowercase().contains(&other[1..])) && !query.contains('%'));
            prop_assert_eq!(decode(&encode("s", &query), "s"), Ok(query));
        }
    }
}
