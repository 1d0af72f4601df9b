//! `RecommendationService` as a service of its own: it is called past the router, and may send answers that were encoded beforehand.

use std::{convert::Infallible, future, sync::Arc};

use faces_proto::v1::{self, recommendation_service_server::RecommendationServiceServer};
use prost::{Message as _, bytes::BufMut as _};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::{Codec, EncodeBuf, Encoder},
    codegen::{BoxFuture, Service as _, http},
    server::{Grpc, UnaryService},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::Services;
use crate::encoded;

const RECOMMEND: &str = "/faces.v1.RecommendationService/Recommend";

/// The service.
#[derive(Clone)]
pub struct Recommendations {
    services: Arc<Services>,
    others: RecommendationServiceServer<Services>,
}

impl Recommendations {
    /// Over the services.
    pub fn new(services: Arc<Services>) -> Self {
        let others = RecommendationServiceServer::from_arc(Arc::clone(&services));
        let others = others.max_decoding_message_size(services.request_bytes_max);
        Self { services, others }
    }

    /// Answers a call.
    pub fn call(&self, request: http::Request<Body>) -> BoxFuture<http::Response<Body>, Infallible> {
        if request.uri().path() != RECOMMEND {
            return self.others.clone().call(request);
        }
        let services = Arc::clone(&self.services);
        Box::pin(async move {
            let bytes_max = Some(services.request_bytes_max);
            let mut grpc = Grpc::new(SlateCodec).apply_max_message_size_config(bytes_max, None);
            Ok(grpc.unary(Recommend(services), request).await)
        })
    }
}

struct Recommend(Arc<Services>);

impl UnaryService<v1::RecommendRequest> for Recommend {
    type Response = Reply;
    type Future = future::Ready<Result<Response<Reply>, Status>>;

    fn call(&mut self, request: Request<v1::RecommendRequest>) -> Self::Future {
        future::ready(self.0.reply(&request))
    }
}

/// A slate on its way out.
#[derive(Debug)]
pub struct Reply {
    /// The items, encoded already, best first; empty where they stand in the rest, with their reasons.
    pub items: Vec<u8>,
    /// All else.
    pub rest: v1::RecommendResponse,
}

impl Reply {
    /// As one message.
    pub fn into_message(self) -> v1::RecommendResponse {
        let Self { items, rest } = self;
        if items.is_empty() { rest } else { v1::RecommendResponse { items: encoded::items(&items), ..rest } }
    }
}

struct SlateCodec;

impl Codec for SlateCodec {
    type Encode = Reply;
    type Decode = v1::RecommendRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::RecommendRequest>;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<v1::RecommendResponse, v1::RecommendRequest>::default().decoder()
    }
}

impl Encoder for SlateCodec {
    type Item = Reply;
    type Error = Status;

    fn encode(&mut self, reply: Reply, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&reply.items);
        reply.rest.encode(buffer).map_err(|error| Status::internal(error.to_string()))
    }
}
