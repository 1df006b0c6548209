//! `incidentgate mint`

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use clap::Args;
use http::Request;
use serde_json::Value;
use url::Url;

use super::{FAILURE, fail, print};
use crate::{
    config::form,
    outbound::{Documents, Way},
    sandbox::Mint,
};

/// The most time until the answer. A sandbox that makes its first key takes less than one
/// second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Prints an access token of a running sandbox's Entra, to try things with. Nobody but
/// that sandbox, and who trusts its keys, accepts it.
#[derive(Debug, Args)]
pub(super) struct MintToken {
    /// The sandbox; its name here becomes the token's issuer.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = parse_sandbox
    )]
    sandbox: Url,
    /// Whom the token is for; the gateway's application when left out.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// The application that calls; the gateway's own when left out.
    #[arg(long, value_name = "ID")]
    app: Option<String>,
    /// The object id of the user who calls through it; without one the application calls
    /// for itself.
    #[arg(long, value_name = "OID")]
    user: Option<String>,
    /// A role of the application; may be repeated.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A scope that the user has consented to; may be repeated.
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// How long the token lives; a minus before it makes one that has expired.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "1h",
        allow_hyphen_values = true,
        value_parser = parse_lifetime
    )]
    expires_in: i64,
}

impl MintToken {
    pub(super) async fn run(self) -> ExitCode {
        match self.ask().await {
            Ok(token) => {
                print(token);
                ExitCode::SUCCESS
            }
            Err(error) => fail(FAILURE, &error),
        }
    }

    async fn ask(self) -> anyhow::Result<String> {
        let url = self.sandbox.join("/sandbox/entra/tokens")?;
        let usual = Mint::default();
        let mint = Mint {
            audience: self.audience.unwrap_or(usual.audience),
            app: self.app.unwrap_or(usual.app),
            user: self.user,
            roles: self.roles,
            scopes: self.scopes,
            expires_in: self.expires_in,
            ..Mint::default()
        };
        let body = serde_json::to_vec(&mint)?;
        let sandbox = self.sandbox.origin().ascii_serialization();
        let answer = Documents::new(Way::Plain, None, PATIENCE)?
            .send(Request::post(url.as_str()).body(body.into())?)
            .await
            .with_context(|| format!("no sandbox answers at {sandbox}"))?;
        let status = answer.status;
        let answer: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |field| answer.get(field).and_then(Value::as_str);
        text("access_token").map(str::to_owned).with_context(|| {
            let said = text("error").unwrap_or("that is no sandbox with an Entra");
            format!("{sandbox} answered {}: {said}", status.as_u16())
        })
    }
}

fn parse_sandbox(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| {
        url.scheme() == "http" && url.has_host() && url.path() == "/" && url.username().is_empty()
    });
    url.ok_or_else(|| "expected `http://HOST:PORT`".to_owned())
}

/// Seconds.
fn parse_lifetime(text: &str) -> Result<i64, String> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (-1, text),
        None => (1, text),
    };
    let lifetime = form::duration(Duration::ZERO, form::DAY).demand(text)?;
    // A day has far fewer seconds than an i64.
    Ok(sign * i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_may_be_over() {
        for (text, want) in [
            ("1h", Ok(3600)),
            ("0s", Ok(0)),
            ("-5m", Ok(-300)),
            ("1day", Ok(86_400)),
        ] {
            assert_eq!(parse_lifetime(text), want, "{text}");
        }
        for text in ["", "-", "--5m", "2days", "-2days", "5"] {
            assert!(parse_lifetime(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_sandbox_is_a_plain_http_origin() {
        for (text, is_one) in [
            ("http://127.0.0.1:8080", true),
            ("http://sandbox/", true),
            ("https://127.0.0.1:8080", false),
            ("http://127.0.0.1:8080/beta", false),
            ("http://user@127.0.0.1", false),
            ("127.0.0.1:8080", false),
        ] {
            assert_eq!(parse_sandbox(text).is_ok(), is_one, "{text}");
        }
    }
}
