//! Load at and beyond what a server can take: what it answers then, how well, and how it comes back.
//!
//! A scenario ([`capacity`], [`overload`], [`soak`], [`festival`]) is a row of [`phase`]s, each at one rate with the same mix of calls ([`mix`]), which open
//! loops on [`lane`]s send. [`books`] keep what became of them, second by second; [`watch`] looks at the server's admin page meanwhile. [`slo`] judges,
//! [`report`] and [`page`] show.

pub mod beside;
pub mod books;
pub mod capacity;
pub mod festival;
pub mod lane;
pub mod mix;
pub mod overload;
pub mod page;
pub mod phase;
pub mod report;
pub mod slo;
pub mod soak;
pub mod watch;
