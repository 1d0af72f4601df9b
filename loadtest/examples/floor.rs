//! A server that answers Recommend with the same slate at once: what the generator can send at most, and what gRPC costs without
//! an engine behind it.
//!
//! `cargo run --release -p faces-loadtest --example floor -- 127.0.0.1:50099`, then point `faces-loadtest recommend` at it.
#![forbid(unsafe_code)]

use std::env;

use anyhow::Context as _;
use faces_proto::v1::{
    BatchRecommendRequest, BatchRecommendResponse, RecommendRequest, RecommendResponse, Recommendation, RerankItemsRequest,
    RerankItemsResponse, SimilarItemsRequest, SimilarItemsResponse,
    recommendation_service_server::{RecommendationService, RecommendationServiceServer},
};
use tonic::{Request, Response, Status, transport::Server};

struct Floor;

#[tonic::async_trait]
impl RecommendationService for Floor {
    async fn recommend(&self, request: Request<RecommendRequest>) -> Result<Response<RecommendResponse>, Status> {
        let page_size = request.get_ref().page_size.clamp(1, 200);
        let items = (0..page_size).map(|rank| Recommendation {
            item_id: format!("item-{rank:05}"),
            score: 1.0 / (rank as f32 + 1.0),
            ..Recommendation::default()
        });
        let answer =
            RecommendResponse { items: items.collect(), generation_id: "floor".to_owned(), ..RecommendResponse::default() };
        Ok(Response::new(answer))
    }

    async fn batch_recommend(
        &self,
        _request: Request<BatchRecommendRequest>,
    ) -> Result<Response<BatchRecommendResponse>, Status> {
        Err(Status::unimplemented("the floor answers Recommend only"))
    }

    async fn similar_items(&self, _request: Request<SimilarItemsRequest>) -> Result<Response<SimilarItemsResponse>, Status> {
        Err(Status::unimplemented("the floor answers Recommend only"))
    }

    async fn rerank_items(&self, _request: Request<RerankItemsRequest>) -> Result<Response<RerankItemsResponse>, Status> {
        Err(Status::unimplemented("the floor answers Recommend only"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50099".to_owned());
    let address = address.parse().with_context(|| format!("`{address}` is not host:port"))?;
    println!("answering Recommend on {address}");
    Server::builder().add_service(RecommendationServiceServer::new(Floor)).serve(address).await?;
    Ok(())
}
