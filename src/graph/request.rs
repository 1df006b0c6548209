//! The requests to Graph: where they go and what they carry.

use http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Request, Url};

use super::{departure::Departure, inquiry::Inquiry, span::RequestSpan};
use crate::{
    authorization::Authorization,
    command::{ClientRequestId, Command, ListTasks, Page, TaskId},
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

/// Members that Graph has added to an enumeration are hidden behind `unknownFutureValue`
/// from whoever does not send this (Graph page "Best practices for working with Microsoft
/// Graph").
const PREFER: (HeaderName, HeaderValue) = (
    HeaderName::from_static("prefer"),
    HeaderValue::from_static("include-unknown-enum-members"),
);
/// Where Graph's incident tasks are.
#[derive(Debug)]
pub struct Tasks {
    /// With a slash at its end.
    below: Url,
    list: Url,
}

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
        tasks.url(&command.what.task_id, "/executeResponseAction"),
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

/// A request that may be made again.
pub(super) fn inquiry<I: Inquiry>(
    tasks: &Tasks,
    command: &Command<I>,
    authorization: &Authorization,
    span: &RequestSpan<'_>,
) -> Result<Request, Failure> {
    let (method, url, body) = match command.what.request(tasks) {
        Some((method, url, body)) => (method, Some(url), body),
        None => (Method::GET, None, None),
    };
    let mut request = request(method, url, &command.client_request_id, authorization, span)?;
    let headers = request.headers_mut();
    let (name, value) = PREFER;
    headers.insert(name, value);
    if let Some(body) = body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(Body::from(body));
    }
    Ok(request)
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
        let (mut below, mut list) = (root.clone(), root.clone());
        below.set_path(&format!("{version}/security/incidentTasks/"));
        list.set_path(&format!("{version}/security/incidentTasks"));
        Self { below, list }
    }

    /// Where one of them is, or its `action`. Only what differs is parsed for each call.
    pub(super) fn url(&self, id: &TaskId, action: &str) -> Option<Url> {
        let id = utf8_percent_encode(id.as_str(), SEGMENT);
        self.below.join(&format!("{id}{action}")).ok()
    }

    /// Where a page of them is. Another than the first one is where Graph's link to it has
    /// led, whatever size is asked for.
    pub(super) fn list(&self, list: &ListTasks) -> Url {
        let encode = |value: &str| utf8_percent_encode(value, SEGMENT).to_string();
        let query = if let Some(page) = &list.page {
            page.query(list, encode)
        } else {
            let filter = list.filter().map(|filter| ("$filter", filter));
            let order = list.order_by().map(|order| ("$orderby", order.to_owned()));
            [("$top", list.page_size.to_string())]
                .into_iter()
                .chain(filter)
                .chain(order)
                .map(|(name, value)| format!("{name}={}", encode(&value)))
                .collect::<Vec<_>>()
                .join("&")
        };
        let mut url = self.list.clone();
        url.set_query(Some(&query));
        url
    }

    /// The page that a link leads to. Nothing if the link leads elsewhere: what Graph is
    /// shown is not shown to anybody else.
    pub(super) fn page_of_link(&self, link: &str) -> Option<Page> {
        let link = Url::parse(link).ok()?;
        let is_here = link.origin() == self.list.origin()
            && link.username().is_empty()
            && link.password().is_none()
            && link.path().eq_ignore_ascii_case(self.list.path());
        Page::of_query(link.query()?).filter(|_| is_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Order;

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

    fn tasks() -> Tasks {
        Tasks::of(&Url::parse("https://graph.microsoft.com/beta").unwrap())
    }

    #[test]
    fn a_list_is_asked_for_by_graphs_parameters_and_a_page_by_its_link() {
        let mut list = ListTasks {
            page_size: 50,
            ..ListTasks::default()
        };
        let base = "https://graph.microsoft.com/beta/security/incidentTasks";
        assert_eq!(tasks().list(&list).as_str(), format!("{base}?$top=50"));
        list.incident_id = Some("a&$top=9'#".to_owned());
        list.order = Some(Order::UpdatedDescending);
        assert_eq!(
            tasks().list(&list).as_str(),
            format!(
                "{base}?$top=50&$filter=incidentId%20eq%20%27a%26%24top%3D9%27%27%23%27&$orderby=lastUpdateDateTime%20desc"
            )
        );
        list.page = Page::of_query("$skiptoken=a%20b&$orderby=x");
        let page = tasks().list(&list);
        let order = "$orderby=lastUpdateDateTime%20desc";
        assert_eq!(page.as_str(), format!("{base}?$skiptoken=a%20b&{order}"));
    }

    #[test]
    fn a_link_is_followed_to_the_configured_list_only() {
        for (link, query) in [
            (
                "https://graph.microsoft.com/beta/security/incidentTasks?$skiptoken=a%20b",
                Some("$skiptoken=a%20b"),
            ),
            (
                "https://GRAPH.microsoft.com:443/beta/security/incidenttasks?a",
                Some("a"),
            ),
            (
                "https://graph.microsoft.com/beta/security/x/../incidentTasks?a",
                Some("a"),
            ),
            (
                "https://graph.microsoft.com/beta/security/incidentTasks",
                None,
            ),
            (
                "https://graph.microsoft.com/beta/security/incidentTasks/1?a",
                None,
            ),
            (
                "https://graph.microsoft.com/v1.0/security/incidentTasks?a",
                None,
            ),
            ("https://graph.microsoft.com/beta/users?a", None),
            (
                "http://graph.microsoft.com/beta/security/incidentTasks?a",
                None,
            ),
            (
                "https://graph.microsoft.com:8443/beta/security/incidentTasks?a",
                None,
            ),
            (
                "https://graph.microsoft.com.evil.example/beta/security/incidentTasks?a",
                None,
            ),
            (
                "https://graph.microsoft.com@evil.example/beta/security/incidentTasks?a",
                None,
            ),
            (
                "https://u:p@graph.microsoft.com/beta/security/incidentTasks?a",
                None,
            ),
            ("/beta/security/incidentTasks?a", None),
            ("", None),
        ] {
            let page = tasks().page_of_link(link);
            assert_eq!(page.as_ref().map(Page::as_str), query, "{link}");
        }
    }
}
