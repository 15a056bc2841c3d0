//! Documents that list packages, as JSON or TOML: each package is handed on as it is read, and whatever else a document holds is
//! passed over without being kept. Pure.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Takes the key of an entry, which is empty in a list, and the entry.
pub(super) type Take<'a> = &'a mut dyn FnMut(&str, One);

/// None: it is no JSON, or what it lists are no packages. Otherwise whether it has any of the keys.
pub(super) fn json(text: &str, keys: &[&str], take: Take<'_>) -> Option<bool> {
    let mut input = serde_json::Deserializer::from_str(text);
    let has = Document { keys, take }.deserialize(&mut input).ok()?;
    input.end().ok()?;
    Some(has)
}

/// The same of TOML.
pub(super) fn toml(text: &str, keys: &[&str], take: Take<'_>) -> Option<bool> {
    let input = toml::Deserializer::parse(text).ok()?;
    Document { keys, take }.deserialize(input).ok()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct One {
    pub name: Word,
    pub version: Word,
    pub license: Word,
}

/// A text, the first of a list of texts, or nothing.
#[derive(Debug, Default)]
pub(super) struct Word(pub String);

struct Document<'a> {
    keys: &'a [&'a str],
    take: Take<'a>,
}

/// What a key names. In the first form of npm's lock each entry has its own dependencies in it.
struct Entries<'a> {
    take: Take<'a>,
    nested: bool,
}

struct Entry<'a> {
    take: Take<'a>,
    name: &'a str,
}

const NESTED: &str = "dependencies";

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<bool, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document that lists packages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut has = false;
        while let Some(Word(key)) = map.next_key()? {
            if !self.keys.contains(&key.as_str()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            has = true;
            map.next_value_seed(Entries {
                take: &mut *self.take,
                nested: key == NESTED,
            })?;
        }
        Ok(has)
    }
}

impl<'de> DeserializeSeed<'de> for Entries<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("packages")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(one) = list.next_element()? {
            (self.take)("", one);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Word(key)) = map.next_key()? {
            match self.nested {
                true => map.next_value_seed(Entry {
                    take: &mut *self.take,
                    name: &key,
                })?,
                false => (self.take)(&key, map.next_value()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a package")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut one = One::default();
        while let Some(Word(key)) = map.next_key()? {
            match key.as_str() {
                "version" => one.version = map.next_value()?,
                NESTED => map.next_value_seed(Entries {
                    take: &mut *self.take,
                    nested: true,
                })?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        (self.take)(self.name, one);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Word, D::Error> {
        input.deserialize_any(Words)
    }
}

struct Words;

impl<'de> Visitor<'de> for Words {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Ok(Word(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Word, E> {
        Ok(Word(text))
    }

    fn visit_unit<E: Error>(self) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Word, E> {
        Ok(Word::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Word, A::Error> {
        let first = list.next_element()?.unwrap_or_default();
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(first)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Word::default())
    }
}
