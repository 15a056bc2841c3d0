//! Which ids a container has: its id map, made from the home namespace's. Pure.

use super::idmap::{IdMap, IdRange};

/// A container's user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum UserNamespace {
    /// Of its own, below the home namespace, with the same ids.
    #[default]
    Nested,
    /// The home namespace itself.
    Home,
    /// Another container's.
    Joined,
    /// The user's own ids have these numbers, and all others move up.
    KeepId { uid: u32, gid: u32 },
    /// The user's own ids have none.
    NoMap,
    /// Ranges of the home namespace's ids.
    Explicit {
        users: Vec<IdRange>,
        groups: Vec<IdRange>,
    },
}

/// The maps of users and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maps {
    pub users: IdMap,
    pub groups: IdMap,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MapError {
    #[error("id {outside} is not one of the user's: they have {count} subordinate ids")]
    NotTheUsers { outside: u32, count: u32 },
    #[error("id {inside} is mapped twice")]
    Twice { inside: u32 },
    #[error("id 0 is not mapped, and a container needs a root")]
    NoRoot,
    #[error("the kernel takes at most {LINES_MAX} lines of an id map, this one has {lines}")]
    TooLong { lines: usize },
}

/// user_namespaces(7), since Linux 4.15.
const LINES_MAX: usize = 340;

impl Maps {
    /// What is the same as in the home namespace.
    pub fn identity_of(home: &Maps) -> Maps {
        Maps {
            users: IdMap::identity_of(&home.users),
            groups: IdMap::identity_of(&home.groups),
        }
    }

    pub fn is_single_id(&self) -> bool {
        self.users.len() == 1 || self.groups.len() == 1
    }

    /// The home namespace's ids of the container's root.
    pub fn root(&self) -> Option<(u32, u32)> {
        let first = |map: &IdMap| {
            map.0
                .iter()
                .find(|line| line.inside == 0)
                .map(|l| l.outside)
        };
        Some((first(&self.users)?, first(&self.groups)?))
    }
}

impl UserNamespace {
    /// The map to write, whose outside is the home namespace.
    pub fn maps(&self, home: &Maps) -> Result<Maps, MapError> {
        let both = |users: Vec<IdRange>, groups: Vec<IdRange>| {
            let maps = Maps {
                users: within(&users, &home.users)?,
                groups: within(&groups, &home.groups)?,
            };
            match maps.root() {
                Some(_) => Ok(maps),
                None => Err(MapError::NoRoot),
            }
        };
        match self {
            UserNamespace::Nested | UserNamespace::Home | UserNamespace::Joined => {
                Ok(Maps::identity_of(home))
            }
            UserNamespace::KeepId { uid, gid } => {
                both(keep(*uid, home.users.len()), keep(*gid, home.groups.len()))
            }
            UserNamespace::NoMap => both(without_own(&home.users), without_own(&home.groups)),
            UserNamespace::Explicit { users, groups } => both(users.clone(), groups.clone()),
        }
    }
}

fn range(inside: u32, outside: u32, size: u32) -> IdRange {
    IdRange {
        inside,
        outside,
        size,
    }
}

/// Home's 0, the user, becomes `own`; what was below it moves up by one.
fn keep(own: u32, count: u32) -> Vec<IdRange> {
    let below = own.min(count - 1);
    let lines = [
        range(0, 1, below),
        range(own, 0, 1),
        range(
            below.saturating_add(1),
            below.saturating_add(1),
            (count - 1) - below,
        ),
    ];
    lines.into_iter().filter(|line| line.size > 0).collect()
}

fn without_own(home: &IdMap) -> Vec<IdRange> {
    match home.len() - 1 {
        0 => Vec::new(),
        others => vec![range(0, 1, others)],
    }
}

/// The kernel wants each line inside one of the parent's: they are cut at its borders.
fn within(wanted: &[IdRange], home: &IdMap) -> Result<IdMap, MapError> {
    let mut lines: Vec<IdRange> = Vec::new();
    for whole in wanted {
        let mut done = 0;
        while done < whole.size {
            let outside = whole.outside.saturating_add(done);
            let holds =
                |line: &&IdRange| outside >= line.inside && outside - line.inside < line.size;
            let parent = home.0.iter().find(holds).ok_or(MapError::NotTheUsers {
                outside,
                count: home.len() - 1,
            })?;
            let left = parent.size - (outside - parent.inside);
            let size = left.min(whole.size - done);
            lines.push(range(whole.inside.saturating_add(done), outside, size));
            done += size;
        }
    }
    lines.sort_by_key(|line| line.inside);
    for pair in lines.windows(2) {
        if pair[1].inside - pair[0].inside < pair[0].size {
            return Err(MapError::Twice {
                inside: pair[1].inside,
            });
        }
    }
    if lines.len() > LINES_MAX {
        return Err(MapError::TooLong { lines: lines.len() });
    }
    Ok(IdMap(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> Maps {
        let map = IdMap(vec![
            range(0, 1000, 1),
            range(1, 100_000, 100),
            range(101, 900_000, 10),
        ]);
        Maps {
            users: map.clone(),
            groups: map,
        }
    }

    fn text(user: &UserNamespace) -> Result<String, MapError> {
        user.maps(&home()).map(|maps| maps.users.text())
    }

    fn explicit(lines: &[IdRange]) -> UserNamespace {
        UserNamespace::Explicit {
            users: lines.to_vec(),
            groups: lines.to_vec(),
        }
    }

    #[test]
    fn the_kept_id_is_itself_and_the_others_move_up() {
        let keep = |uid| text(&UserNamespace::KeepId { uid, gid: 0 });
        assert_eq!(
            keep(50).as_deref(),
            Ok("0 1 50\n50 0 1\n51 51 50\n101 101 10\n")
        );
        assert_eq!(keep(0), text(&UserNamespace::Nested));
        assert_eq!(keep(5000).as_deref(), Ok("0 1 100\n100 101 10\n5000 0 1\n"));
        assert_eq!(keep(110).as_deref(), Ok("0 1 100\n100 101 10\n110 0 1\n"));
    }

    #[test]
    fn a_map_without_the_user_or_of_ranges_lies_inside_the_homes_lines() {
        assert_eq!(
            text(&UserNamespace::NoMap).as_deref(),
            Ok("0 1 100\n100 101 10\n")
        );
        let maps = explicit(&[range(5, 0, 1), range(0, 98, 5)]);
        assert_eq!(text(&maps).as_deref(), Ok("0 98 3\n3 101 2\n5 0 1\n"));
        let beyond = text(&explicit(&[range(0, 105, 10)]));
        assert_eq!(
            beyond,
            Err(MapError::NotTheUsers {
                outside: 111,
                count: 110
            })
        );
        let twice = text(&explicit(&[range(0, 1, 10), range(9, 50, 1)]));
        assert_eq!(twice, Err(MapError::Twice { inside: 9 }));
        assert_eq!(text(&explicit(&[range(1, 1, 1)])), Err(MapError::NoRoot));
    }

    #[test]
    fn a_user_without_subordinate_ids_has_only_their_own() {
        let single = Maps {
            users: IdMap(vec![range(0, 1000, 1)]),
            groups: IdMap(vec![range(0, 1000, 1)]),
        };
        for user in [
            UserNamespace::NoMap,
            UserNamespace::KeepId { uid: 9, gid: 9 },
        ] {
            assert_eq!(user.maps(&single), Err(MapError::NoRoot));
        }
    }
}
