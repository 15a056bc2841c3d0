//! Capability names and sets: docker's default, `--cap-add`/`--cap-drop`, what each kind of user gets of it.
//! Never the calls that apply them (`sys::capability`).

use std::fmt;
use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability as OciCapability, LinuxCapabilities};

/// By number, as in linux/capability.h.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What a container's root gets unless told otherwise: docker's fourteen.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

const ALL: &str = "ALL";

/// A name that `--cap-add`, `--cap-drop` or a profile gives and nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability {name:?}, did you mean {nearest}?")]
pub struct UnknownCapability {
    pub name: String,
    pub nearest: Capability,
}

/// One capability, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    pub const SYS_CHROOT: Capability = Capability(18);
    pub const SYS_ADMIN: Capability = Capability(21);

    pub fn number(self) -> u8 {
        self.0
    }

    fn bare_name(self) -> &'static str {
        NAMES[usize::from(self.0)]
    }
}

/// With the prefix, as docker prints it.
impl fmt::Display for Capability {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "CAP_{}", self.bare_name())
    }
}

/// Any case, with or without `CAP_`.
impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Self, UnknownCapability> {
        let upper = text.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let position = |wanted: &str| NAMES.iter().position(|name| *name == wanted);
        let at = |index: usize| Capability(index as u8);
        position(bare).map(at).ok_or_else(|| {
            let nearest = (0..NAMES.len()).min_by_key(|index| edit_distance(bare, NAMES[*index]));
            UnknownCapability {
                name: text.to_owned(),
                nearest: at(nearest.unwrap_or(0)),
            }
        })
    }
}

/// A set, one bit per number, as the kernel has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    pub const EMPTY: CapabilitySet = CapabilitySet(0);
    /// Every one that bryo has a name for; intersect with what the kernel knows before use.
    pub const NAMED: CapabilitySet = CapabilitySet((1 << NAMES.len()) - 1);

    /// Docker's default.
    pub fn docker() -> CapabilitySet {
        DEFAULT
            .iter()
            .map(|name| name.parse::<Capability>().expect("the table has it"))
            .collect()
    }

    /// All up to the kernel's last (`sys::capability::last`).
    pub fn up_to(last: u8) -> CapabilitySet {
        CapabilitySet(u64::MAX >> (63 - last.min(63))).intersection(CapabilitySet::NAMED)
    }

    /// Those of a mask that have a name.
    pub fn of_bits(bits: u64) -> CapabilitySet {
        CapabilitySet(bits).intersection(CapabilitySet::NAMED)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability.0) != 0
    }

    pub fn intersection(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 & other.0)
    }

    fn union(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 | other.0)
    }

    pub fn without(self, other: CapabilitySet) -> CapabilitySet {
        CapabilitySet(self.0 & !other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Capability> {
        (0..NAMES.len() as u8)
            .map(Capability)
            .filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        CapabilitySet(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | 1 << capability.0),
        )
    }
}

impl From<CapabilitySet> for Capabilities {
    fn from(set: CapabilitySet) -> Capabilities {
        let oci = |capability: Capability| {
            OciCapability::from_str(capability.bare_name())
                .expect("both tables are linux/capability.h")
        };
        set.iter().map(oci).collect()
    }
}

/// A name that the specification's crate has and bryo has not cannot exist: both are complete.
impl From<&Capabilities> for CapabilitySet {
    fn from(capabilities: &Capabilities) -> CapabilitySet {
        capabilities
            .iter()
            .filter_map(|capability| capability.to_string().parse::<Capability>().ok())
            .collect()
    }
}

/// What `--cap-add` and `--cap-drop` make of docker's default. As docker: adding wins over dropping; `--cap-add ALL` keeps the drops,
/// `--cap-drop ALL` leaves only what is added. `known` is what the kernel has.
pub fn chosen(
    add: &[String],
    drop: &[String],
    known: CapabilitySet,
) -> Result<CapabilitySet, UnknownCapability> {
    let (add, add_all) = parse(add)?;
    let (drop, drop_all) = parse(drop)?;
    let chosen = match (add_all, drop_all) {
        (true, _) => known.without(drop),
        (false, true) => add,
        (false, false) => CapabilitySet::docker().without(drop).union(add),
    };
    Ok(chosen.intersection(known))
}

fn parse(names: &[String]) -> Result<(CapabilitySet, bool), UnknownCapability> {
    let is_all =
        |name: &&String| name.eq_ignore_ascii_case(ALL) || name.eq_ignore_ascii_case("CAP_ALL");
    let all = names.iter().any(|name| is_all(&name));
    let set = names
        .iter()
        .filter(|name| !is_all(name))
        .map(|name| name.parse())
        .collect::<Result<_, _>>()?;
    Ok((set, all))
}

