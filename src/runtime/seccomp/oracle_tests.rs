//! The compiled filter, interpreted, against a plain reading of the policy, call by call.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Instant;

use super::numbers::NUMBERS;
use super::*;
use crate::runtime::spec::{self, ContainerParameters, SeccompChoice};

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const ARM: u32 = 0x4000_0028;
const X32: u32 = 0x4000_0000;

#[derive(Debug, Clone, Copy)]
struct Call {
    audit: u32,
    number: u32,
    arguments: [u64; 6],
}

/// As the kernel runs it; returns the verdict and the number of instructions it took.
fn run(program: &Program, call: Call) -> (u32, usize) {
    let mut data = Vec::new();
    data.extend(call.number.to_le_bytes());
    data.extend(call.audit.to_le_bytes());
    data.extend([0; 8]);
    call.arguments
        .iter()
        .for_each(|argument| data.extend(argument.to_le_bytes()));
    let (mut accumulator, mut at, mut steps) = (0u32, 0, 0);
    loop {
        let it = program.instructions[at];
        (at, steps) = (at + 1, steps + 1);
        let skip = |condition| {
            usize::from(if condition {
                it.jump_true
            } else {
                it.jump_false
            })
        };
        match it.code {
            0x20 => {
                let offset = it.constant as usize;
                accumulator = u32::from_le_bytes(data[offset..offset + 4].try_into().unwrap());
            }
            0x54 => accumulator &= it.constant,
            0x06 => return (it.constant, steps),
            0x05 => at += it.constant as usize,
            0x15 => at += skip(accumulator == it.constant),
            0x25 => at += skip(accumulator > it.constant),
            0x35 => at += skip(accumulator >= it.constant),
            code => panic!("instruction {code:#x}"),
        }
    }
}

/// Columns of the table for a call, and its number in them; `None`: the architecture is not part of the policy.
fn place(policy: &Policy, call: Call) -> Option<(&'static [usize], u32)> {
    let has = |arch| policy.arches.contains(&arch);
    match call.audit {
        X86_64 if call.number >= X32 => {
            has(Arch::ScmpArchX32).then_some((&[0, 1], call.number & !X32))
        }
        X86_64 if has(Arch::ScmpArchX32) => Some((&[0, 1], call.number)),
        X86_64 => has(Arch::ScmpArchX86_64).then_some((&[0], call.number)),
        I386 => has(Arch::ScmpArchX86).then_some((&[2], call.number)),
        AARCH64 => has(Arch::ScmpArchAarch64).then_some((&[3], call.number)),
        ARM => has(Arch::ScmpArchArm).then_some((&[4], call.number)),
        _ => None,
    }
}

fn numbers_of(name: &str, columns: &[usize]) -> Vec<u32> {
    let row = NUMBERS.iter().find(|(known, _)| *known == name);
    row.map(|(_, row)| columns.iter().map(|column| row[*column]).collect())
        .unwrap_or_default()
}

fn plainly_holds(check: &Check, arguments: [u64; 6]) -> bool {
    let value = arguments[usize::from(check.index)];
    match check.operator {
        LinuxSeccompOperator::ScmpCmpNe => value != check.value,
        LinuxSeccompOperator::ScmpCmpLt => value < check.value,
        LinuxSeccompOperator::ScmpCmpLe => value <= check.value,
        LinuxSeccompOperator::ScmpCmpEq => value == check.value,
        LinuxSeccompOperator::ScmpCmpGe => value >= check.value,
        LinuxSeccompOperator::ScmpCmpGt => value > check.value,
        LinuxSeccompOperator::ScmpCmpMaskedEq => value & check.value == check.second,
    }
}

/// All rules by number, for one set of columns.
fn rules_by_number<'p>(policy: &'p Policy, columns: &[usize]) -> BTreeMap<u32, Vec<&'p Rule<'p>>> {
    let mut by_number: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
    for rule in &policy.rules {
        let mut numbers = numbers_of(rule.name, columns);
        numbers.dedup();
        for number in numbers.into_iter().filter(|number| *number != u32::MAX) {
            by_number.entry(number).or_default().push(rule);
        }
    }
    by_number
}

