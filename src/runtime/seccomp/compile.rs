//! A policy to BPF: a dispatch on the architecture, then a balanced tree over ranges of system call numbers.
//! Never a decision about a call; those are the policy's.
//!
//! Why a tree: at load the kernel walks the filter once for every number to learn which calls are always allowed, so the
//! length of a path is what a start pays (a linear filter costs ten times as much).

use oci_spec::runtime::Arch;

use super::numbers::{NO, NUMBERS};
use super::tree::{
    AND, Assembler, JUMP_EQUAL, JUMP_GREATER_EQUAL, Label, Leaf, OFFSET_ARCH, OFFSET_NUMBER, Range,
    push,
};
use super::{ENOSYS, Machine, Policy, Program, SeccompError, action};

const MAX_INSTRUCTIONS: usize = 4096;
const X32_BIT: u32 = 0x4000_0000;

/// Calls that a single-id map can only refuse.
const OWNER_CHANGES: [&str; 9] = [
    "chown",
    "chown32",
    "fchown",
    "fchown32",
    "fchownat",
    "lchown",
    "lchown32",
    "setgroups",
    "setgroups32",
];

/// One of the kernel's architectures: its audit number, the columns of the table that its numbers come from, and where its
/// numbers begin anew after a gap (x32's own calls, arm's private ones): newness is judged within such an island.
struct Abi {
    arch: Arch,
    audit: u32,
    columns: &'static [usize],
    islands: &'static [u32],
}

const X86_64: Abi = Abi {
    arch: Arch::ScmpArchX86_64,
    audit: 0xc000_003e,
    columns: &[0],
    islands: &[0],
};
/// Both in one tree, the bit removed: where both have a number it means the same, where one lacks it the kernel says ENOSYS.
const X86_64_X32: Abi = Abi {
    arch: Arch::ScmpArchX86_64,
    audit: 0xc000_003e,
    columns: &[0, 1],
    islands: &[0, 512],
};
const I386: Abi = Abi {
    arch: Arch::ScmpArchX86,
    audit: 0x4000_0003,
    columns: &[2],
    islands: &[0],
};
const AARCH64: Abi = Abi {
    arch: Arch::ScmpArchAarch64,
    audit: 0xc000_00b7,
    columns: &[3],
    islands: &[0],
};
const ARM: Abi = Abi {
    arch: Arch::ScmpArchArm,
    audit: 0x4000_0028,
    columns: &[4],
    islands: &[0, 0xf_0001],
};

pub fn program(
    policy: &Policy,
    machine: Machine,
    fake_chown: bool,
) -> Result<Program, SeccompError> {
    let x32 = machine == Machine::X86_64 && policy.arches.contains(&Arch::ScmpArchX32);
    let abis = match machine {
        Machine::X86_64 => [if x32 { X86_64_X32 } else { X86_64 }, I386],
        Machine::Aarch64 => [AARCH64, ARM],
    };
    let calls = resolve(policy, fake_chown);
    let mut assembler = Assembler::new(&policy.rules, policy.default);
    // Emitted backwards, so the native architecture comes last and stands first.
    let mut entries = Vec::new();
    for abi in abis
        .iter()
        .rev()
        .filter(|abi| policy.arches.contains(&abi.arch))
    {
        let tree = assembler.tree(&ranges(abi, policy, &calls));
        entries.push((abi.audit, number(&mut assembler, tree, abi, x32)));
    }
    let mut next = assembler.result(action::KILL_THREAD);
    for (audit, entry) in entries {
        next = assembler.branch(JUMP_EQUAL, audit, entry, next);
    }
    assembler.load(OFFSET_ARCH, next);
    let instructions = assembler.finish();
    if instructions.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong {
            instructions: instructions.len(),
        });
    }
    Ok(Program {
        instructions,
        flags: policy.flags,
    })
}

/// Entry of one architecture: loads the number and folds x32's into the others.
fn number(assembler: &mut Assembler, tree: Label, abi: &Abi, x32: bool) -> Label {
    let mut entry = tree;
    if abi.arch == Arch::ScmpArchX86_64 {
        let other = match x32 {
            true => assembler.then(AND, !X32_BIT, tree),
            false => assembler.result(action::KILL_THREAD),
        };
        entry = assembler.branch(JUMP_GREATER_EQUAL, X32_BIT, other, tree);
    }
    assembler.load(OFFSET_NUMBER, entry)
}

