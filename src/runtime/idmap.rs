//! Id maps: the home namespace's, from the user's subordinate ids, and a container's own below it.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One line of a map file (user_namespaces(7)): `size` ids from `inside` on are those from `outside` on in the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

/// The lines of one map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap(pub Vec<IdRange>);

/// A range of subordinate ids that `/etc/subuid` or `/etc/subgid` gives to the user (subuid(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubidRange {
    pub first: u32,
    pub size: u32,
}

impl IdMap {
    /// Id 0 is the user, 1 and up are the subordinate ids, in the order of the file.
    pub fn home(own: u32, ranges: &[SubidRange]) -> IdMap {
        let mut lines = vec![IdRange {
            inside: 0,
            outside: own,
            size: 1,
        }];
        let mut next = 1;
        for range in ranges {
            lines.push(IdRange {
                inside: next,
                outside: range.first,
                size: range.size,
            });
            next += range.size;
        }
        IdMap(lines)
    }

    /// A map onto itself of everything `parent` maps, line by line: a range must lie inside one of the parent's.
    pub fn identity_of(parent: &IdMap) -> IdMap {
        IdMap(
            parent
                .0
                .iter()
                .map(|line| IdRange {
                    outside: line.inside,
                    ..*line
                })
                .collect(),
        )
    }

    /// How many ids it maps.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|line| line.size).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text a map file takes.
    pub fn text(&self) -> String {
        self.0
            .iter()
            .map(|line| format!("{} {} {}\n", line.inside, line.outside, line.size))
            .collect()
    }

    /// Reads the text of a map file.
    pub fn parse(text: &str) -> Option<IdMap> {
        let lines = text.lines().map(|line| {
            let mut fields = line
                .split_whitespace()
                .map(|field| field.parse::<u32>().ok());
            Some(IdRange {
                inside: fields.next()??,
                outside: fields.next()??,
                size: fields.next()??,
            })
        });
        lines.collect::<Option<Vec<_>>>().map(IdMap)
    }

    /// The arguments newuidmap(1) takes after the pid.
    pub fn helper_arguments(&self) -> Vec<String> {
        self.0
            .iter()
            .flat_map(|line| [line.inside, line.outside, line.size])
            .map(|n| n.to_string())
            .collect()
    }
}

/// The ranges a subid file gives to a user, named or by number; ranges of nothing are left out. A file that is missing
/// gives none.
pub fn subordinate_ids(file: &Path, user: Option<&str>, uid: u32) -> Vec<SubidRange> {
    let text = fs::read_to_string(file).unwrap_or_default();
    parse_subids(&text, user, uid)
}

fn parse_subids(text: &str, user: Option<&str>, uid: u32) -> Vec<SubidRange> {
    let number = uid.to_string();
    let ours = |owner: &str| owner == number || Some(owner) == user;
    let ranges = text.lines().filter_map(|line| {
        // As newuidmap reads it, to which a blank belongs to the name or spoils the number.
        let mut fields = line.splitn(3, ':');
        let owner = fields.next()?;
        let first = fields.next()?.parse().ok()?;
        let size = fields.next()?.parse().ok()?;
        (ours(owner) && size > 0).then_some(SubidRange { first, size })
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_maps_the_user_and_then_every_range() {
        let ranges = parse_subids(
            "a:1:2\nme:100000:65536\n# x\n1000:300000:10\nme:5:0\nme:bad\n me:7:1\nme:8:1 \n",
            Some("me"),
            1000,
        );
        assert_eq!(ranges.len(), 2);
        let map = IdMap::home(1000, &ranges);
        assert_eq!(map.text(), "0 1000 1\n1 100000 65536\n65537 300000 10\n");
        assert_eq!(IdMap::parse(&map.text()), Some(map.clone()));
        assert_eq!(
            IdMap::identity_of(&map).text(),
            "0 0 1\n1 1 65536\n65537 65537 10\n"
        );
        assert_eq!(map.helper_arguments()[..3], ["0", "1000", "1"]);
    }
}
