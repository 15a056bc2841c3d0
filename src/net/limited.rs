//! The rules of one container as they are in force: which tables each of its places has, and what its questions for names have opened. What the
//! rules are is `guard`'s; whose they are, `member`'s.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::egress::Egress;
use super::guard::{self, Guard, Limit, Opened, Pin, Place, Side};
use super::pins::Pins;
use crate::sys::nftables::{Batch, Element, Family, Nftables, Set, Table};

/// What is no longer than this goes to the kernel at once.
const AT_ONCE: usize = 128 * 1024;

/// Whose rules: all that they are made of beside its places.
#[derive(Clone, Copy)]
pub struct Owner<'a> {
    /// Of the container.
    pub id: &'a str,
    pub egress: Option<&'a Egress>,
    pub opened: &'a [Opened],
}

pub struct Limited {
    places: Vec<Guarded>,
    pins: RefCell<Pins>,
    nftables: Rc<Nftables>,
    /// There may be tables of a `bryo net` that the namespace has outlived.
    is_revived: bool,
}

#[derive(Clone)]
struct Guarded {
    place: Place,
    /// Under which of its names its tables are; None: it needs none.
    side: Option<Side>,
}

impl Limited {
    pub fn new(nftables: Rc<Nftables>, is_revived: bool) -> Limited {
        Limited {
            places: Vec::new(),
            pins: RefCell::default(),
            nftables,
            is_revived,
        }
    }

    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().map(|guarded| &guarded.place)
    }

    /// Whether any rule is its own.
    pub fn is_ruled(&self) -> bool {
        self.places.iter().any(|guarded| guarded.side.is_some())
    }

    /// One more place, or another instead of that in the same network.
    pub fn enter(&mut self, owner: Owner<'_>, place: Place) -> io::Result<()> {
        let is_same = |known: &&Guarded| known.place.network == place.network;
        let before = self.places.iter().find(is_same);
        let mut entered = [Guarded {
            side: before.and_then(|known| known.side),
            place,
        }];
        self.load(owner, &mut entered)?;
        let [entered] = entered;
        self.places
            .retain(|known| known.place.network != entered.place.network);
        self.places.push(entered);
        Ok(())
    }

    /// Other limits: in all places at once, or as before.
    pub fn change(&mut self, owner: Owner<'_>, change: impl Fn(&mut Place)) -> io::Result<()> {
        let mut changed = self.places.clone();
        for guarded in &mut changed {
            change(&mut guarded.place);
        }
        self.load(owner, &mut changed)?;
        self.places = changed;
        Ok(())
    }

    /// The interface has gone.
    pub fn leave(&mut self, id: &str, network: &str) {
        let of = |guarded: &&Guarded| guarded.place.network == network;
        let side = self.places.iter().find(of).and_then(|known| known.side);
        self.places
            .retain(|guarded| guarded.place.network != network);
        if let Some(side) = side {
            // What stays is of an interface that is not there.
            let table = guard::table(id, network, side);
            let _ = self.nftables.commit(guard::removal(&table));
        }
    }

    /// What is in force goes with the last step, and not before that.
    fn load(&self, owner: Owner<'_>, places: &mut [Guarded]) -> io::Result<()> {
        let known = self.pins.borrow().known();
        let mut parts = Vec::new();
        let mut last = Batch::default();
        let mut openings = Vec::new();
        let mut begun = Batch::default();
        for guarded in places.iter_mut() {
            let network = &guarded.place.network;
            let table = |side| guard::table(owner.id, network, side);
            let guard = Guard {
                id: owner.id,
                egress: owner.egress,
                place: &guarded.place,
                opened: owner.opened,
                known: &known,
            };
            let may_be_there = guarded.side.is_some() || self.is_revived;
            let side = match guarded.side {
                Some(live) => live.other(),
                None if self.is_revived => self.unused(table(Side::First))?,
                None => Side::First,
            };
            if guard.is_needed() {
                let rules = guard.write(side, may_be_there);
                parts.extend(rules.parts);
                last.append(rules.last);
                begun.append(guard::removal(&table(side)));
                openings.push((network.clone(), guard.openings()));
                guarded.side = Some(side);
            } else if may_be_there {
                last.append(guard::removal(&table(Side::First)));
                last.append(guard::removal(&table(Side::Second)));
                guarded.side = None;
            }
        }
        self.commit(parts, last).map_err(|error| {
            // Nothing comes to what is there of them.
            let _ = self.nftables.commit(begun);
            io::Error::new(error.kind(), format!("load its rules: {error}"))
        })?;
        let mut pins = self.pins.borrow_mut();
        for (network, openings) in openings {
            let lasting = openings.into_iter();
            let lasting = lasting.filter_map(|((set, key), left)| Some((set, key, left?)));
            pins.renew(&network, lasting);
        }
        Ok(())
    }

    fn commit(&self, parts: Vec<Batch>, last: Batch) -> io::Result<()> {
        let length: usize = parts.iter().chain([&last]).map(Batch::length).sum();
        if length > AT_ONCE {
            let mut parts = parts.into_iter();
            parts.try_for_each(|part| self.nftables.commit(part))?;
            return self.nftables.commit(last);
        }
        let mut all = Batch::default();
        parts.into_iter().for_each(|part| all.append(part));
        all.append(last);
        self.nftables.commit(all)
    }

    /// The name that is not in force.
    fn unused(&self, first: String) -> io::Result<Side> {
        match self.nftables.commit(guard::probe(&first)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(Side::Second),
            probed => probed.map(|()| Side::First),
        }
    }

    /// Opens an address that a name stands for, by the others, in all places that allow the name.
    pub fn pin(
        &self,
        owner: Owner<'_>,
        names: &[String],
        ip: IpAddr,
        time: Duration,
    ) -> io::Result<()> {
        let Some(name) = names.first() else {
            return Ok(());
        };
        self.pins.borrow_mut().learn(names, ip, time);
        for guarded in &self.places {
            let Some(side) = guarded.side else { continue };
            let network = &guarded.place.network;
            let table = guard::table(owner.id, network, side);
            let limits = [
                (Limit::Own, owner.egress),
                (Limit::Network, guarded.place.egress.as_ref()),
            ];
            for (limit, egress) in limits {
                for port in egress.iter().flat_map(|egress| egress.ports_of(name)) {
                    let pin = Pin { limit, ip, port };
                    let set = Set {
                        table: Table {
                            family: Family::Inet,
                            name: &table,
                        },
                        name: &pin.set(),
                    };
                    let key = (network.clone(), pin.set(), pin.key());
                    if !self.pins.borrow().would_last(&key, time) {
                        continue;
                    }
                    let element = Element {
                        key: &key.2,
                        data: None,
                        timeout: Some(time),
                    };
                    let mut pins = self.pins.borrow_mut();
                    self.nftables.put(set, &element, pins.knows(&key))?;
                    pins.note(key, time);
                }
            }
        }
        Ok(())
    }
}
