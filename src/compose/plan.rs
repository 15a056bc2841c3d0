//! What has to be done so that a project's containers are as its files say: made from values alone, in the order in which it is
//! done. Asks nobody and does nothing.

use std::collections::{BTreeMap, BTreeSet};

/// A service as it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub service: String,
    /// So many containers.
    pub count: u32,
    /// Of all that a container of it is made from.
    pub hash: String,
    /// The id of its image; None where that is not there, so that nobody knows whether it is another.
    pub image: Option<String>,
    /// The file's own name for its only container.
    pub container_name: Option<String>,
    pub recreate: Recreate,
    /// Services of whose first container it has a namespace: it goes the way of those.
    pub shares: Vec<String>,
    /// Services with which it is started again.
    pub restarts_with: Vec<String>,
}

/// When a container that is there is replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recreate {
    /// If it was made from something else.
    #[default]
    Diverged,
    Always,
    Never,
}

/// A container that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    pub id: String,
    pub name: String,
    pub service: String,
    pub number: u32,
    pub hash: String,
    /// The id of its image.
    pub image: String,
    pub state: State,
    /// It was made to take the place of the container that has this name.
    pub replaces: Option<String>,
    /// Somebody is at work on it.
    pub is_held: bool,
    /// One of `run`'s.
    pub is_oneoff: bool,
    /// Made since the command began, by it or by another one that wants the same.
    pub is_new: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Exited,
}

impl State {
    /// There are processes of it, or will be without a word from anybody.
    pub fn is_alive(self) -> bool {
        matches!(self, State::Running | State::Paused | State::Restarting)
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Waits until whoever makes it is done; the plan is then to be made anew.
    Wait { id: String },
    /// Takes it away, whatever it does; its anonymous volumes stay where `keeps_volumes`.
    Remove {
        id: String,
        name: String,
        keeps_volumes: bool,
    },
    /// What was interrupted before its last word.
    Rename {
        id: String,
        from: String,
        to: String,
    },
    /// Ends it, since what it depends on is made anew: it is started again afterwards.
    Stop { id: String, name: String },
    Create {
        service: String,
        number: u32,
        name: String,
    },
    /// A new one takes the place of the old, and what the old has of volumes.
    Replace {
        service: String,
        number: u32,
        name: String,
        old: String,
        /// What the old one is called, which may not be what it should.
        old_name: String,
    },
    /// It is as it should be.
    Keep { name: String, is_running: bool },
}

/// What is to be done with the containers, and who they then are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// The names of each service's containers, by their numbers.
    pub members: BTreeMap<String, Vec<String>>,
    /// Containers of services that the project does not have.
    pub orphans: Vec<Existing>,
}

/// How a project's containers are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    pub project: &'a str,
    /// `-`, or `_` where it is to be as it once was.
    pub separator: char,
}

impl Names<'_> {
    pub fn of(&self, wanted: &Wanted, number: u32) -> String {
        match &wanted.container_name {
            Some(name) => name.clone(),
            None => self.numbered(&wanted.service, number),
        }
    }

    pub fn numbered(&self, service: &str, number: u32) -> String {
        let Names { project, separator } = self;
        format!("{project}{separator}{service}{separator}{number}")
    }
}

/// What a replacement is called until the other one is gone: nobody else makes one for the same container.
pub fn temporary_name(old: &str, name: &str) -> String {
    format!("{}_{name}", old.get(..12).unwrap_or(old))
}

/// What is to be done with a project's containers.
///
/// `wanted` are the services that are meant, each after those that it needs; `known` the names of all services of the project, active
/// or not, for what is no orphan.
pub fn plan(
    names: &Names<'_>,
    wanted: &[Wanted],
    existing: &[Existing],
    known: &BTreeSet<String>,
) -> Plan {
    let mut planning = Planning {
        names,
        plan: Plan::default(),
        renewed: BTreeSet::new(),
    };
    for service in wanted {
        let of_service = existing
            .iter()
            .filter(|one| one.service == service.service && !one.is_oneoff);
        planning.service(service, of_service.collect());
    }
    let is_orphan = |one: &&Existing| match one.is_oneoff {
        true => !one.state.is_alive() && !one.is_held,
        false => !known.contains(&one.service),
    };
    planning.plan.orphans = existing.iter().filter(is_orphan).cloned().collect();
    planning.plan
}

