//! What is asked: a mix of calls, people, filters and criticalities as storefronts would send them.

use std::time::Duration;

use faces_proto::v1::{
    BatchRecommendRequest, Filter, GetItemRequest, ItemRef, PriceRange, RecommendRequest, RerankItemsRequest, ServiceLevel,
    SimilarItemsRequest, batch_recommend_entry::Outcome as Entry, catalog_service_client::CatalogServiceClient,
    filter::Condition, recommendation_service_client::RecommendationServiceClient,
};
use rand::{Rng, RngExt as _};
use tonic::{Request, Status, transport::Channel};

use crate::{error::LoadError, people::People, slate::SlateFaults};

const PLACEMENTS: [&str; 4] = ["home.top", "item.also", "cart.below", "search.side"];
const BATCH: usize = 8;
const RERANKED: usize = 50;
/// Items asked for once, to have names for similar items and lists to rerank.
const KNOWN_ITEMS: i32 = 200;

/// How much a request matters, as the metadata says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criticality {
    /// The page is broken without it.
    Critical,
    /// A person waits for it.
    Default,
    /// Nobody waits for it.
    Sheddable,
}

impl Shares {
    /// The critical requests and the others by themselves, and what share of all each is; what there is none of is left out.
    #[must_use]
    pub fn split(self) -> Vec<(f64, Self)> {
        let others = 1.0 - self.critical;
        let of_others = if others > 0.0 { (self.sheddable / others).min(1.0) } else { 0.0 };
        let parts = [
            (self.critical, Self { critical: 1.0, sheddable: 0.0, ..self }),
            (others, Self { critical: 0.0, sheddable: of_others, ..self }),
        ];
        parts.into_iter().filter(|(share, _)| *share > 0.0).collect()
    }
}

impl Criticality {
    /// All, the most critical first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Default, Self::Sheddable];

    /// Its name in metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Default => "default",
            Self::Sheddable => "sheddable",
        }
    }
}

/// Shares of what is sent.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    /// Critical requests.
    pub critical: f64,
    /// Sheddable requests; the rest is default.
    pub sheddable: f64,
    /// Calls other than Recommend: in a hundred of these, 55 similar items, 30 lists to rerank, 15 batches of eight.
    pub other_calls: f64,
    /// Of Recommend, those with a filter.
    pub filtered: f64,
    /// Slates asked for in one call in place of Recommend's one; 1: Recommend.
    pub batch: usize,
}

/// Draws requests.
#[derive(Debug)]
pub struct Mix {
    bu: String,
    page_size: i32,
    people: People,
    items: Vec<String>,
    filters: Vec<Filter>,
}

/// A request that is drawn.
#[derive(Clone, Debug)]
pub struct Ask {
    /// How much it matters.
    pub criticality: Criticality,
    call: Call,
}

#[derive(Clone, Debug)]
enum Call {
    Recommend(RecommendRequest),
    Batch(BatchRecommendRequest),
    Similar(SimilarItemsRequest),
    Rerank(RerankItemsRequest),
}

/// What an answer was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How good it was made; of a batch, the worst.
    pub level: ServiceLevel,
    /// Slates in it.
    pub slates: u64,
    /// Whether something is wrong with it.
    pub is_bad: bool,
}

impl Mix {
    /// A mix for a unit; asks the server for names of items first.
    ///
    /// # Errors
    /// [`LoadError::NoItems`] when the server has nothing to recommend there.
    pub async fn learn(channel: Channel, bu: &str, page_size: u8, people: People) -> Result<Self, LoadError> {
        let ask = RecommendRequest { bu: bu.to_owned(), page_size: KNOWN_ITEMS, ..RecommendRequest::default() };
        let answer = RecommendationServiceClient::new(channel.clone()).recommend(ask).await;
        let answer = answer.map_err(|status| LoadError::NoItems { bu: bu.to_owned(), why: status.message().to_owned() })?;
        let items: Vec<String> = answer.into_inner().items.into_iter().map(|item| item.item_id).collect();
        if items.is_empty() {
            return Err(LoadError::NoItems { bu: bu.to_owned(), why: "the slate for a stranger is empty".to_owned() });
        }
        let mut mix = Self { bu: bu.to_owned(), page_size: i32::from(page_size), people, items, filters: Vec::new() };
        mix.filters = mix.learn_filters(channel).await;
        Ok(mix)
    }

