//! A policy to BPF: a dispatch on the architecture, then a balanced tree over ranges of system call numbers.
//! Never a decision about a call; those are the policy's.
//!
//! Why a tree: at load the kernel walks the filter once for every number to learn which calls are always allowed, so the
//! length of a path is what a start pays (a linear filter costs ten times as much).

use oci_spec::runtime::{Arch, LinuxSeccompOperator as Op};

use super::numbers::{NO, NUMBERS};
use super::{Check, ENOSYS, Machine, Policy, Program, Rule, SeccompError, action};
use crate::sys::seccomp::Instruction;

const MAX_INSTRUCTIONS: usize = 4096;
const X32_BIT: u32 = 0x4000_0000;

/// Offsets in `struct seccomp_data`; arguments are little-endian on every machine here.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;

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
    let mut assembler = Assembler {
        rules: &policy.rules,
        default: policy.default,
        ..Assembler::default()
    };
    // Emitted backwards, so the native architecture comes last and stands first.
    let mut entries = Vec::new();
    for abi in abis
        .iter()
        .rev()
        .filter(|abi| policy.arches.contains(&abi.arch))
    {
        let tree = assembler.tree(&ranges(abi, policy, &calls));
        entries.push((abi.audit, assembler.number(tree, abi, x32)));
    }
    let mut next = assembler.result(action::KILL_THREAD);
    for (audit, entry) in entries {
        next = assembler.branch(JUMP_EQUAL, audit, entry, next);
    }
    assembler.load(OFFSET_ARCH, next);
    let mut instructions = assembler.reversed;
    instructions.reverse();
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

#[derive(Debug, Clone, PartialEq, Eq)]
enum Leaf {
    Action(u32),
    /// Indices of rules, tried in this order.
    Rules(Vec<usize>),
}

/// Numbers from `start` to the next range's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    start: u32,
    leaf: Leaf,
}

fn push(ranges: &mut Vec<Range>, start: u32, leaf: Leaf) {
    match ranges.last_mut() {
        Some(last) if last.leaf == leaf => {}
        Some(last) if last.start == start => {
            last.leaf = leaf;
            if let [.., before, last] = ranges.as_slice()
                && before.leaf == last.leaf
            {
                ranges.pop();
            }
        }
        _ => ranges.push(Range { start, leaf }),
    }
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

/// A place in the program, counted from its end.
type Label = usize;

/// Emits from the last instruction to the first, so that every jump's target exists before the jump.
#[derive(Default)]
struct Assembler<'a> {
    rules: &'a [Rule<'a>],
    default: u32,
    reversed: Vec<Instruction>,
    /// Where each action's latest return stands.
    results: Vec<(u32, Label)>,
}

