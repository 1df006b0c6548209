//! The requests to Graph: where they go and what they carry.

use http::{
    HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Request, Url};

use super::{departure::Departure, span::RequestSpan};
use crate::{
    authorization::Authorization,
    command::{ClientRequestId, Command},
    failure::{Failure, Kind},
};

const CLIENT_REQUEST_ID: &str = "client-request-id";
/// RFC 3986's unreserved characters; everything else is encoded, so that an id is
/// one path segment whatever it holds.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The POST that starts the action. Its body is empty, and the witness of its
/// departure.
pub(super) fn execute(
    root: &Url,
    command: &Command,
    authorization: &Authorization,
    departure: &Departure,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    let url = task_url(root, command.task_id.as_str(), "/executeResponseAction");
    let mut request = request(
        Method::POST,
        url,
        &command.client_request_id,
        authorization,
        span,
    )?;
    // Graph's error page lists 411, so the emptiness is said.
    let headers = request.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    *request.body_mut() = Some(Body::wrap(departure.body()));
    Ok(request)
}

/// The GET that shows the task.
pub(super) fn read(
    root: &Url,
    command: &Command,
    authorization: &Authorization,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    let url = task_url(root, command.task_id.as_str(), "");
    request(
        Method::GET,
        url,
        &command.client_request_id,
        authorization,
        span,
    )
}

fn request(
    method: Method,
    url: Url,
    client_request_id: &ClientRequestId,
    authorization: &Authorization,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    // Cannot fail for a GUID; were that check ever lost, nothing is sent.
    let Ok(mut client_request_id) = HeaderValue::from_str(client_request_id.as_str()) else {
        return Err(Failure::new(
            Kind::GatewayFault,
            "the gateway could not build the request to Graph",
        ));
    };
    // It differs from call to call, and has no place in HTTP/2's compression table.
    client_request_id.set_sensitive(true);
    let mut request = Request::new(method, url);
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, authorization.header().clone());
    headers.insert(CLIENT_REQUEST_ID, client_request_id);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    span.inject(headers);
    Ok(request)
}

/// Where the task `id` is, or its `action`. Only the path is parsed for each call.
fn task_url(root: &Url, id: &str, action: &str) -> Url {
    let id = utf8_percent_encode(id, SEGMENT);
    let version = root.path().trim_end_matches('/');
    let mut url = root.clone();
    url.set_path(&format!("{version}/security/incidentTasks/{id}{action}"));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_path_segment_whatever_it_holds() {
        for (id, segment) in [
            ("213213", "213213"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("%2e%2e", "%252e%252e"),
            (" ü'(x)=1", "%20%C3%BC%27%28x%29%3D1"),
            ("...", "..."),
            ("a\\b", "a%5Cb"),
        ] {
            for (root, version) in [("http://h/beta", "/beta"), ("http://h", "")] {
                for action in ["", "/executeResponseAction"] {
                    let url = task_url(&Url::parse(root).unwrap(), id, action);
                    assert_eq!(
                        url.as_str(),
                        format!("http://h{version}/security/incidentTasks/{segment}{action}")
                    );
                }
            }
        }
    }
}