fn expected(
    policy: &Policy,
    by_number: &BTreeMap<u32, Vec<&Rule>>,
    number: u32,
    arguments: [u64; 6],
) -> u32 {
    if let Some(rules) = by_number.get(&number) {
        let checked = rules.iter().find(|rule| {
            !rule.checks.is_empty() && rule.checks.iter().all(|c| plainly_holds(c, arguments))
        });
        let plain = rules.iter().find(|rule| rule.checks.is_empty());
        return checked.or(plain).map_or(policy.default, |rule| rule.action);
    }
    let island = |number: u32| {
        [512, 0xf_0001]
            .iter()
            .filter(|start| number >= **start)
            .count()
    };
    let newest = by_number
        .keys()
        .filter(|known| island(**known) == island(number))
        .max();
    let is_newer = newest.is_none_or(|newest| number > *newest);
    if is_newer && policy.default & 0xffff_0000 != action::ALLOW {
        action::ERRNO | ENOSYS
    } else {
        policy.default
    }
}

/// Values around everything that any check compares with, in every argument and in both halves.
fn argument_sets(rules: &[&Rule]) -> Vec<[u64; 6]> {
    let mut sets = vec![[0; 6], [u64::MAX; 6]];
    for check in rules.iter().flat_map(|rule| &rule.checks) {
        for base in [check.value, check.second] {
            for value in [
                base,
                base.wrapping_sub(1),
                base.wrapping_add(1),
                !base,
                base | 1 << 32,
                base | 1 << 63,
            ] {
                let mut set = [0; 6];
                set[usize::from(check.index)] = value;
                sets.push(set);
                sets.push([value; 6]);
            }
        }
    }
    sets
}

fn agree(policy: &Policy, machine: Machine) -> Program {
    let program = compile::program(policy, machine, false).unwrap();
    let audits = match machine {
        Machine::X86_64 => [X86_64, I386],
        Machine::Aarch64 => [AARCH64, ARM],
    };
    for audit in audits {
        let numbers = (0..600)
            .chain(X32 - 2..X32 + 600)
            .chain(0xf_0000..0xf_0010)
            .chain([u32::MAX - 1]);
        let mut cache = BTreeMap::new();
        for number in numbers {
            let probe = Call {
                audit,
                number,
                arguments: [0; 6],
            };
            let Some((columns, number)) = place(policy, probe) else {
                assert_eq!(run(&program, probe).0, action::KILL_THREAD, "{probe:x?}");
                continue;
            };
            let by_number = cache
                .entry(columns)
                .or_insert_with(|| rules_by_number(policy, columns));
            let rules = by_number.get(&number).cloned().unwrap_or_default();
            for arguments in argument_sets(&rules) {
                let call = Call { arguments, ..probe };
                assert_eq!(
                    run(&program, call).0,
                    expected(policy, by_number, number, arguments),
                    "{call:x?}"
                );
            }
        }
    }
    program
}

fn number(name: &str) -> u32 {
    numbers_of(name, &[0])[0]
}

fn x86_64(name: &str, first: u64) -> Call {
    Call {
        audit: X86_64,
        number: number(name),
        arguments: [first, 0, 0, 0, 0, 0],
    }
}

fn errno(errno: u32) -> u32 {
    action::ERRNO | errno
}

fn sets() -> [CapabilitySet; 3] {
    [
        CapabilitySet::docker(),
        CapabilitySet::EMPTY,
        CapabilitySet::NAMED,
    ]
}

#[test]
fn default_profile_is_compiled_faithfully_for_every_architecture() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        for set in sets() {
            agree(&profile::policy(set, machine), machine);
        }
    }
}