impl Assembler<'_> {
    fn push(&mut self, code: u16, constant: u32, jump_true: u8, jump_false: u8) -> Label {
        self.reversed.push(Instruction {
            code,
            jump_true,
            jump_false,
            constant,
        });
        self.reversed.len() - 1
    }

    /// `target`, or a jump to it when it is out of reach of a conditional jump (255) placed after two more instructions.
    fn near(&mut self, target: Label) -> Label {
        let distance = self.reversed.len() - target - 1;
        if distance < 253 {
            target
        } else {
            self.push(JUMP, distance as u32, 0, 0)
        }
    }

    fn branch(&mut self, code: u16, constant: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return yes;
        }
        let (yes, no) = (self.near(yes), self.near(no));
        let skip = |target: Label, at: Label| {
            u8::try_from(at - target - 1).expect("near() keeps it below 256")
        };
        let at = self.reversed.len();
        self.push(code, constant, skip(yes, at), skip(no, at))
    }

    /// An instruction that goes on with `next`, which need not be the one emitted last.
    fn then(&mut self, code: u16, constant: u32, next: Label) -> Label {
        let distance = self.reversed.len() - next - 1;
        if distance > 0 {
            self.push(JUMP, distance as u32, 0, 0);
        }
        self.push(code, constant, 0, 0)
    }

    fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD, offset, next)
    }

    fn result(&mut self, action: u32) -> Label {
        // Nearer than the reach, as the subtree between may still grow.
        const REACH: usize = 128;
        let now = self.reversed.len();
        let known = self.results.iter().position(|(known, _)| *known == action);
        match known.map(|at| (at, self.results[at].1)) {
            Some((_, label)) if now - label < REACH => label,
            Some((at, _)) => {
                self.results[at].1 = now;
                self.push(RETURN, action, 0, 0)
            }
            None => {
                self.results.push((action, now));
                self.push(RETURN, action, 0, 0)
            }
        }
    }

    /// Entry of one architecture: loads the number and folds x32's into the others.
    fn number(&mut self, tree: Label, abi: &Abi, x32: bool) -> Label {
        let mut entry = tree;
        if abi.arch == Arch::ScmpArchX86_64 {
            let other = if x32 {
                self.then(AND, !X32_BIT, tree)
            } else {
                self.result(action::KILL_THREAD)
            };
            entry = self.branch(JUMP_GREATER_EQUAL, X32_BIT, other, tree);
        }
        self.load(OFFSET_NUMBER, entry)
    }

    fn tree(&mut self, ranges: &[Range]) -> Label {
        match ranges {
            [] => self.result(self.default),
            [only] => self.leaf(&only.leaf),
            // A single number between two ranges of the same kind costs one comparison instead of two.
            [before, one, after] if one.start + 1 == after.start && before.leaf == after.leaf => {
                let (no, yes) = (self.leaf(&before.leaf), self.leaf(&one.leaf));
                self.branch(JUMP_EQUAL, one.start, yes, no)
            }
            _ => {
                let (left, right) = ranges.split_at(split(ranges));
                let yes = self.tree(right);
                let no = self.tree(left);
                self.branch(JUMP_GREATER_EQUAL, right[0].start, yes, no)
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Label {
        match leaf {
            Leaf::Action(action) => self.result(*action),
            Leaf::Rules(rules) => match self.values(rules) {
                Some(entry) => entry,
                None => self.chain(rules),
            },
        }
    }

    /// Rules one after the other; each check's failure goes on with the next rule.
    fn chain(&mut self, rules: &[usize]) -> Label {
        let all = self.rules;
        let mut otherwise = self.result(self.default);
        for rule in rules.iter().rev().map(|rule| &all[*rule]) {
            let mut holds = self.result(rule.action);
            for check in rule.checks.iter().rev() {
                holds = self.check(check, holds, otherwise);
            }
            otherwise = holds;
        }
        otherwise
    }

    /// A 64-bit comparison in two halves.
    fn check(&mut self, check: &Check, yes: Label, no: Label) -> Label {
        let (low_at, high_at) = halves(check.index);
        let (yes, no) = match check.operator {
            Op::ScmpCmpNe | Op::ScmpCmpLt | Op::ScmpCmpLe => (no, yes),
            _ => (yes, no),
        };
        let (value, masked) = match check.operator {
            Op::ScmpCmpMaskedEq => (check.second, Some(check.value)),
            _ => (check.value, None),
        };
        let (low, high) = (value as u32, (value >> 32) as u32);
        let compare = match check.operator {
            Op::ScmpCmpGe | Op::ScmpCmpLt => JUMP_GREATER_EQUAL,
            Op::ScmpCmpGt | Op::ScmpCmpLe => JUMP_GREATER,
            Op::ScmpCmpEq | Op::ScmpCmpNe | Op::ScmpCmpMaskedEq => JUMP_EQUAL,
        };
        let entry = self.branch(compare, low, yes, no);
        let entry = self.load_half(low_at, masked.map(|mask| mask as u32), entry);
        if masked.is_some_and(|mask| mask >> 32 == 0) && high == 0 {
            return entry;
        }
        let entry = self.branch(JUMP_EQUAL, high, entry, no);
        let entry = if compare == JUMP_EQUAL {
            entry
        } else {
            self.branch(JUMP_GREATER, high, yes, entry)
        };
        self.load_half(high_at, masked.map(|mask| (mask >> 32) as u32), entry)
    }

    fn load_half(&mut self, offset: u32, mask: Option<u32>, next: Label) -> Label {
        let next = match mask {
            Some(mask) => self.then(AND, mask, next),
            None => next,
        };
        self.load(offset, next)
    }

    /// Rules that only compare one argument with 32-bit values are a tree over its values (docker's 29 of `socket`).
    fn values(&mut self, rules: &[usize]) -> Option<Label> {
        let all = self.rules;
        let rules: Vec<&Rule> = rules.iter().map(|rule| &all[*rule]).collect();
        let index = rules[0].checks.first()?.index;
        let simple = |check: &Check| {
            check.index == index
                && check.operator != Op::ScmpCmpMaskedEq
                && check.value <= u64::from(u32::MAX)
        };
        if rules.len() < 2
            || !rules
                .iter()
                .all(|rule| rule.checks.len() < 2 && rule.checks.iter().all(simple))
        {
            return None;
        }
        let decide = |value: u64| {
            let first = rules
                .iter()
                .find(|rule| rule.checks.iter().all(|check| holds(check, value)));
            first.map_or(self.default, |rule| rule.action)
        };
        let compared = rules
            .iter()
            .flat_map(|rule| &rule.checks)
            .map(|check| check.value);
        let mut starts: Vec<u64> = compared
            .flat_map(|value| [value, value + 1])
            .chain([0])
            .collect();
        starts.sort_unstable();
        let mut ranges = Vec::new();
        for start in starts {
            if let Ok(start) = u32::try_from(start) {
                push(&mut ranges, start, Leaf::Action(decide(start.into())));
            }
        }
        let beyond = decide(1 << 32);
        let (low_at, high_at) = halves(index);
        let tree = self.tree(&ranges);
        let low = self.load(low_at, tree);
        let beyond = self.result(beyond);
        let high = self.branch(JUMP_EQUAL, 0, low, beyond);
        Some(self.load(high_at, high))
    }
}

/// The middle, or its neighbour when the middle would tear a single number from its surroundings.
fn split(ranges: &[Range]) -> usize {
    let middle = ranges.len() / 2;
    let tears = |at: usize| {
        ranges
            .get(at)
            .is_some_and(|after| ranges[at - 1].start + 1 == after.start && at >= 2)
            && ranges[at - 2].leaf == ranges[at].leaf
    };
    if tears(middle) && ranges.len() > 4 {
        middle + 1
    } else {
        middle
    }
}

fn halves(index: u8) -> (u32, u32) {
    let low = OFFSET_ARGUMENTS + 8 * u32::from(index);
    (low, low + 4)
}

/// Of an unmasked check.
fn holds(check: &Check, value: u64) -> bool {
    match check.operator {
        Op::ScmpCmpNe => value != check.value,
        Op::ScmpCmpLt => value < check.value,
        Op::ScmpCmpLe => value <= check.value,
        Op::ScmpCmpEq => value == check.value,
        Op::ScmpCmpGe => value >= check.value,
        Op::ScmpCmpGt => value > check.value,
        Op::ScmpCmpMaskedEq => value & check.value == check.second,
    }
}
