//! What the catalogue says of an item, in pieces that other items of its unit may share.

use faces_core::catalogue::ItemAttributes;

/// Shortest word of a title that is looked at, and how many.
const WORD_BYTES_MIN: usize = 3;
const WORDS_MAX: usize = 16;

/// What a token is said as: a category is not a word of a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A level of the category.
    Category,
    /// The brand.
    Brand,
    /// A tag.
    Tag,
    /// A word of the title.
    Word,
    /// A band of prices.
    Price,
}

/// A piece of what is said of an item, in lower case.
pub(crate) type Token = (Kind, String);

/// Calls `take` with each token of an item but its price; with one that is said twice, twice.
pub(crate) fn each_token(of: &ItemAttributes, mut take: impl FnMut(Token)) {
    let mut named = |kind: Kind, text: &str| {
        if !text.is_empty() {
            take((kind, text.to_lowercase()));
        }
    };
    of.categories.iter().for_each(|level| named(Kind::Category, level));
    named(Kind::Brand, &of.brand);
    of.tags.iter().for_each(|tag| named(Kind::Tag, tag));
    let words = of.title.split(|letter: char| !letter.is_alphanumeric()).filter(|word| word.len() >= WORD_BYTES_MIN);
    words.take(WORDS_MAX).for_each(|word| named(Kind::Word, word));
}
