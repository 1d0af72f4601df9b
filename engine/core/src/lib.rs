//! The domain of `faces`: what a person, an event, an item and a slate are, and the laws they obey.
//!
//! **Must not know**: files, sockets, Kafka, gRPC, tokio, wire types, how an index finds neighbours. Time and the model of the
//! items come in as arguments, so that a replay of yesterday runs the very code that serves today.
//!
//! What the log made of the state can be cut out exactly at a batch boundary ([`state::Cut`]) for images and [`digest`]s.
//!
//! The way through: [`record`] says what may enter, [`state`] applies it ([`fragment`], [`identity`], [`catalogue`], [`trends`]),
//! [`profile`] folds a person's fragments into one view, and [`ranking`] turns the view into a slate.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod catalogue;
pub mod digest;
pub mod event;
pub mod fragment;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod key;
pub mod neighbours;
pub mod profile;
pub mod ranking;
pub mod record;
pub mod state;
pub mod table;
pub mod trends;

mod cards;
mod cut;
mod joined;
mod rows;
