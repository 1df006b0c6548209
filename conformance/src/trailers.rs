//! Trailers of the services' own: tonic sends none with a success.

use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use tonic::{
    body::Body,
    metadata::MetadataMap,
    server::NamedService,
    service::{LayerExt as _, Layered},
};
use tower::util::{MapResponse, MapResponseLayer};

/// Rides in a response's extensions until the service's messages are through.
#[derive(Clone)]
struct Trailers(HeaderMap);

/// A service whose answers get their trailers.
pub(crate) type WithTrailers<S> = Layered<MapResponse<S, fn(Response<Body>) -> Response<Body>>, S>;

pub(crate) fn with_trailers<S: NamedService>(service: S) -> WithTrailers<S> {
    let append: fn(Response<Body>) -> Response<Body> = append;
    MapResponseLayer::new(append).named_layer(service)
}

/// An answer with headers before and trailers behind its messages.
pub(crate) fn response<T>(
    message: T,
    headers: HeaderMap,
    trailers: HeaderMap,
) -> tonic::Response<T> {
    let mut response = tonic::Response::new(message);
    *response.metadata_mut() = MetadataMap::from_headers(headers);
    response.extensions_mut().insert(Trailers(trailers));
    response
}

fn append(mut response: Response<Body>) -> Response<Body> {
    let Some(Trailers(own)) = response.extensions_mut().remove() else {
        return response;
    };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| match frame.into_trailers() {
            Ok(mut trailers) => {
                trailers.extend(own.clone());
                Frame::trailers(trailers)
            }
            Err(frame) => frame,
        }))
    })
}
