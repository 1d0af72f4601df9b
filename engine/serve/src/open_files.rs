//! How many files may be open, of which each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a server has open beside connections: brokers, images, generations, its own pages.
const OTHERS: u64 = 256;

/// Raises the limit as far as the system allows, as the 1,024 of a shell are far fewer than connections may come. For how many
/// connections there is room then.
#[must_use]
pub fn raise() -> usize {
    let before = getrlimit(Resource::Nofile);
    _ = setrlimit(Resource::Nofile, Rlimit { current: before.maximum, ..before }); // what it is now is looked at
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_high_as_it_may_be() {
        let limit = getrlimit(Resource::Nofile);
        let Some(most) = limit.maximum else { return };
        setrlimit(Resource::Nofile, Rlimit { current: Some(most - 1), ..limit }).unwrap();
        let room = raise();
        assert_eq!(getrlimit(Resource::Nofile).current, Some(most));
        assert_eq!(room as u64, (most - OTHERS).max(1));
    }
}