struct Planning<'a> {
    names: &'a Names<'a>,
    plan: Plan,
    /// Services of which a container is new.
    renewed: BTreeSet<String>,
}

impl Planning<'_> {
    fn service(&mut self, wanted: &Wanted, existing: Vec<&Existing>) {
        let Some(mut existing) = self.settle(wanted, existing) else {
            return;
        };
        let must_go = self.renewed.iter().any(|name| wanted.shares.contains(name));
        let is_obsolete = |one: &Existing| match wanted.recreate {
            Recreate::Never => false,
            Recreate::Always if !one.is_new => true,
            Recreate::Always | Recreate::Diverged => must_go || is_diverged(wanted, one),
        };
        // Those that are to stay come first: as they should be, and with low numbers.
        existing.sort_by_key(|one| (is_obsolete(one), one.number));
        let surplus = existing.split_off((wanted.count as usize).min(existing.len()));
        for one in surplus {
            self.remove(&one, false);
        }
        existing.sort_by_key(|one| one.number);
        let mut members = Vec::new();
        let restarts = wanted
            .restarts_with
            .iter()
            .any(|name| self.renewed.contains(name));
        for one in &existing {
            let name = self.names.of(wanted, one.number);
            if is_obsolete(one) {
                self.replace(wanted, one, &name);
                members.push(name);
                continue;
            }
            if restarts && one.state.is_alive() {
                self.push(Step::Stop {
                    id: one.id.clone(),
                    name: one.name.clone(),
                });
            }
            self.push(Step::Keep {
                name: one.name.clone(),
                is_running: one.state == State::Running && !restarts,
            });
            members.push(one.name.clone());
        }
        // The lowest that are free: whoever wants the same at the same time wants the same names.
        let missing = (wanted.count as usize).saturating_sub(existing.len());
        let is_free = |number: &u32| existing.iter().all(|one| one.number != *number);
        for number in (1..).filter(is_free).take(missing) {
            let name = self.names.of(wanted, number);
            self.renewed.insert(wanted.service.clone());
            self.push(Step::Create {
                service: wanted.service.clone(),
                number,
                name: name.clone(),
            });
            members.push(name);
        }
        self.plan.members.insert(wanted.service.clone(), members);
    }

    /// Replacements that were interrupted, or are under way; what is left are containers that count. `None`: somebody is at it.
    fn settle(&mut self, wanted: &Wanted, existing: Vec<&Existing>) -> Option<Vec<Existing>> {
        let is_temporary =
            |one: &Existing| one.replaces.as_ref().is_some_and(|name| *name != one.name);
        if let Some(held) = existing.iter().find(|one| one.is_held) {
            let id = held.id.clone();
            self.push(Step::Wait { id });
            return None;
        }
        // It was never given the name that it was made for.
        let is_nameless = |one: &&Existing| one.id.get(..12) == Some(&one.name);
        let (nameless, existing): (Vec<_>, Vec<_>) = existing.into_iter().partition(is_nameless);
        for one in nameless {
            self.remove(one, true);
        }
        let existing = existing.into_iter().cloned();
        let (temporary, mut settled): (Vec<_>, Vec<_>) = existing.partition(is_temporary);
        for one in temporary {
            let name = one.replaces.clone().unwrap_or_default();
            let has_old = settled.iter().any(|old| old.name == name);
            let is_wanted = name == self.names.of(wanted, one.number);
            match has_old || !is_wanted {
                // The volumes are those of the one that it was to replace.
                true => self.remove(&one, true),
                false => {
                    self.push(Step::Rename {
                        id: one.id.clone(),
                        from: one.name.clone(),
                        to: name.clone(),
                    });
                    settled.push(Existing { name, ..one });
                }
            }
        }
        Some(settled)
    }

    fn replace(&mut self, wanted: &Wanted, one: &Existing, name: &str) {
        self.renewed.insert(wanted.service.clone());
        self.push(Step::Replace {
            service: wanted.service.clone(),
            number: one.number,
            name: name.to_owned(),
            old: one.id.clone(),
            old_name: one.name.clone(),
        });
    }

    fn remove(&mut self, one: &Existing, keeps_volumes: bool) {
        self.push(Step::Remove {
            id: one.id.clone(),
            name: one.name.clone(),
            keeps_volumes,
        });
    }

    fn push(&mut self, step: Step) {
        self.plan.steps.push(step);
    }
}

