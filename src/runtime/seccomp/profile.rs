//! Docker's default profile (github.com/moby/profiles, seccomp/default.json, of mid 2026) as tables: everything not named here fails
//! with EPERM. Never parsed from JSON: this is on the way of every start.
//!
//! Left out, as decided before bryo starts: `minKernel` 4.8 (bryo needs 5.11) and the rules of machines that bryo does not run on.

use oci_spec::runtime::LinuxSeccompOperator as Op;

use super::super::capability::{Capability, CapabilitySet};
use super::{Check, ENOSYS, EPERM, Machine, Policy, Rule, action};
use crate::sys::seccomp::flag;

const ALWAYS: &str = "
    _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32
    clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2
    fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait
    futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
    getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid
    getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit ioctl
    ioprio_get ioprio_set ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32
    lgetxattr link linkat listen listmount listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64
    madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2
    mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
    name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
    pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
    process_mrelease process_vm_readv process_vm_writev pselect6 pselect6_time64 ptrace pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr
    removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
    rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
    sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send
    sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsgid32
    setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
    setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32
    setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn
    socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range
    syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64
    timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
    times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64
    utimes vfork vmsplice wait4 waitid waitpid write writev";

/// Calls of one machine and its 32-bit ancestor.
const X86: &str = "arch_prctl modify_ldt";
const ARM: &str =
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

/// Calls allowed with a capability.
const WITH_CAPABILITY: [(&str, &str); 14] = [
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
         quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module init_module finit_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("SYS_RAWIO", "iopl ioperm"),
    ("SYS_TIME", "settimeofday stime clock_settime clock_settime64"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Address families above AF_ROSE (11) that `socket` may be asked for; families below 12 are all allowed. Missing are those the
/// kernel no longer has, AF_ALG (38: the kernel's cryptography, an attack surface nobody needs) and AF_VSOCK (40: reaches
/// virtual machines past the network namespace). i386's `socketcall` hides its arguments, so there docker filters nothing.
const FAMILIES_BELOW: u64 = 12;
const FAMILIES: [u64; 25] = [
    13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44,
    45,
];

/// Linux, BSD, and both with UNAME26; all ones asks for the current one.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// CLONE_NEWCGROUP, -NEWUTS, -NEWIPC, -NEWUSER, -NEWPID, -NEWNET and -NEWNS.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

pub(super) fn policy(capabilities: CapabilitySet, machine: Machine) -> Policy<'static> {
    let has = |name: &str| {
        capabilities.contains(name.parse::<Capability>().expect("a name of this file"))
    };
    let mut rules = Vec::with_capacity(480);
    let mut allow = |names: &'static str| {
        rules.extend(
            names
                .split_ascii_whitespace()
                .map(|name| rule(name, None, action::ALLOW)),
        );
    };
    allow(ALWAYS);
    allow(match machine {
        Machine::X86_64 => X86,
        Machine::Aarch64 => ARM,
    });
    for (capability, names) in WITH_CAPABILITY {
        if has(capability) {
            allow(names);
        }
    }
    rules.push(rule(
        "socket",
        Some((Op::ScmpCmpLt, FAMILIES_BELOW, 0)),
        action::ALLOW,
    ));
    let equal = |name, value| rule(name, Some((Op::ScmpCmpEq, value, 0)), action::ALLOW);
    rules.extend(FAMILIES.map(|family| equal("socket", family)));
    rules.extend(PERSONALITIES.map(|personality| equal("personality", personality)));
    if !has("SYS_ADMIN") {
        rules.push(rule(
            "clone",
            Some((Op::ScmpCmpMaskedEq, NAMESPACE_FLAGS, 0)),
            action::ALLOW,
        ));
        // Its flags are behind a pointer: ENOSYS makes libc fall back to clone.
        rules.push(rule("clone3", None, action::ERRNO | ENOSYS));
    }
    Policy {
        default: action::ERRNO | EPERM,
        arches: machine.arches().to_vec(),
        rules,
        flags: flag::SPEC_ALLOW,
    }
}

/// With a check of the first argument, or none.
fn rule(name: &'static str, check: Option<(Op, u64, u64)>, action: u32) -> Rule<'static> {
    let check = check.map(|(operator, value, second)| Check {
        index: 0,
        operator,
        value,
        second,
    });
    Rule {
        name,
        checks: check.into_iter().collect(),
        action,
    }
}
