//! `builder prune`: which of what builds keep is to go, typed.

use std::time::Duration;

use super::filter::{FilterError, split};
use super::time::parse_go_duration;

/// A filter that does not count is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheFilters {
    /// Not used for so long.
    pub unused_for: Option<Duration>,
    pub id: Option<String>,
    pub kind: Option<String>,
    pub description: Option<String>,
    pub in_use: Option<bool>,
    pub shared: Option<bool>,
}

/// Bytes; 0 says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheLimits {
    /// No more than that is left.
    pub max_used: u64,
    /// No less than that is left.
    pub reserved: u64,
    /// So much of the file system is to be free.
    pub min_free: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CachePrune {
    /// Also what images have.
    pub all: bool,
    pub filters: CacheFilters,
    pub limits: CacheLimits,
}

impl CacheFilters {
    /// Adds one `key=value`.
    pub fn add(&mut self, text: &str) -> Result<(), FilterError> {
        let (key, value) = split(text)?;
        let wrong = |expected| FilterError::Value {
            key: key.clone(),
            value: value.to_owned(),
            expected,
        };
        match key.as_str() {
            "until" | "unused-for" => {
                let nanoseconds =
                    parse_go_duration(value).and_then(|long| u64::try_from(long).ok());
                let long = nanoseconds.ok_or_else(|| wrong("a duration, for example 24h"))?;
                self.unused_for = Some(Duration::from_nanos(long));
            }
            "id" => self.id = Some(value.to_owned()),
            "type" => self.kind = Some(value.to_owned()),
            "description" => self.description = Some(value.to_owned()),
            "inuse" | "shared" | "private" => {
                let is = value.parse::<bool>().map_err(|_| wrong("true or false"))?;
                match key.as_str() {
                    "inuse" => self.in_use = Some(is),
                    "shared" => self.shared = Some(is),
                    _ => self.shared = Some(!is),
                }
            }
            _ => return Err(FilterError::Key { key }),
        }
        Ok(())
    }
}

impl CacheLimits {
    /// How many bytes may be left of `total`, where so many are free; None: nothing need be.
    pub fn keep(&self, total: u64, free: u64) -> Option<u64> {
        if *self == CacheLimits::default() {
            return None;
        }
        let missing = self.min_free.saturating_sub(free);
        let most = match (self.max_used, missing) {
            (0, 0) => 0,
            (0, missing) => total.saturating_sub(missing),
            (most, missing) => most.min(total.saturating_sub(missing)),
        };
        // Only a file system with too little room asks for anything.
        let most = match self.max_used == 0 && self.min_free > 0 && missing == 0 {
            true => total,
            false => most,
        };
        Some(most.max(self.reserved))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_say_how_much_may_be_left() {
        let keep = |max_used, reserved, min_free| {
            let limits = CacheLimits {
                max_used,
                reserved,
                min_free,
            };
            limits.keep(100, 30)
        };
        assert_eq!(keep(0, 0, 0), None);
        assert_eq!(keep(60, 0, 0), Some(60));
        assert_eq!(keep(0, 60, 0), Some(60));
        assert_eq!(keep(40, 60, 0), Some(60));
        assert_eq!(keep(0, 0, 50), Some(80), "20 more have to be free");
        assert_eq!(keep(70, 0, 50), Some(70));
        assert_eq!(keep(0, 90, 50), Some(90));
        assert_eq!(keep(0, 0, 20), Some(100), "enough is free");
    }

    #[test]
    fn filters_are_words_and_durations() {
        let mut filters = CacheFilters::default();
        for text in ["until=24h", "type=exec.cachemount", "private=true"] {
            filters.add(text).expect("it is known");
        }
        assert_eq!(filters.unused_for, Some(Duration::from_secs(24 * 3600)));
        assert_eq!(filters.shared, Some(false));
        for text in ["until=soon", "inuse=maybe", "mutable=true", "x"] {
            assert!(filters.add(text).is_err(), "{text}");
        }
    }
}
