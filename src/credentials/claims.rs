//! Which claims a token is asked to have (the parameter `claims` of a token request).

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value, json};

/// Challenges come with and without padding, and in either alphabet.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The value of the parameter: what a challenge asks for, if there is one, and that this
/// client understands challenges (`cp1`; Microsoft identity platform, "Client
/// capabilities"). Entra then gives tokens that live longer and can be revoked at once.
///
/// `challenge` is base64, as Graph sent it; one that cannot be read asks for nothing.
pub(super) fn requested(challenge: Option<&str>) -> String {
    let mut claims = challenge.and_then(decoded).unwrap_or_default();
    let of_access_token = claims.entry("access_token").or_insert_with(|| json!({}));
    if !of_access_token.is_object() {
        *of_access_token = json!({});
    }
    of_access_token["xms_cc"] = json!({"values": ["cp1"]});
    Value::Object(claims).to_string()
}

fn decoded(challenge: &str) -> Option<Map<String, Value>> {
    let json = [alphabet::STANDARD, alphabet::URL_SAFE]
        .iter()
        .find_map(|alphabet| {
            GeneralPurpose::new(alphabet, LENIENT)
                .decode(challenge)
                .ok()
        })?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn a_challenge_is_kept_and_the_capability_is_added() {
        let plain = json!({"access_token": {"xms_cc": {"values": ["cp1"]}}});
        let challenge =
            json!({"access_token": {"nbf": {"essential": true, "value": "1604106651"}}});
        let mut merged = challenge.clone();
        merged["access_token"]["xms_cc"] = json!({"values": ["cp1"]});
        let text = challenge.to_string();
        for (challenge, want) in [
            (None, &plain),
            (Some(STANDARD.encode(&text)), &merged),
            (Some(URL_SAFE_NO_PAD.encode(&text)), &merged),
            (Some("%%%".to_owned()), &plain),
            (Some(STANDARD.encode("[1]")), &plain),
            (Some(STANDARD.encode(r#"{"access_token": 7}"#)), &plain),
        ] {
            let requested = requested(challenge.as_deref());
            let value: Value = serde_json::from_str(&requested).unwrap();
            assert_eq!(&value, want, "{challenge:?}");
        }
    }
}
