//! Which other answers are measured beside the served ones.

use clap::Args;
use faces_core::ranking::SourceSet;

use crate::eval::{Variant, sources};

/// Other answers from the same replay.
#[derive(Args, Debug)]
#[command(next_help_heading = "What each source is worth")]
pub struct VariantArgs {
    /// Also answer by this source alone, which orders by what it holds; by several, joined by +, as the ranker orders. Repeatable.
    #[arg(long, value_name = "SOURCE", value_parser = sources)]
    only: Vec<SourceSet>,
    /// Also answer as served, but without this source, or without several joined by +: not retrieved, and 0 for the ranker, whose
    /// weights are not fitted anew. Repeatable.
    #[arg(long, value_name = "SOURCE", value_parser = sources)]
    without: Vec<SourceSet>,
    /// Every source alone, and the served answer without each.
    #[arg(long)]
    ablations: bool,
    /// Also answer at each level that the server goes down to under load, but for what is cached.
    #[arg(long)]
    levels: bool,
    /// Also answer by live neighbours alone and by the textbook's (VMIS-kNN over whole sessions, each account one session).
    #[arg(long)]
    textbook: bool,
}

impl VariantArgs {
    /// All that were asked for, each once.
    pub fn variants(&self) -> Vec<Variant> {
        let mut asked: Vec<Variant> = self.only.iter().copied().map(Variant::Only).collect();
        asked.extend(self.without.iter().copied().map(Variant::Without));
        if self.ablations {
            asked.extend(Variant::ablations());
        }
        if self.levels {
            asked.extend(Variant::levels());
        }
        if self.textbook {
            asked.extend(Variant::textbook());
        }
        let mut variants = Vec::new();
        for variant in asked {
            if !variants.contains(&variant) {
                variants.push(variant);
            }
        }
        variants
    }
}
