//! The instructions: trees over numbers or values, chains of checks, jumps that are never too long.
//! Never knows an architecture or a system call by name.

use oci_spec::runtime::LinuxSeccompOperator as Op;

use super::{Check, Rule};
use crate::sys::seccomp::Instruction;

/// Offsets in `struct seccomp_data`; arguments are little-endian on every machine here.
pub const OFFSET_NUMBER: u32 = 0;
pub const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const LOAD: u16 = 0x20;
pub const AND: u16 = 0x54;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;
pub const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
pub const JUMP_GREATER_EQUAL: u16 = 0x35;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    Action(u32),
    /// Indices of rules, tried in this order.
    Rules(Vec<usize>),
}

/// Numbers from `start` to the next range's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub start: u32,
    pub leaf: Leaf,
}

pub fn push(ranges: &mut Vec<Range>, start: u32, leaf: Leaf) {
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

/// A place in the program, counted from its end.
pub type Label = usize;

/// Emits from the last instruction to the first, so that every jump's target exists before the jump.
pub struct Assembler<'a> {
    rules: &'a [Rule<'a>],
    default: u32,
    reversed: Vec<Instruction>,
    /// Where each action's latest return stands.
    results: Vec<(u32, Label)>,
}

impl<'a> Assembler<'a> {
    /// For leaves that name `rules`; what none of them decides is `default`.
    pub fn new(rules: &'a [Rule<'a>], default: u32) -> Self {
        Assembler {
            rules,
            default,
            reversed: Vec::with_capacity(512),
            results: Vec::new(),
        }
    }

    /// In the order of execution.
    pub fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

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

    pub fn branch(&mut self, code: u16, constant: u32, yes: Label, no: Label) -> Label {
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
    pub fn then(&mut self, code: u16, constant: u32, next: Label) -> Label {
        let distance = self.reversed.len() - next - 1;
        if distance > 0 {
            self.push(JUMP, distance as u32, 0, 0);
        }
        self.push(code, constant, 0, 0)
    }

    pub fn load(&mut self, offset: u32, next: Label) -> Label {
        self.then(LOAD, offset, next)
    }

    pub fn result(&mut self, action: u32) -> Label {
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

    pub fn tree(&mut self, ranges: &[Range]) -> Label {
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
