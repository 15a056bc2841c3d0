//! Which services need which others, and what comes before what. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Condition, Named, Service};

/// What a service needs of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub service: String,
    pub condition: Condition,
    /// It is started again when the other one is.
    pub restart: bool,
    /// Without it the service can't be.
    pub required: bool,
}

impl Need {
    fn implied(service: &str, restart: bool) -> Need {
        Need {
            service: service.to_owned(),
            condition: Condition::Started,
            restart,
            required: true,
        }
    }
}

/// All that a service needs, each once, in the order of the names: what it says, and what follows from what it shares.
pub fn needs(service: &Service) -> Vec<Need> {
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for (name, dependency) in &service.depends_on {
        let need = Need {
            service: name.clone(),
            condition: dependency.condition,
            restart: dependency.restart,
            required: dependency.required,
        };
        needs.insert(name, need);
    }
    for other in shared(service) {
        let implied = Need::implied(other, true);
        needs.entry(other).or_insert(implied);
    }
    for link in &service.links {
        let other = link.split(':').next().unwrap_or_default();
        let implied = Need::implied(other, true);
        needs.entry(other).or_insert(implied);
    }
    for from in &service.volumes_from {
        if let Some(other) = volumes_of(from) {
            let implied = Need::implied(other, false);
            needs.entry(other).or_insert(implied);
        }
    }
    needs.into_values().collect()
}

/// Services of which it has a namespace: it can't go on without their first container.
pub fn shared(service: &Service) -> impl Iterator<Item = &str> {
    let modes = [&service.network_mode, &service.ipc, &service.pid];
    let others = modes.map(|mode| mode.strip_prefix("service:"));
    others.into_iter().flatten()
}

/// The service whose volumes `volumes_from` names; `None`: a container's.
pub fn volumes_of(from: &str) -> Option<&str> {
    match from.split(':').next() {
        Some("container") => None,
        service => service,
    }
}

/// Services in steps: each step needs those before it and nothing else. A circle is an error of the file, which was refused before.
pub fn steps(
    services: &Named<Service>,
    chosen: &BTreeSet<String>,
) -> Result<Vec<Vec<String>>, Vec<String>> {
    let mut left: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for name in chosen {
        let Some(service) = services.get(name) else {
            continue;
        };
        let needed = needs(service).into_iter().map(|need| need.service);
        left.insert(name, needed.filter(|name| chosen.contains(name)).collect());
    }
    in_steps(left)
}

/// The same of what is known of each: whom it needs.
pub fn in_steps(
    mut left: BTreeMap<&str, BTreeSet<String>>,
) -> Result<Vec<Vec<String>>, Vec<String>> {
    let mut steps = Vec::new();
    while !left.is_empty() {
        let is_free = |needs: &BTreeSet<String>| !needs.iter().any(|n| left.contains_key(&**n));
        let free: Vec<String> = left
            .iter()
            .filter(|(_, needs)| is_free(needs))
            .map(|(name, _)| (*name).to_owned())
            .collect();
        if free.is_empty() {
            return Err(left.into_keys().map(str::to_owned).collect());
        }
        left.retain(|name, _| !free.iter().any(|free| free == name));
        steps.push(free);
    }
    Ok(steps)
}

/// The services that are named, or all, and those that they need; `Err`: there is none of this name.
pub fn choose(
    services: &Named<Service>,
    named: &[String],
    with_needed: bool,
) -> Result<BTreeSet<String>, String> {
    if named.is_empty() {
        return Ok(services.keys().cloned().collect());
    }
    let mut chosen = BTreeSet::new();
    let mut waiting: Vec<String> = named.to_vec();
    if let Some(unknown) = named.iter().find(|name| !services.contains_key(*name)) {
        return Err(unknown.clone());
    }
    while let Some(name) = waiting.pop() {
        // What is not required may be left out of the project.
        let Some(service) = services.get(&name) else {
            continue;
        };
        if chosen.insert(name) && with_needed {
            waiting.extend(needs(service).into_iter().map(|need| need.service));
        }
    }
    Ok(chosen)
}

/// Those that need one of these, themselves or through others.
pub fn dependents(services: &Named<Service>, of: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = of.clone();
    loop {
        let more: Vec<String> = services
            .iter()
            .filter(|(name, _)| !found.contains(*name))
            .filter(|(_, service)| {
                let mut needs = needs(service).into_iter();
                needs.any(|need| found.contains(&need.service))
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::model::Dependency;

    fn services(all: &[(&str, &[&str])]) -> Named<Service> {
        let service = |needs: &[&str]| {
            let needs = needs.iter();
            let needs = needs.map(|name| ((*name).to_owned(), Dependency::default()));
            Service {
                depends_on: needs.collect(),
                ..Service::default()
            }
        };
        let all = all.iter();
        all.map(|(name, needs)| ((*name).to_owned(), service(needs)))
            .collect()
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_step_needs_only_those_before_it() {
        let all = services(&[
            ("web", &["app", "cache"]),
            ("app", &["db"]),
            ("db", &[]),
            ("cache", &[]),
        ]);
        let every = choose(&all, &[], true).unwrap_or_default();
        let expected = [vec!["cache", "db"], vec!["app"], vec!["web"]];
        assert_eq!(
            steps(&all, &every),
            Ok(expected
                .map(|s| s.into_iter().map(str::to_owned).collect())
                .to_vec())
        );
        let app = choose(&all, &["app".to_owned()], true);
        assert_eq!(app, Ok(set(&["app", "db"])));
        assert_eq!(choose(&all, &["app".to_owned()], false), Ok(set(&["app"])));
        assert_eq!(choose(&all, &["no".to_owned()], true), Err("no".to_owned()));
        assert_eq!(dependents(&all, &set(&["db"])), set(&["app", "db", "web"]));
    }

    #[test]
    fn a_circle_has_no_steps() {
        let all = services(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]);
        let names = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(steps(&all, &set(&["a", "b", "c"])), Err(names));
    }

    #[test]
    fn what_is_shared_is_needed() {
        let service = Service {
            network_mode: "service:vpn".to_owned(),
            links: vec!["db:database".to_owned()],
            volumes_from: vec!["data:ro".to_owned(), "container:x".to_owned()],
            ..Service::default()
        };
        let found: Vec<(String, bool)> = needs(&service)
            .into_iter()
            .map(|need| (need.service, need.restart))
            .collect();
        let expected = [("data", false), ("db", true), ("vpn", true)];
        assert_eq!(
            found,
            expected.map(|(name, restart)| (name.to_owned(), restart))
        );
    }
}
