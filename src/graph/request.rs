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
    command::{ClientRequestId, Command, TaskId},
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

/// Where Graph's incident tasks are.
#[derive(Debug)]
pub(super) struct Tasks(Url);

/// The POST that starts the action. Its body is empty, and the witness of its
/// departure.
pub(super) fn execute(
    tasks: &Tasks,
    command: &Command,
    authorization: &Authorization,
    departure: &Departure,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    let mut request = request(
        Method::POST,
        tasks.url(&command.task_id, "/executeResponseAction"),
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
    tasks: &Tasks,
    command: &Command,
    authorization: &Authorization,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    request(
        Method::GET,
        tasks.url(&command.task_id, ""),
        &command.client_request_id,
        authorization,
        span,
    )
}

fn request(
    method: Method,
    url: Option<Url>,
    client_request_id: &ClientRequestId,
    authorization: &Authorization,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    let client_request_id = HeaderValue::from_str(client_request_id.as_str());
    // Neither fails for what was checked; were a check ever lost, nothing is sent.
    let (Some(url), Ok(mut client_request_id)) = (url, client_request_id) else {
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

// === impl Tasks ===

impl Tasks {
    /// Those of the Graph whose root, with its version, this is.
    pub(super) fn of(root: &Url) -> Self {
        let version = root.path().trim_end_matches('/');
        let mut tasks = root.clone();
        tasks.set_path(&format!("{version}/security/incidentTasks/"));
        Self(tasks)
    }

    /// Where one of them is, or its `action`. Only what differs is parsed for each call.
    fn url(&self, id: &TaskId, action: &str) -> Option<Url> {
        let id = utf8_percent_encode(id.as_str(), SEGMENT);
        self.0.join(&format!("{id}{action}")).ok()
    }
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
            ("http://x/y", "http%3A%2F%2Fx%2Fy"),
            ("//x", "%2F%2Fx"),
            ("../x", "..%2Fx"),
        ] {
            for (root, version) in [
                ("http://h/beta", "/beta"),
                ("http://h/beta/", "/beta"),
                ("http://h", ""),
            ] {
                for action in ["", "/executeResponseAction"] {
                    let url = Tasks::of(&Url::parse(root).unwrap())
                        .url(&TaskId::parse(id.to_owned()).unwrap(), action)
                        .unwrap();
                    assert_eq!(
                        url.as_str(),
                        format!("http://h{version}/security/incidentTasks/{segment}{action}")
                    );
                }
            }
        }
    }
}