#[test]
fn default_profile_is_dockers() {
    let program = default_program(CapabilitySet::docker(), Machine::X86_64, false).unwrap();
    let verdict = |name, first| run(&program, x86_64(name, first)).0;
    for allowed in [
        "read",
        "execve",
        "chroot",
        "ptrace",
        "io_submit",
        "landlock_restrict_self",
        "mseal",
        "statmount",
    ] {
        assert_eq!(verdict(allowed, 0), action::ALLOW, "{allowed}");
    }
    for forbidden in [
        "mount",
        "unshare",
        "bpf",
        "keyctl",
        "io_uring_setup",
        "userfaultfd",
        "kexec_load",
        "setns",
    ] {
        assert_eq!(verdict(forbidden, 0), errno(EPERM), "{forbidden}");
    }
    assert_eq!(verdict("clone3", 0), errno(ENOSYS));
    assert_eq!(verdict("clone", 17), action::ALLOW);
    assert_eq!(verdict("clone", 0x1000_0000 | 17), errno(EPERM));
    let families = (0..64)
        .filter(|family| verdict("socket", *family) == action::ALLOW)
        .count();
    assert_eq!(families, 12 + 25);
    assert_eq!(verdict("socket", 38), errno(EPERM));
    assert_eq!(verdict("socket", 40), errno(EPERM));
    assert_eq!(verdict("personality", 0xffff_ffff), action::ALLOW);
    assert_eq!(verdict("personality", 0x40000), errno(EPERM));
    let unknown = Call {
        audit: X86_64,
        number: 500,
        arguments: [0; 6],
    };
    assert_eq!(run(&program, unknown).0, errno(ENOSYS));
}

#[test]
fn programs_of_the_older_architecture_run() {
    let program = default_program(CapabilitySet::docker(), Machine::X86_64, false).unwrap();
    let of = |audit, number| {
        run(
            &program,
            Call {
                audit,
                number,
                arguments: [0; 6],
            },
        )
        .0
    };
    assert_eq!(of(I386, 102), action::ALLOW, "socketcall");
    assert_eq!(of(I386, 21), errno(EPERM), "mount");
    assert_eq!(of(X86_64, X32 | 512), action::ALLOW, "x32 rt_sigaction");
    assert_eq!(of(AARCH64, 63), action::KILL_THREAD, "foreign");
    let program = default_program(CapabilitySet::docker(), Machine::Aarch64, false).unwrap();
    let of = |audit, number| {
        run(
            &program,
            Call {
                audit,
                number,
                arguments: [0; 6],
            },
        )
        .0
    };
    assert_eq!(of(ARM, 0xf_0002), action::ALLOW, "cacheflush");
    assert_eq!(of(AARCH64, 40), errno(EPERM), "mount");
}

/// Size and length of path are what a start pays; a change for the worse should be seen.
#[test]
fn default_filter_stays_small() {
    let policy = profile::policy(CapabilitySet::docker(), Machine::X86_64);
    let fastest = |job: &dyn Fn()| {
        let once = |_| {
            let start = Instant::now();
            job();
            start.elapsed()
        };
        (0..200).map(once).min().unwrap()
    };
    let compiled = fastest(&|| drop(compile::program(&policy, Machine::X86_64, false).unwrap()));
    let whole = fastest(&|| {
        drop(default_program(CapabilitySet::docker(), Machine::X86_64, false).unwrap())
    });
    let program = compile::program(&policy, Machine::X86_64, false).unwrap();
    let mut only = policy.clone();
    only.arches = vec![Arch::ScmpArchX86_64];
    let native = compile::program(&only, Machine::X86_64, false)
        .unwrap()
        .instructions
        .len();
    let paths = (0..467).map(|number| {
        run(
            &program,
            Call {
                audit: X86_64,
                number,
                arguments: [0; 6],
            },
        )
        .1
    });
    let longest = paths.max().unwrap();
    let size = program.instructions.len();
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("{size} instructions, native {native}, longest path {longest}, {compiled:?} of {whole:?}\n"),
    )
    .unwrap();
    assert!(native <= 200 && size <= 400 && longest <= 20);
}

#[test]
fn every_name_of_the_default_profile_is_a_system_call() {
    for machine in [Machine::X86_64, Machine::Aarch64] {
        for rule in profile::policy(CapabilitySet::NAMED, machine).rules {
            let known = NUMBERS
                .binary_search_by(|(name, _)| (*name).cmp(rule.name))
                .is_ok();
            assert!(known || rule.name == "riscv_hwprobe", "{}", rule.name);
        }
    }
}

#[test]
fn table_of_numbers_is_sorted_and_agrees_with_libc() {
    assert!(NUMBERS.is_sorted_by(|left, right| left.0 < right.0));
    if cfg!(target_arch = "x86_64") {
        let known = [
            ("read", libc::SYS_read),
            ("mount", libc::SYS_mount),
            ("clone3", libc::SYS_clone3),
            ("fchmodat2", libc::SYS_fchmodat2),
            ("futex_waitv", libc::SYS_futex_waitv),
        ];
        for (name, wanted) in known {
            assert_eq!(i64::from(number(name)), wanted, "{name}");
        }
    }
}