/// A rule's row in the table of numbers, with the rule's index plus one; 0 is the faked success.
type Call = (&'static [u32; 5], u32);
const FAKED: u32 = 0;

/// Names that no architecture has are calls of a newer kernel: there is no number to allow.
fn resolve(policy: &Policy, fake_chown: bool) -> Vec<Call> {
    let mut calls = Vec::with_capacity(policy.rules.len() + OWNER_CHANGES.len());
    let mut hint = 0;
    for (rule, index) in policy.rules.iter().zip(1..) {
        if !(fake_chown && OWNER_CHANGES.contains(&rule.name)) {
            calls.extend(row(rule.name, &mut hint).map(|row| (row, index)));
        }
    }
    if fake_chown {
        calls.extend(
            OWNER_CHANGES
                .iter()
                .filter_map(|name| row(name, &mut hint))
                .map(|row| (row, FAKED)),
        );
    }
    calls
}

/// Profiles name calls more or less in order, so the next row is mostly a few places behind the last one (`hint`).
fn row(name: &str, hint: &mut usize) -> Option<&'static [u32; 5]> {
    const NEAR: usize = 4;
    let near = NUMBERS[*hint..]
        .iter()
        .take(NEAR)
        .position(|(known, _)| *known == name)
        .map(|at| *hint + at);
    let at = near.or_else(|| {
        NUMBERS
            .binary_search_by(|(known, _)| (*known).cmp(name))
            .ok()
    })?;
    *hint = at;
    Some(&NUMBERS[at].1)
}

/// Every number of one architecture, in order.
fn ranges(abi: &Abi, policy: &Policy, calls: &[Call]) -> Vec<Range> {
    // Number and rule in one word: sorted by both, and fast.
    let mut numbers: Vec<u64> = Vec::with_capacity(calls.len() * abi.columns.len());
    for (row, rule) in calls {
        let of_column = abi
            .columns
            .iter()
            .map(|column| row[*column])
            .filter(|number| *number != NO);
        numbers.extend(of_column.map(|number| u64::from(number) << 32 | u64::from(*rule)));
    }
    numbers.sort_unstable();
    numbers.dedup();
    let newer = if policy.default == action::ALLOW || policy.default == action::LOG {
        policy.default
    } else {
        action::ERRNO | ENOSYS
    };
    let mut ranges = Vec::with_capacity(128);
    let mut islands = abi.islands.iter().copied().peekable();
    let mut rest = numbers.as_slice();
    while let Some(start) = islands.next() {
        let end = islands.peek().copied().unwrap_or(u32::MAX);
        let (inside, after) = rest.split_at(rest.partition_point(|entry| number_of(*entry) < end));
        rest = after;
        push(
            &mut ranges,
            start,
            Leaf::Action(if inside.is_empty() {
                newer
            } else {
                policy.default
            }),
        );
        for same in inside.chunk_by(|left, right| number_of(*left) == number_of(*right)) {
            let number = number_of(same[0]);
            push(&mut ranges, number, leaf(policy, same));
            let is_last = same.last() == inside.last();
            push(
                &mut ranges,
                number + 1,
                Leaf::Action(if is_last { newer } else { policy.default }),
            );
        }
    }
    ranges
}

fn number_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn leaf(policy: &Policy, same: &[u64]) -> Leaf {
    let rule_of = |entry: u64| (entry as u32).checked_sub(1);
    if let [only] = same
        && let Some(rule) = rule_of(*only).map(|rule| &policy.rules[rule as usize])
        && rule.checks.is_empty()
    {
        return Leaf::Action(rule.action);
    }
    let Some(rules) = same
        .iter()
        .map(|entry| rule_of(*entry))
        .collect::<Option<Vec<u32>>>()
    else {
        return Leaf::Action(action::ERRNO);
    };
    let mut rules: Vec<usize> = rules.into_iter().map(|rule| rule as usize).collect();
    // The one without checks comes last, and hides whatever stands behind it.
    let has_no_checks = |rule: &usize| policy.rules[*rule].checks.is_empty();
    rules.sort_by_key(has_no_checks);
    let known = rules
        .iter()
        .position(has_no_checks)
        .map_or(rules.len(), |at| at + 1);
    rules.truncate(known);
    match rules.as_slice() {
        [only] if has_no_checks(only) => Leaf::Action(policy.rules[*only].action),
        _ => Leaf::Rules(rules),
    }
}
