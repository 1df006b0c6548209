//! Graph's JSON error, read leniently.
//!
//! The documentation spells it `innererror`, its samples `innerError`; the inner
//! id is `request-id` or `requestId`; some services put other types where the
//! schema says string. So nothing here is required, and a body that is no error
//! of Graph's is simply an error without a code.

use serde_json_borrow::Value;

use super::text;

const MAX_CODE_BYTES: usize = 64;
pub(super) const MAX_ID_BYTES: usize = 64;
/// Percent-encoded in `grpc-message` each byte can take three, so this is about
/// 1 KiB on the wire.
const MAX_MESSAGE_BYTES: usize = 320;

/// What a Graph error says about itself. Every text is capped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// `error.code`, scrubbed like the message.
    pub(super) code: Option<String>,
    /// `error.message`, scrubbed of tokens and URLs.
    pub(super) message: Option<String>,
    /// The code of the innermost `innerError` that has one.
    pub(super) inner_code: Option<String>,
    /// The `request-id` of the innermost `innerError` that has one.
    pub(super) request_id: Option<String>,
}

impl ErrorBody {
    /// Reads what there is; never fails.
    pub(super) fn read(body: &[u8]) -> Self {
        // One look at the whole of it, and not one at each text.
        let document = str::from_utf8(body)
            .ok()
            .and_then(|body| serde_json::from_str::<Value<'_>>(body).ok())
            .unwrap_or_default();
        let Some(error) = member(&document, "error") else {
            return Self::default();
        };
        let mut found = Self {
            code: code(error),
            message: member(error, "message")
                .and_then(Value::as_str)
                .map(|message| text::scrub(message, MAX_MESSAGE_BYTES))
                .filter(|message| !message.is_empty()),
            ..Self::default()
        };
        let mut inner = inner_error(error);
        while let Some(error) = inner {
            found.inner_code = code(error).or(found.inner_code);
            found.request_id = ["request-id", "requestId"]
                .iter()
                .find_map(|key| text::identifier(member(error, key)?.as_str()?, MAX_ID_BYTES))
                .or(found.request_id);
            inner = inner_error(error);
        }
        found
    }
}

/// The last of several members with this name, as wherever else JSON is read here: `echo`
/// would else remove a token from another one than is shown.
fn member<'a>(value: &'a Value<'a>, name: &str) -> Option<&'a Value<'a>> {
    let members = value.as_object()?.iter();
    let (_, last) = members.filter(|(key, _)| *key == name).last()?;
    Some(last)
}

/// The member with this name, if it is named once. What is named twice says two things, and
/// so nothing.
pub(super) fn only<'a>(value: &'a Value<'a>, name: &str) -> Option<&'a Value<'a>> {
    let mut members = value.as_object()?.iter().filter(|(key, _)| *key == name);
    let (_, first) = members.next()?;
    members.next().is_none().then_some(first)
}

fn inner_error<'a>(error: &'a Value<'a>) -> Option<&'a Value<'a>> {
    ["innerError", "innererror"]
        .into_iter()
        .filter_map(|key| member(error, key))
        .find(|inner| inner.is_object())
}

fn code<'a>(error: &'a Value<'a>) -> Option<String> {
    member(error, "code")?
        .as_str()
        .map(|code| text::scrub(code, MAX_CODE_BYTES))
        // What had to be scrubbed is no code.
        .filter(|code| !code.is_empty() && !code.contains(text::REMOVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ErrorBody {
        ErrorBody::read(body.as_bytes())
    }

    #[test]
    fn reads_the_documented_error() {
        let found = read(
            r#"{"error":{"code":"UnsupportedActionType","message":"Action type 'text' is not supported for automated execution.",
                "innerError":{"date":"2023-09-04T05:47:56","request-id":"43067534-c43a","client-request-id":"b041e97f-24d2"}}}"#,
        );
        assert_eq!(found.code.as_deref(), Some("UnsupportedActionType"));
        assert_eq!(
            found.message.as_deref(),
            Some("Action type 'text' is not supported for automated execution.")
        );
        assert_eq!(found.request_id.as_deref(), Some("43067534-c43a"));
        assert_eq!(found.inner_code, None);
    }

    #[test]
    fn keeps_the_innermost_code_and_id_in_either_spelling() {
        let found = read(
            r#"{"error":{"code":"accessDenied","innererror":{"code":"outer","requestId":"a",
                "innerError":{"code":"accessRestricted","innererror":{"request-id":"b"}}}}}"#,
        );
        assert_eq!(found.inner_code.as_deref(), Some("accessRestricted"));
        assert_eq!(found.request_id.as_deref(), Some("b"));
    }

    #[test]
    fn the_last_of_several_members_counts() {
        let found = read(
            r#"{"error":"x","error":{"code":"a","message":"first","code":"b","message":"last",
                "innerError":{"request-id":"1"},"innerError":{"request-id":"2","request-id":"3"}}}"#,
        );
        assert_eq!(found.code.as_deref(), Some("b"));
        assert_eq!(found.message.as_deref(), Some("last"));
        assert_eq!(found.request_id.as_deref(), Some("3"));
    }

    #[test]
    fn a_code_is_no_way_out_for_a_token() {
        let found =
            read(r#"{"error":{"code":"eyJhbGciOi.eyJzdWIi","innerError":{"code":"https://x/1"}}}"#);
        assert_eq!(found, ErrorBody::default());
    }

    #[test]
    fn anything_else_is_an_error_without_a_code() {
        for body in [
            "",
            "<html>",
            "null",
            "[]",
            "\"error\"",
            r#"{"error":"invalid_client"}"#,
            r#"{"error":{"code":429,"message":["x"],"innerError":"x"}}"#,
            r#"{"error":{"code":"","message":"  "}}"#,
            r#"{"error":{"code":"cut","mess"#,
            &format!("{}1{}", r#"{"error":"#.repeat(500), "}".repeat(500)),
        ] {
            assert_eq!(read(body), ErrorBody::default(), "{body}");
        }
    }
}
