//! Making foreign text fit for an answer: capped, on one line, without secrets.

/// The first `max` bytes of `text` at most, cut on a character boundary. Control
/// characters become spaces; a cut is marked by an ellipsis.
fn clean(text: &str, max: usize) -> String {
    const ELLIPSIS: &str = "…";
    let mut cleaned: String = text
        .trim_matches(|c: char| c.is_whitespace() || c.is_control())
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(max + 1)
        .collect();
    if cleaned.len() > max {
        let room = max.saturating_sub(ELLIPSIS.len());
        let end = (0..=room)
            .rev()
            .find(|&index| cleaned.is_char_boundary(index))
            .unwrap_or(0);
        cleaned.truncate(end);
        cleaned.push_str(ELLIPSIS);
    }
    cleaned
}

/// What stands in the place of a token or a URL.
pub(super) const REMOVED: &str = "[removed]";

/// [`clean`], and every word that looks like a token or a URL is removed: Graph's
/// messages are prose, but some services put their inner request into them.
pub(super) fn scrub(text: &str, max: usize) -> String {
    if is_harmless(text, max) {
        text.to_owned()
    } else {
        scrub_words(text, max)
    }
}

/// Whether nothing is to be done, as with nearly every text: printable ASCII in words,
/// with one space between two, and nothing in it that a word is removed for.
fn is_harmless(text: &str, max: usize) -> bool {
    let mut after_space = true;
    let is_spaced = text.bytes().all(|byte| {
        let is_spaced = byte.is_ascii_graphic() || (byte == b' ' && !after_space);
        after_space = byte == b' ';
        is_spaced
    });
    is_spaced
        && (text.is_empty() || !after_space)
        && text.len() <= max
        && !looks_secret(text)
        && !text.split(' ').any(announces_a_token)
}

fn scrub_words(text: &str, max: usize) -> String {
    let mut after_bearer = false;
    let words: Vec<&str> = text
        // Control characters become spaces, so they part words, too.
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        // More words than bytes cannot survive the cut.
        .take(max)
        .map(|word| {
            let secret = after_bearer || looks_secret(word);
            after_bearer = announces_a_token(word);
            if secret { REMOVED } else { word }
        })
        .collect();
    clean(&words.join(" "), max)
}

/// Whether it holds what looks like a token or a URL.
fn looks_secret(text: &str) -> bool {
    looks_like_a_token(text) || holds(text, *b"://")
}

/// Whether the next word is a token.
fn announces_a_token(word: &str) -> bool {
    word.eq_ignore_ascii_case("bearer")
}

/// `eyJ` is `{"` in base64url: how every JSON Web Token begins.
fn looks_like_a_token(word: &str) -> bool {
    holds(word, *b"eyJ")
}

/// Most texts here are shorter than what a searcher costs to be set up.
fn holds(text: &str, wanted: [u8; 3]) -> bool {
    text.as_bytes().windows(3).any(|window| window == wanted)
}

/// An identifier from outside: a short run of letters, digits and `-_.`, or nothing.
/// A short token would be such a run.
pub(super) fn identifier(text: &str, max: usize) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= max
        && !looks_like_a_token(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_harmless_is_left_as_it_is(
            text in "(([a-z.]{0,6}|Bearer|bEARER|eyJ|x://y|\t|ü|\u{7f}) ?){0,8}",
            max in 0_usize..60,
        ) {
            prop_assert_eq!(scrub(&text, max), scrub_words(&text, max));
        }
    }

    #[test]
    fn cuts_on_character_boundaries() {
        assert_eq!(clean("short", 10), "short");
        assert_eq!(clean("exactly_10", 10), "exactly_10");
        assert_eq!(clean("a\nb\tc\u{0}", 10), "a b c");
        for max in 3..40 {
            let cut = clean(&"ü€😀".repeat(20), max);
            assert!(cut.len() <= max, "{max}: {}", cut.len());
            assert!(cut.ends_with('…'));
        }
    }

    #[test]
    fn removes_what_looks_like_a_token_or_a_url() {
        assert_eq!(
            scrub(
                "Bearer abc failed for eyJhbGciOi.eyJ at https://x/users/1 !",
                100
            ),
            "Bearer [removed] failed for [removed] at [removed] !"
        );
        assert_eq!(
            scrub("{\"Message\":\"{\\r\\n\"}", 100),
            "{\"Message\":\"{\\r\\n\"}"
        );
        assert_eq!(scrub("\0a Bearer\u{1}abc\n", 100), "a Bearer [removed]");
    }

    #[test]
    fn identifiers_are_short_and_plain() {
        assert_eq!(
            identifier("43067534-c43a", 64).as_deref(),
            Some("43067534-c43a")
        );
        for bad in ["", "a b", "a\r\nb", "ü", "eyJh.eyJz.c2ln", &"x".repeat(65)] {
            assert_eq!(identifier(bad, 64), None, "{bad:?}");
        }
    }
}
