//! Retrieval, a file per source.

mod category_trends;
mod history;
mod interest;
mod likeness;
mod neighbours;
mod new;
mod region_trends;
mod related;
mod sums;
mod together;
mod trending;
mod turned_down;

pub use category_trends::CategoryTrends;
pub use history::History;
pub use interest::Interest;
pub(crate) use interest::dot as cosine;
pub(crate) use likeness::{Alike, Likeness};
pub use neighbours::Neighbours;
pub use new::New;
pub use region_trends::RegionTrends;
pub use related::Related;
pub(crate) use sums::Sums;
pub use together::Together;
pub use trending::Trending;
pub(crate) use trending::set_trends;
pub use turned_down::TurnedDown;
