//! What an index is made of.

use crate::basis::Basis;
use crate::graph::layout::Layout;
use crate::ivf::cells::Cells;
use crate::table::Table;

/// What a file of an index holds; opaque, made by an index for [`write`](crate::write()).
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub(crate) table: &'a Table,
    pub(crate) content: Content<'a>,
    pub(crate) basis: Option<&'a Basis>,
}

/// What there is beside the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    Exact,
    Ivf(&'a Cells, &'a Table),
    Graph(&'a Layout),
}

impl<'a> Parts<'a> {
    pub(crate) fn exact(table: &'a Table, basis: Option<&'a Basis>) -> Self {
        Self { table, content: Content::Exact, basis }
    }

    pub(crate) fn ivf(table: &'a Table, cells: &'a Cells, centres: &'a Table, basis: Option<&'a Basis>) -> Self {
        Self { table, content: Content::Ivf(cells, centres), basis }
    }

    pub(crate) fn graph(table: &'a Table, layout: &'a Layout, basis: Option<&'a Basis>) -> Self {
        Self { table, content: Content::Graph(layout), basis }
    }
}
