//! What an answer costs that does nothing: plain tonic and prost send the same twenty items whatever is asked. What `faces serve` takes
//! beyond it is its own. `RESULTS.md` says how to ask it.
//!
//! ```text
//! taskset -c 0 cargo run --release -p faces-loadtest --example grpc_floor -- 127.0.0.1:50060
//! taskset -c 1 faces-loadtest recommend --target http://127.0.0.1:50060 --bu market --rate 15000 --seconds 10
//! ```

use std::{env, error::Error};

use faces_proto::v1::{
    BatchRecommendRequest, BatchRecommendResponse, Freshness, RecommendRequest, RecommendResponse, Recommendation,
    RerankItemsRequest, RerankItemsResponse, ServiceLevel, SimilarItemsRequest, SimilarItemsResponse,
    recommendation_service_server::{RecommendationService, RecommendationServiceServer},
};
use tonic::{Request, Response, Status, transport::Server};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // as the server has it

const ITEMS: usize = 20;

struct Floor(RecommendResponse);

#[tonic::async_trait]
impl RecommendationService for Floor {
    async fn recommend(&self, _: Request<RecommendRequest>) -> Result<Response<RecommendResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_recommend(&self, _: Request<BatchRecommendRequest>) -> Result<Response<BatchRecommendResponse>, Status> {
        Err(Status::unimplemented("only Recommend is answered"))
    }

    async fn similar_items(&self, _: Request<SimilarItemsRequest>) -> Result<Response<SimilarItemsResponse>, Status> {
        Err(Status::unimplemented("only Recommend is answered"))
    }

    async fn rerank_items(&self, _: Request<RerankItemsRequest>) -> Result<Response<RerankItemsResponse>, Status> {
        Err(Status::unimplemented("only Recommend is answered"))
    }
}

/// As large as an answer of the server.
fn answer() -> RecommendResponse {
    let item =
        |n: usize| Recommendation { item_id: format!("i{n:05}"), score: 1.0 / (n + 1) as f32, ..Recommendation::default() };
    RecommendResponse {
        items: (0..ITEMS).map(item).collect(),
        next_page_token: "x".repeat(230),
        answer_token: "x".repeat(14),
        generation_id: "gen-0123456789abcdef".to_owned(),
        freshness: Some(Freshness::default()),
        level: ServiceLevel::Full.into(),
        ..RecommendResponse::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:50060".to_owned()).parse()?;
    println!("answering on {address}");
    Server::builder().add_service(RecommendationServiceServer::new(Floor(answer()))).serve(address).await?;
    Ok(())
}
