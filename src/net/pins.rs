//! Until when addresses are open to a container that names have led to: an answer that holds for long is not cut short by another
//! one that does not. Only remembers; who opens them is `member`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::guard::Known;
use crate::sys::timer::Moment;

/// So many are kept before those that are over are looked for.
const MANY: usize = 1024;

/// So many names' addresses are remembered when their time is over: open connections go on to them when the list changes.
const LEARNED: usize = 512;

/// A network, a set of the place in it, and an element of that.
type Key = (String, String, Vec<u8>);

#[derive(Default)]
pub struct Pins {
    learned: HashMap<(Vec<String>, IpAddr), Moment>,
    open: HashMap<Key, (Moment, Duration)>,
}

impl Pins {
    /// An answer says that a name stands for an address, by which others, and for how long.
    pub fn learn(&mut self, names: &[String], ip: IpAddr, time: Duration) {
        let key = (names.to_vec(), ip);
        let until = Moment::now().after(time);
        if self.learned.len() >= LEARNED && !self.learned.contains_key(&key) {
            let oldest = self.learned.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.learned.remove(&oldest);
            }
        }
        let known = self.learned.entry(key).or_insert(until);
        *known = (*known).max(until);
    }

    pub fn known(&self) -> Vec<Known> {
        let known = self.learned.iter().map(|((names, ip), until)| Known {
            names: names.clone(),
            ip: *ip,
            left: until.left(),
        });
        known.collect()
    }

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

    /// The sets of a network's place were made anew, with these in them.
    pub fn renew(
        &mut self,
        network: &str,
        open: impl Iterator<Item = (String, Vec<u8>, Duration)>,
    ) {
        self.open.retain(|(of, _, _), _| of != network);
        for (set, key, left) in open {
            self.note((network.to_owned(), set, key), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_for_longer_is_left_alone() {
        let key = |network: &str| {
            (
                network.to_owned(),
                "own_all4".to_owned(),
                vec![192, 0, 2, 1],
            )
        };
        let mut pins = Pins::default();
        let (short, long) = (Duration::from_secs(60), Duration::from_secs(3600));
        assert!(pins.would_last(&key("one"), short));
        pins.note(key("one"), long);
        assert!(pins.knows(&key("one")) && !pins.knows(&key("two")));
        assert!(!pins.would_last(&key("one"), short));
        assert!(pins.would_last(&key("one"), long + short));
        assert!(pins.would_last(&key("two"), short));
        let (_, set, element) = key("one");
        pins.renew("two", [(set, element, long)].into_iter());
        assert!(!pins.would_last(&key("two"), short));
        pins.renew("one", std::iter::empty());
        assert!(pins.would_last(&key("one"), short) && !pins.would_last(&key("two"), short));
    }

    #[test]
    fn an_address_is_remembered_for_its_longest_time_and_the_oldest_go() {
        let ip = |last| IpAddr::from([192, 0, 2, last]);
        let mut pins = Pins::default();
        let name = |name: &str| vec![name.to_owned()];
        pins.learn(&name("a.test"), ip(1), Duration::from_secs(3600));
        pins.learn(&name("a.test"), ip(1), Duration::ZERO);
        pins.learn(&name("b.test"), ip(2), Duration::ZERO);
        let mut known = pins.known();
        known.sort_by(|a, b| a.names.cmp(&b.names));
        let long = known[0].left > Duration::from_secs(3500);
        assert!(long && known[1].left.is_zero(), "{known:?}");
        for number in 0..2 * LEARNED {
            let numbered = name(&format!("{number}.test"));
            pins.learn(&numbered, ip(3), Duration::from_secs(60));
        }
        let known = pins.known();
        let has = |name| known.iter().any(|known| known.names == [name]);
        assert!(known.len() == LEARNED && has("a.test") && !has("b.test"));
    }
}
