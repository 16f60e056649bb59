//! From a path to its service.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::{Body, Bytes};
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;
use xinhub_api::v1::lookup_service_server::LookupServiceServer;

use super::lookup::Lookup;

/// All services. Look-ups, which are nearly all calls, are handed over as they come: tonic's own routes would wrap and match each of
/// them once more.
#[derive(Clone)]
pub struct Services {
    lookup: LookupServiceServer<Lookup>,
    others: Routes,
}

impl Services {
    pub(super) fn new(lookup: LookupServiceServer<Lookup>, others: Routes) -> Self {
        Services { lookup, others }
    }
}

impl<B> Service<Request<B>> for Services
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<B>>::poll_ready(&mut self.others, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        match service {
            Some((LookupServiceServer::<Lookup>::NAME, _)) => self.lookup.call(request),
            Some(_) | None => Box::pin(self.others.call(request)),
        }
    }
}