#[test]
fn chown_can_be_faked_with_every_choice_of_profile() {
    let names = ["chown", "fchown", "lchown", "fchownat", "setgroups"];
    let faked = |program: &Program| {
        names
            .iter()
            .for_each(|name| assert_eq!(run(program, x86_64(name, 0)).0, errno(0), "{name}"));
        let lchown32 = Call {
            audit: I386,
            number: 198,
            arguments: [0; 6],
        };
        assert_eq!(run(program, lchown32).0, errno(0));
        assert_eq!(run(program, x86_64("chmod", 0)).0, action::ALLOW);
    };
    faked(&default_program(CapabilitySet::docker(), Machine::X86_64, true).unwrap());
    let args = vec!["true".into()];
    let unconfined = ContainerParameters {
        args,
        seccomp: SeccompChoice::Unconfined,
        ..Default::default()
    };
    let unconfined = spec::spec(&unconfined).unwrap();
    assert_eq!(program(&unconfined, Machine::X86_64, false).unwrap(), None);
    let open = program(&unconfined, Machine::X86_64, true)
        .unwrap()
        .unwrap();
    faked(&open);
    assert_eq!(run(&open, x86_64("mount", 0)).0, action::ALLOW);
    let newest = Call {
        audit: X86_64,
        number: 500,
        arguments: [0; 6],
    };
    assert_eq!(run(&open, newest).0, action::ALLOW);
}

#[test]
fn specification_without_a_profile_of_its_own_gets_the_default() {
    let parameters = ContainerParameters {
        args: vec!["true".into()],
        ..Default::default()
    };
    let from_spec = program(&spec::spec(&parameters).unwrap(), Machine::X86_64, false).unwrap();
    assert_eq!(
        from_spec,
        Some(default_program(CapabilitySet::docker(), Machine::X86_64, false).unwrap())
    );
    let privileged = ContainerParameters {
        privileged: true,
        ..parameters
    };
    assert_eq!(
        program(&spec::spec(&privileged).unwrap(), Machine::X86_64, false).unwrap(),
        None
    );
}

const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_MIPS64", "subArchitectures": null}],
    "syscalls": [
        {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
        {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"], "arches": ["s390x"]},
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]},
        {"names": ["ptrace"], "action": "SCMP_ACT_LOG", "includes": {"minKernel": "4.8"}},
        {"names": ["bpf"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
        {"names": ["lseek"], "action": "SCMP_ACT_KILL_PROCESS", "comment": "all six ways to compare",
         "args": [{"index": 1, "value": 8589934593, "op": "SCMP_CMP_GE"}, {"index": 2, "value": 7, "op": "SCMP_CMP_NE"}]},
        {"names": ["lseek"], "action": "SCMP_ACT_TRAP",
         "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_LE"}, {"index": 5, "value": 4294967296, "op": "SCMP_CMP_GT"}]},
        {"names": ["lseek"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 3, "value": 4294967297, "op": "SCMP_CMP_LT"}]},
        {"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
        {"names": ["close"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]}
    ]}"#;

fn parsed(text: &str) -> Result<LinuxSeccomp, SeccompError> {
    parse(
        text.as_bytes(),
        CapabilitySet::docker(),
        Machine::X86_64,
        (6, 1),
    )
}

#[test]
fn profile_in_dockers_format_is_compiled_faithfully() {
    let profile = parsed(PROFILE).unwrap();
    let program = agree(&policy(&profile, Machine::X86_64).unwrap(), Machine::X86_64);
    let verdict = |name, first| run(&program, x86_64(name, first)).0;
    assert_eq!(verdict("read", 0), action::ALLOW);
    assert_eq!(verdict("mount", 0), errno(38));
    assert_eq!(verdict("ptrace", 0), action::LOG);
    assert_eq!(verdict("bpf", 0), errno(38));
    assert_eq!(verdict("dup", 0), errno(9));
    assert_eq!(
        (
            verdict("close", 3),
            verdict("close", 4),
            verdict("close", 5)
        ),
        (action::ALLOW, errno(38), action::ALLOW)
    );
    let x32 = Call {
        audit: X86_64,
        number: X32,
        arguments: [0; 6],
    };
    assert_eq!(run(&program, x32).0, action::KILL_THREAD);
    let admin = parse(
        PROFILE.as_bytes(),
        CapabilitySet::NAMED,
        Machine::X86_64,
        (6, 1),
    )
    .unwrap();
    let program = compile(&admin, Machine::X86_64, false).unwrap();
    assert_eq!(run(&program, x86_64("mount", 0)).0, action::ALLOW);
    assert_eq!(run(&program, x86_64("clone", 0)).0, errno(38));
}

