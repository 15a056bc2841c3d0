//! Until when addresses are open to a container that names have led to: an answer that holds for long is not cut short by another
//! one that does not. Only remembers; who opens them is `member`.

use std::collections::HashMap;
use std::time::Duration;

use crate::sys::timer::Moment;

/// So many are kept before those that are over are looked for.
const MANY: usize = 1024;

/// A table, a set in it, and an element of that.
type Key = (String, String, Vec<u8>);

#[derive(Default)]
pub struct Pins {
    open: HashMap<Key, (Moment, Duration)>,
}

impl Pins {
    /// Whether it is not open for so long already.
    pub fn would_last(&self, key: &Key, time: Duration) -> bool {
        let known = self.open.get(key);
        known.is_none_or(|(since, lasts)| lasts.saturating_sub(since.elapsed()) < time)
    }

    /// Whether it was opened before, and may be open still.
    pub fn knows(&self, key: &Key) -> bool {
        self.open.contains_key(key)
    }

    pub fn note(&mut self, key: Key, time: Duration) {
        if self.open.len() >= MANY {
            self.open
                .retain(|_, (since, lasts)| since.elapsed() < *lasts);
        }
        self.open.insert(key, (Moment::now(), time));
    }

    /// The table was made anew.
    pub fn forget(&mut self, table: &str) {
        self.open.retain(|(of, _, _), _| of != table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_for_longer_is_left_alone() {
        let key = |table: &str| (table.to_owned(), "own_all4".to_owned(), vec![192, 0, 2, 1]);
        let mut pins = Pins::default();
        let (short, long) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert!(pins.would_last(&key("one"), short));
        pins.note(key("one"), long);
        assert!(pins.knows(&key("one")) && !pins.knows(&key("two")));
        assert!(!pins.would_last(&key("one"), short));
        assert!(pins.would_last(&key("one"), long + short));
        assert!(pins.would_last(&key("two"), short));
        pins.forget("one");
        assert!(pins.would_last(&key("one"), short));
    }
}