fn is_diverged(wanted: &Wanted, one: &Existing) -> bool {
    let other_image = wanted.image.as_ref().is_some_and(|id| *id != one.image);
    other_image || wanted.hash != one.hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'static> = Names {
        project: "p",
        separator: '-',
    };

    fn wanted(service: &str, count: u32) -> Wanted {
        Wanted {
            service: service.to_owned(),
            count,
            hash: "1".to_owned(),
            image: Some("i".to_owned()),
            ..Wanted::default()
        }
    }

    fn there(service: &str, number: u32) -> Existing {
        let name = NAMES.numbered(service, number);
        Existing {
            id: format!("{name:0<64}"),
            name,
            service: service.to_owned(),
            number,
            hash: "1".to_owned(),
            image: "i".to_owned(),
            state: State::Running,
            ..Existing::default()
        }
    }

    fn planned(wanted: &[Wanted], existing: &[Existing]) -> Plan {
        let known = wanted.iter().map(|one| one.service.clone()).collect();
        plan(&NAMES, wanted, existing, &known)
    }

    /// What is done, in short.
    fn steps(plan: &Plan) -> Vec<String> {
        let steps = plan.steps.iter().map(|step| match step {
            Step::Wait { .. } => "wait".to_owned(),
            Step::Remove {
                name,
                keeps_volumes,
                ..
            } => match keeps_volumes {
                true => format!("remove {name}, not its volumes"),
                false => format!("remove {name}"),
            },
            Step::Rename { from, to, .. } => format!("rename {from} {to}"),
            Step::Stop { name, .. } => format!("stop {name}"),
            Step::Create { name, number, .. } => format!("create {name} {number}"),
            Step::Replace { name, old_name, .. } => format!("replace {old_name} {name}"),
            Step::Keep { name, is_running } => match is_running {
                true => format!("running {name}"),
                false => format!("keep {name}"),
            },
        });
        steps.collect()
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_there_is_kept() {
        let all = [wanted("db", 1), wanted("web", 2)];
        let first = planned(&all, &[]);
        assert_eq!(
            steps(&first),
            ["create p-db-1 1", "create p-web-1 1", "create p-web-2 2"]
        );
        assert_eq!(first.members["web"], ["p-web-1", "p-web-2"]);
        let second = planned(&all, &[there("web", 2), there("db", 1), there("web", 1)]);
        assert_eq!(
            steps(&second),
            ["running p-db-1", "running p-web-1", "running p-web-2"]
        );
        assert_eq!(second.members, first.members);
        let stopped = Existing {
            state: State::Exited,
            ..there("db", 1)
        };
        assert_eq!(steps(&planned(&all[..1], &[stopped])), ["keep p-db-1"]);
    }

    #[test]
    fn another_hash_or_image_is_another_container() {
        let all = [wanted("web", 1)];
        let hash = Existing {
            hash: "2".to_owned(),
            ..there("web", 1)
        };
        let image = Existing {
            image: "j".to_owned(),
            ..there("web", 1)
        };
        for other in [hash.clone(), image.clone()] {
            assert_eq!(steps(&planned(&all, &[other])), ["replace p-web-1 p-web-1"]);
        }
        let never = [Wanted {
            recreate: Recreate::Never,
            ..wanted("web", 1)
        }];
        assert_eq!(steps(&planned(&never, &[hash])), ["running p-web-1"]);
        let unknown = [Wanted {
            image: None,
            ..wanted("web", 1)
        }];
        assert_eq!(steps(&planned(&unknown, &[image])), ["running p-web-1"]);
        let always = [Wanted {
            recreate: Recreate::Always,
            ..wanted("web", 1)
        }];
        let new = Existing {
            is_new: true,
            ..there("web", 1)
        };
        assert_eq!(steps(&planned(&always, &[new])), ["running p-web-1"]);
        let same = [there("web", 1)];
        assert_eq!(steps(&planned(&always, &same)), ["replace p-web-1 p-web-1"]);
    }

    #[test]
    fn fewer_containers_are_the_good_ones_with_low_numbers() {
        let obsolete = Existing {
            hash: "2".to_owned(),
            ..there("web", 1)
        };
        let all = [obsolete, there("web", 2), there("web", 3)];
        let two = planned(&[wanted("web", 2)], &all);
        assert_eq!(
            steps(&two),
            ["remove p-web-1", "running p-web-2", "running p-web-3"]
        );
        let more = planned(&[wanted("web", 4)], &all[1..]);
        assert_eq!(steps(&more)[2..], ["create p-web-1 1", "create p-web-4 4"]);
        assert_eq!(steps(&planned(&[wanted("web", 0)], &all[1..])).len(), 2);
    }

    #[test]
    fn what_is_made_anew_takes_along_what_depends_on_it() {
        let sharing = Wanted {
            shares: vec!["vpn".to_owned()],
            ..wanted("web", 1)
        };
        let restarting = Wanted {
            restarts_with: vec!["vpn".to_owned()],
            ..wanted("app", 1)
        };
        let old = Existing {
            hash: "2".to_owned(),
            ..there("vpn", 1)
        };
        let all = [wanted("vpn", 1), sharing, restarting];
        let found = planned(&all, &[old, there("web", 1), there("app", 1)]);
        assert_eq!(
            steps(&found),
            [
                "replace p-vpn-1 p-vpn-1",
                "replace p-web-1 p-web-1",
                "stop p-app-1",
                "keep p-app-1"
            ]
        );
        let same = planned(&all, &[there("vpn", 1), there("web", 1), there("app", 1)]);
        assert_eq!(
            steps(&same),
            ["running p-vpn-1", "running p-web-1", "running p-app-1"]
        );
    }

    #[test]
    fn an_interrupted_replacement_is_finished_or_taken_back() {
        let new = |is_held| Existing {
            id: "n".repeat(64),
            name: temporary_name(&there("web", 1).id, "p-web-1"),
            replaces: Some("p-web-1".to_owned()),
            state: State::Created,
            is_held,
            ..there("web", 1)
        };
        let temporary = new(false).name;
        let all = [wanted("web", 1)];
        let both = planned(&all, &[there("web", 1), new(false)]);
        let taken_back = format!("remove {temporary}, not its volumes");
        assert_eq!(steps(&both), [&taken_back, "running p-web-1"]);
        let alone = planned(&all, &[new(false)]);
        assert_eq!(
            steps(&alone),
            [&format!("rename {temporary} p-web-1"), "keep p-web-1"]
        );
        assert_eq!(alone.members["web"], ["p-web-1"]);
        assert_eq!(
            steps(&planned(&all, &[there("web", 1), new(true)])),
            ["wait"]
        );
        // One that another command is making, and one that it made no more of.
        let nameless = |is_held| Existing {
            name: "n".repeat(12),
            replaces: None,
            ..new(is_held)
        };
        assert_eq!(steps(&planned(&all, &[nameless(true)])), ["wait"]);
        let taken_away = "remove nnnnnnnnnnnn, not its volumes";
        let found = planned(&all, &[nameless(false)]);
        assert_eq!(steps(&found), [taken_away, "create p-web-1 1"]);
        // Once it has its name it is one like any other.
        let settled = Existing {
            name: "p-web-1".to_owned(),
            ..new(false)
        };
        assert_eq!(steps(&planned(&all, &[settled])), ["keep p-web-1"]);
    }

    #[test]
    fn orphans_are_of_no_service_or_were_one_of_run() {
        let run = |state| Existing {
            is_oneoff: true,
            state,
            ..there("web", 7)
        };
        let all = [there("old", 1), run(State::Exited), run(State::Running)];
        let found = planned(&[wanted("web", 0)], &all);
        assert_eq!(found.steps, []);
        let orphans: Vec<(&str, State)> = found
            .orphans
            .iter()
            .map(|one| (one.service.as_str(), one.state))
            .collect();
        assert_eq!(orphans, [("old", State::Running), ("web", State::Exited)]);
    }

    #[test]
    fn a_file_s_own_name_is_the_container_s() {
        let named = [Wanted {
            container_name: Some("shop".to_owned()),
            ..wanted("web", 1)
        }];
        let changed = Existing {
            hash: "2".to_owned(),
            ..there("web", 1)
        };
        assert_eq!(
            steps(&planned(&named, &[changed])),
            ["replace p-web-1 shop"]
        );
    }
}