/// The five sets of a process, ready for `sys::capability`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProcessCapabilities {
    pub bounding: CapabilitySet,
    pub permitted: CapabilitySet,
    pub effective: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub ambient: CapabilitySet,
}

impl ProcessCapabilities {
    /// As docker's: root has all of the set, another user none of it but may regain it through a setuid program (bounding).
    /// Inheritable and ambient stay empty (CVE-2022-24769).
    pub fn of_user(set: CapabilitySet, uid: u32) -> ProcessCapabilities {
        let held = if uid == 0 { set } else { CapabilitySet::EMPTY };
        ProcessCapabilities {
            bounding: set,
            permitted: held,
            effective: held,
            ..Default::default()
        }
    }

    /// From a specification whose user has been resolved to `uid`.
    pub fn from_spec(capabilities: Option<&LinuxCapabilities>, uid: u32) -> ProcessCapabilities {
        let bounding = capabilities.and_then(|capabilities| capabilities.bounding().as_ref());
        ProcessCapabilities::of_user(bounding.map(CapabilitySet::from).unwrap_or_default(), uid)
    }
}

/// Levenshtein's distance, one row at a time.
fn edit_distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(String::from).collect()
    }

    fn choose(add: &str, drop: &str) -> CapabilitySet {
        chosen(&names(add), &names(drop), CapabilitySet::NAMED).unwrap()
    }

    fn set(text: &str) -> CapabilitySet {
        text.split_whitespace()
            .map(|name| name.parse::<Capability>().unwrap())
            .collect()
    }

    #[test]
    fn default_is_what_proc_shows_in_a_docker_container() {
        assert_eq!(CapabilitySet::docker().bits(), 0xa80425fb);
        assert_eq!(choose("", ""), CapabilitySet::docker());
    }

    #[test]
    fn those_with_a_name_in_the_code_have_their_numbers() {
        assert_eq!("SYS_CHROOT".parse(), Ok(Capability::SYS_CHROOT));
        assert_eq!("SYS_ADMIN".parse(), Ok(Capability::SYS_ADMIN));
    }

    #[test]
    fn names_come_in_any_case_with_or_without_prefix() {
        for name in ["CAP_SYS_ADMIN", "sys_admin", "Cap_Sys_Admin"] {
            assert_eq!(name.parse::<Capability>().unwrap().number(), 21);
        }
    }

    #[test]
    fn unknown_name_is_answered_with_the_nearest() {
        let error = "NET_ADMN".parse::<Capability>().unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"unknown capability "NET_ADMN", did you mean CAP_NET_ADMIN?"#
        );
    }

    #[test]
    fn adding_and_dropping_follow_docker() {
        assert_eq!(
            choose("SYS_ADMIN", "CHOWN").bits(),
            (0xa80425fb | 1 << 21) & !1
        );
        assert_eq!(choose("chown", "chown"), CapabilitySet::docker());
        assert_eq!(choose("net_raw", "all"), set("NET_RAW"));
        assert_eq!(choose("", "ALL"), CapabilitySet::EMPTY);
        assert_eq!(
            choose("ALL", "MKNOD"),
            CapabilitySet::NAMED.without(set("MKNOD"))
        );
        assert_eq!(choose("CAP_ALL", "ALL"), CapabilitySet::NAMED);
    }

    #[test]
    fn nothing_exceeds_what_the_kernel_knows() {
        let known = CapabilitySet::up_to(37);
        assert_eq!(chosen(&names("ALL"), &[], known).unwrap(), known);
        assert_eq!(CapabilitySet::up_to(63), CapabilitySet::NAMED);
        assert_eq!(CapabilitySet::up_to(40), CapabilitySet::NAMED);
    }

    #[test]
    fn other_users_keep_only_the_bounding_set() {
        let set = CapabilitySet::docker();
        let user = ProcessCapabilities::of_user(set, 1000);
        assert_eq!(
            user,
            ProcessCapabilities {
                bounding: set,
                ..Default::default()
            }
        );
        let root = ProcessCapabilities::of_user(set, 0);
        assert_eq!(
            (root.permitted, root.effective, root.inheritable),
            (set, set, CapabilitySet::EMPTY)
        );
    }

    #[test]
    fn sets_survive_the_specification() {
        let oci: Capabilities = CapabilitySet::NAMED.into();
        assert_eq!(CapabilitySet::from(&oci), CapabilitySet::NAMED);
    }
}
