//! Page tokens: where the next page is, for the same selection only (AIP-158).
//!
//! The gateway keeps nothing: a page can be asked for at any replica. Whoever writes a token
//! by hand can choose among the pages of the list that the request itself describes, and
//! gets no right by it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::command::Page;

/// The form of the token.
const VERSION: &str = "1";
const WRONG: &str = "must be empty, or the `next_page_token` of the page before";

/// The token of a page. `selection` is what all pages of a list have in common, on one line.
pub(super) fn encode(selection: &str, page: &Page) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}\n{selection}\n{}", page.as_str()))
}

/// The page; the error says what is wrong with the token.
pub(super) fn decode(token: &str, selection: &str) -> Result<Page, &'static str> {
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
    Page::of_query(query).ok_or(WRONG)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(query: &str) -> Page {
        Page::of_query(query).unwrap()
    }

    #[test]
    fn a_token_leads_to_its_page_for_its_own_selection_only() {
        let next = page("$skiptoken=x%20y");
        let token = encode("a|b", &next);
        assert_eq!(decode(&token, "a|b"), Ok(next));
        assert!(decode(&token, "a|c").unwrap_err().contains("another list"));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(token.bytes().all(is_plain));
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
            &of("1\na|b\n$expand=incident"),
            &of("1\na|b\n$exp\tand=incident"),
            &of("1\na|b\n$exp\nand=incident"),
            &URL_SAFE_NO_PAD.encode([0xff, 0xfe]),
        ] {
            assert_eq!(decode(token, "a|b"), Err(WRONG), "{token}");
        }
        // A condition of somebody else's has no effect.
        let forged = of("1\na|b\n$filter=incident/alerts/any()&$skiptoken=x");
        assert_eq!(
            decode(&forged, "a|b").unwrap().as_str(),
            "$filter&$skiptoken=x"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(token: String) {
            let _result = decode(&token, "a|b");
        }
    }
}
