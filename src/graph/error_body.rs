//! Graph's JSON error, read leniently.
//!
//! The documentation spells it `innererror`, its samples `innerError`; the inner
//! id is `request-id` or `requestId`; some services put other types where the
//! schema says string. So nothing here is required, and a body that is no error
//! of Graph's is simply an error without a code.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

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

/// A value of Graph's JSON, as far as anything is read of it.
#[derive(Default)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Object(Box<Members<'a>>),
    /// Of a type that is not expected, or not there.
    #[default]
    Other,
}

/// The members that are read. Of several with one name the last counts, as wherever else
/// JSON is read here: `echo` would else remove a token from another one than is shown.
#[derive(Default)]
struct Members<'a> {
    error: Value<'a>,
    code: Value<'a>,
    message: Value<'a>,
    inner_error: Value<'a>,
    innererror: Value<'a>,
    request_id_in_kebab_case: Value<'a>,
    request_id: Value<'a>,
}

#[derive(Deserialize)]
#[serde(field_identifier)]
enum Name {
    #[serde(rename = "error")]
    Error,
    #[serde(rename = "code")]
    Code,
    #[serde(rename = "message")]
    Message,
    #[serde(rename = "innerError")]
    InnerError,
    #[serde(rename = "innererror")]
    Innererror,
    #[serde(rename = "request-id")]
    RequestIdInKebabCase,
    #[serde(rename = "requestId")]
    RequestId,
    #[serde(other)]
    Other,
}

// === impl ErrorBody ===

impl ErrorBody {
    /// Reads what there is; never fails.
    pub(super) fn read(body: &[u8]) -> Self {
        // One look at the whole of it, and not one at each text.
        let document = str::from_utf8(body)
            .ok()
            .and_then(|body| serde_json::from_str::<Value<'_>>(body).ok())
            .unwrap_or_default();
        let error = document
            .object()
            .and_then(|document| document.error.object());
        let Some(error) = error else {
            return Self::default();
        };
        let mut found = Self {
            code: error.code(),
            message: error
                .message
                .text()
                .map(|message| text::scrub(message, MAX_MESSAGE_BYTES))
                .filter(|message| !message.is_empty()),
            ..Self::default()
        };
        let mut inner = error.inner();
        while let Some(error) = inner {
            found.inner_code = error.code().or(found.inner_code);
            found.request_id = [&error.request_id_in_kebab_case, &error.request_id]
                .into_iter()
                .find_map(|id| text::identifier(id.text()?, MAX_ID_BYTES))
                .or(found.request_id);
            inner = error.inner();
        }
        found
    }
}

// === impl Members ===

impl Members<'_> {
    fn code(&self) -> Option<String> {
        let code = self.code.text()?;
        // What had to be scrubbed is no code.
        Some(text::scrub(code, MAX_CODE_BYTES))
            .filter(|code| !code.is_empty() && !code.contains(text::REMOVED))
    }

    fn inner(&self) -> Option<&Self> {
        self.inner_error.object().or(self.innererror.object())
    }
}

// === impl Value ===

impl<'a> Value<'a> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Object(_) | Self::Other => None,
        }
    }

    fn object(&self) -> Option<&Members<'a>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Text(_) | Self::Other => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// Takes every value there is.
struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    /// A text with escapes in it.
    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut members = Members::default();
        while let Some(name) = map.next_key()? {
            let member = match name {
                Name::Error => &mut members.error,
                Name::Code => &mut members.code,
                Name::Message => &mut members.message,
                Name::InnerError => &mut members.inner_error,
                Name::Innererror => &mut members.innererror,
                Name::RequestIdInKebabCase => &mut members.request_id_in_kebab_case,
                Name::RequestId => &mut members.request_id,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *member = map.next_value()?;
        }
        Ok(Value::Object(Box::new(members)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    /// `null`.
    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }
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
    fn what_is_written_with_escapes_is_read_and_what_is_not_asked_for_is_not() {
        let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
        let found = read(&format!(
            r#"{{"x":{deep},"\u0065rror":{{"x":[{{}},1,null],"c\u006fde":"\u0061","message":"b\"c"}}}}"#
        ));
        assert_eq!(found.code.as_deref(), Some("a"));
        assert_eq!(found.message.as_deref(), Some("b\"c"));
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
            r#"{"error":{"code":-1,"message":1.5,"innerError":null,"innererror":true}}"#,
            r#"{"error":[{"code":"a"}]}"#,
            r#"[{"error":{"code":"a"}}]"#,
            r#"{"error":{"code":"a"}} {}"#,
            r#"{"error":{"code":"","message":"  "}}"#,
            r#"{"error":{"code":"cut","mess"#,
            &format!("{}1{}", r#"{"error":"#.repeat(500), "}".repeat(500)),
        ] {
            assert_eq!(read(body), ErrorBody::default(), "{body}");
        }
    }
}