    /// Conditions that some of the items meet.
    async fn learn_filters(&self, channel: Channel) -> Vec<Filter> {
        let mut catalogue = CatalogServiceClient::new(channel);
        let mut filters = Vec::new();
        for item_id in self.items.iter().step_by((self.items.len() / 8).max(1)) {
            let item = Some(ItemRef { bu: self.bu.clone(), item_id: item_id.clone() });
            let Ok(answer) = catalogue.get_item(GetItemRequest { r#ref: item }).await else { continue };
            let Some(item) = answer.into_inner().item else { continue };
            filters.extend(item.categories.first().map(|category| Condition::Category(category.clone())));
            filters.extend(item.price.map(|price| Condition::Price(PriceRange { min: None, max: Some(price) })));
        }
        filters.into_iter().map(|condition| Filter { condition: Some(condition) }).collect()
    }

    /// Items that can be asked for.
    #[must_use]
    pub fn items(&self) -> &[String] {
        &self.items
    }

    /// Draws a request.
    pub fn draw(&self, shares: &Shares, random: &mut impl Rng) -> Ask {
        let matters: f64 = random.random();
        let criticality = match matters {
            matters if matters < shares.critical => Criticality::Critical,
            matters if matters < shares.critical + shares.sheddable => Criticality::Sheddable,
            _ => Criticality::Default,
        };
        let call = if random.random::<f64>() >= shares.other_calls {
            match shares.batch {
                0..=1 => Call::Recommend(self.recommend(shares, random)),
                count => Call::Batch(self.batch(count, shares, random)),
            }
        } else {
            match random.random_range(0..100) {
                0..55 => Call::Similar(SimilarItemsRequest {
                    r#ref: Some(ItemRef { bu: self.bu.clone(), item_id: self.item(random) }),
                    keys: vec![self.people.draw(random)],
                    page_size: self.page_size,
                    ..SimilarItemsRequest::default()
                }),
                55..85 => Call::Rerank(RerankItemsRequest {
                    keys: vec![self.people.draw(random)],
                    bu: self.bu.clone(),
                    item_ids: self.items.iter().take(RERANKED).cloned().collect(),
                    ..RerankItemsRequest::default()
                }),
                _ => Call::Batch(self.batch(BATCH, shares, random)),
            }
        };
        Ask { criticality, call }
    }

    fn batch(&self, count: usize, shares: &Shares, random: &mut impl Rng) -> BatchRecommendRequest {
        BatchRecommendRequest { requests: (0..count).map(|_| self.recommend(shares, random)).collect() }
    }

    fn recommend(&self, shares: &Shares, random: &mut impl Rng) -> RecommendRequest {
        let is_filtered = !self.filters.is_empty() && random.random::<f64>() < shares.filtered;
        let filter = is_filtered.then(|| random.random_range(0..self.filters.len()));
        let placement = PLACEMENTS.get(random.random_range(0..PLACEMENTS.len())).copied().unwrap_or_default();
        RecommendRequest {
            keys: vec![self.people.draw(random)],
            bu: self.bu.clone(),
            placement: placement.to_owned(),
            page_size: self.page_size,
            filter: filter.and_then(|place| self.filters.get(place)).cloned(),
            ..RecommendRequest::default()
        }
    }

    fn item(&self, random: &mut impl Rng) -> String {
        self.items.get(random.random_range(0..self.items.len())).cloned().unwrap_or_default()
    }
}

impl Ask {
    /// Sends it. What comes back is checked as far as a caller can: a slate is as long as asked unless it is filtered, and holds nothing twice.
    pub async fn send(self, mut client: RecommendationServiceClient<Channel>, timeout: Duration) -> Result<Answer, Status> {
        let name = self.criticality.name();
        match self.call {
            Call::Recommend(ask) => {
                let (page_size, is_filtered) = (ask.page_size, ask.filter.is_some());
                let answer = client.recommend(request(ask, name, timeout)).await?.into_inner();
                let is_bad = is_bad(&answer.items, page_size, is_filtered);
                Ok(Answer { level: answer.level(), slates: 1, is_bad })
            }
            Call::Similar(ask) => {
                let answer = client.similar_items(request(ask, name, timeout)).await?.into_inner();
                Ok(Answer { level: answer.level(), slates: 1, is_bad: is_bad(&answer.items, 0, true) })
            }
            Call::Rerank(ask) => {
                let length = ask.item_ids.len() as i32;
                let answer = client.rerank_items(request(ask, name, timeout)).await?.into_inner();
                Ok(Answer { level: answer.level(), slates: 1, is_bad: is_bad(&answer.items, length, false) })
            }
            Call::Batch(ask) => {
                let asked = ask.requests.len();
                let answer = client.batch_recommend(request(ask, name, timeout)).await?.into_inner();
                let responses = answer.entries.iter().filter_map(|entry| match &entry.outcome {
                    Some(Entry::Response(response)) => Some(response),
                    _ => None,
                });
                let level = responses.clone().map(|response| response.level()).max_by_key(|level| *level as i32);
                let slates = responses.filter(|response| !is_bad(&response.items, 0, true)).count();
                let is_bad = slates < asked;
                Ok(Answer { level: level.unwrap_or_default(), slates: slates as u64, is_bad })
            }
        }
    }
}

/// Filters may leave nothing over, and neighbours of an item may be few; elsewhere a slate is as long as asked.
fn is_bad(items: &[faces_proto::v1::Recommendation], page_size: i32, may_be_short: bool) -> bool {
    let faults = SlateFaults::of(items, usize::try_from(page_size).unwrap_or(0));
    faults.duplicate.is_some() || (!may_be_short && faults.is_bad())
}

fn request<T>(message: T, criticality: &'static str, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    request.metadata_mut().insert("x-faces-criticality", tonic::metadata::MetadataValue::from_static(criticality));
    request.metadata_mut().insert("x-faces-caller", tonic::metadata::MetadataValue::from_static("faces-loadtest"));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn critical_requests_and_the_others_make_up_all() {
        let shares = |critical, sheddable| Shares { critical, sheddable, other_calls: 0.1, filtered: 0.1, batch: 1 };
        let parts = |critical, sheddable| {
            let parts = shares(critical, sheddable).split();
            parts.iter().map(|(share, part)| (*share, part.critical, part.sheddable)).collect::<Vec<_>>()
        };
        assert_eq!(parts(0.2, 0.4), [(0.2, 1.0, 0.0), (0.8, 0.0, 0.5)]);
        assert_eq!(parts(0.0, 0.4), [(1.0, 0.0, 0.4)]);
        assert_eq!(parts(1.0, 0.0), [(1.0, 1.0, 0.0)]);
        assert_eq!(parts(0.75, 0.5), [(0.75, 1.0, 0.0), (0.25, 0.0, 1.0)], "more than all is as much as there is room for");
    }
}
