//! Retrieval, a file per source.

mod co_visitation;
mod interest;
mod new;
mod trending;

pub use co_visitation::CoVisitation;
pub use interest::Interest;
pub(crate) use interest::dot as cosine;
pub use new::New;
pub use trending::Trending;