#[test]
fn profile_that_allows_execve_lets_the_stub_start() {
    let text = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}"#;
    let program = compile(&parsed(text).unwrap(), Machine::X86_64, false).unwrap();
    assert_eq!(run(&program, x86_64("execveat", 0)).0, action::ALLOW);
    let text = text.replace("execve", "read");
    let program = compile(&parsed(&text).unwrap(), Machine::X86_64, false).unwrap();
    assert_ne!(run(&program, x86_64("execveat", 0)).0, action::ALLOW);
}

/// More rules than a jump of eight bits can cross.
#[test]
fn long_profiles_are_compiled_faithfully() {
    let mut policy = profile::policy(CapabilitySet::NAMED, Machine::X86_64);
    for (at, (name, _)) in NUMBERS.iter().enumerate().step_by(5) {
        let check = |index| Check {
            index,
            operator: LinuxSeccompOperator::ScmpCmpMaskedEq,
            value: 1 << (at % 64),
            second: 0,
        };
        let checks = vec![check((at % 6) as u8), check(((at + 1) % 6) as u8)];
        policy.rules.push(Rule {
            name,
            checks,
            action: action::ERRNO | (at as u32 + 100),
        });
    }
    assert!(agree(&policy, Machine::X86_64).instructions.len() > 1000);
}

#[test]
fn profile_that_would_not_protect_is_refused() {
    let message = |text: &str| {
        let error = parsed(text).map(|profile| compile(&profile, Machine::X86_64, false).map(drop));
        match error {
            Ok(Ok(())) => String::new(),
            Ok(Err(error)) | Err(error) => error.to_string(),
        }
    };
    let rule =
        |rule: &str| format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#);
    let cases = [
        ("{}".into(), "missing field `defaultAction`"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "sycalls": []}"#.into(),
            "unknown field `sycalls`",
        ),
        (
            r#"{"defaultAction": "ALLOW"}"#.into(),
            "unknown variant `ALLOW`",
        ),
        (
            rule(r#"{"action": "SCMP_ACT_ALLOW"}"#),
            "rule 1 needs either",
        ),
        (
            rule(r#"{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}"#),
            "listener",
        ),
        (
            rule(
                r#"{"names": ["read"], "action": "SCMP_ACT_KILL", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}"#,
            ),
            "argument 6",
        ),
        (
            rule(
                r#"{"names": ["read"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "new"}}"#,
            ),
            "\"new\" in rule 1",
        ),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#
                .into(),
            "exclude each other",
        ),
    ];
    for (text, wanted) in cases {
        let message = message(&text);
        assert!(message.contains(wanted), "{text}: {message}");
    }
}

/// The kernel takes it, and what it forbids is forbidden even to root.
#[test]
fn default_filter_works_in_a_real_thread() {
    let program = default_program(CapabilitySet::docker(), Machine::host(), false).unwrap();
    let result = std::thread::spawn(move || {
        crate::sys::capability::set_no_new_privileges().unwrap();
        let start = Instant::now();
        crate::sys::seccomp::load(&program.instructions, program.flags).unwrap();
        let loaded = start.elapsed();
        let text = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        (
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS),
            text.contains("Seccomp:\t2"),
            loaded,
        )
    });
    let (unshared, is_filtered, loaded) = result.join().unwrap();
    std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("loaded in {loaded:?}\n"),
    )
    .unwrap();
    assert_eq!(unshared, Err(nix::Error::EPERM));
    assert!(is_filtered);
}

#[test]
fn a_program_survives_the_way_to_init() {
    let program = default_program(CapabilitySet::docker(), Machine::host(), false).unwrap();
    let bytes = program.to_bytes();
    assert_eq!(Program::from_bytes(&bytes), Some(program));
    assert_eq!(Program::from_bytes(&bytes[..bytes.len() - 1]), None);
    assert_eq!(Program::from_bytes(&[]), None);
}
