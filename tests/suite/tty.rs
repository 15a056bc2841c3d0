//! `-t`: a real terminal inside, and the caller's own as it was afterwards.

use crate::env::test_env;
use crate::process::eventually;

const RUN: [&str; 6] = ["run", "--rm", "-it", "--network", "none", "busybox"];

#[test]
fn the_payload_has_a_controlling_terminal_of_the_callers_size() {
    let env = test_env!();
    env.busybox();
    let mut terminal =
        env.terminal(&[&RUN[..], &["sh", "-c", "tty; stty size; echo $TERM"]].concat());
    terminal.expect("/dev/pts/0");
    terminal.expect("24 80");
    terminal.expect("xterm");
    assert_eq!(terminal.wait(), 0);
}

#[test]
fn what_is_typed_reaches_the_shell_and_its_exit_code_comes_back() {
    let env = test_env!();
    env.busybox();
    let mut terminal = env.terminal(&[&RUN[..], &["sh"]].concat());
    terminal.expect("# ");
    terminal.types("echo $((6*7))\n");
    terminal.expect("42");
    terminal.types("exit 12\n");
    assert_eq!(terminal.wait(), 12);
}

#[test]
fn ctrl_c_interrupts_the_foreground_job_and_not_the_container() {
    let env = test_env!();
    env.busybox();
    let mut terminal = env.terminal(&[&RUN[..], &["sh"]].concat());
    terminal.expect("# ");
    terminal.types("sleep 1000; echo ended $?\n");
    terminal.expect("sleep 1000");
    eventually("sleep to be the foreground job", || {
        env.processes()
            .iter()
            .any(|process| process.contains("sleep 1000"))
    });
    terminal.types("\x03");
    terminal.expect("# ");
    terminal.types("echo still here; exit\n");
    terminal.expect("still here");
    terminal.wait();
}

#[test]
fn a_resize_reaches_the_payload() {
    let env = test_env!();
    env.busybox();
    let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut terminal = env.terminal(&[&RUN[..], &["sh", "-c", script]].concat());
    terminal.expect("ready");
    terminal.resize(50, 132);
    terminal.expect("50 132");
    terminal.wait();
}

#[test]
fn the_callers_terminal_is_restored_however_the_container_ends() {
    let env = test_env!();
    env.busybox();
    for (script, code) in [("exit 0", 0), ("exit 3", 3), ("stty raw -echo; exit 0", 0)] {
        let mut terminal = env.terminal(
            &[
                &RUN[..],
                &["sh", "-c", &format!("echo ready; read x; {script}")],
            ]
            .concat(),
        );
        let before = terminal.settings();
        terminal.expect("ready");
        let during = terminal.settings();
        assert_ne!(
            before.local_modes, during.local_modes,
            "the terminal was never raw"
        );
        terminal.types("\r");
        assert_eq!(terminal.wait(), code);
        assert_eq!(before.local_modes, terminal.settings().local_modes);
        assert_eq!(before.output_modes, terminal.settings().output_modes);
    }
}

#[test]
fn detach_keys_leave_the_container_running() {
    let env = test_env!();
    env.busybox();
    let mut terminal = env.terminal(&[
        "run",
        "-it",
        "--network",
        "none",
        "--name",
        "left",
        "busybox",
        "sh",
    ]);
    terminal.expect("# ");
    terminal.types("\x10\x11");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "left"]),
        "true"
    );
    let mut own = env.terminal(&["start", "-ai", "--detach-keys", "ctrl-a,x", "left"]);
    own.types("\x01x");
    own.wait();
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "left"]),
        "true"
    );
}

#[test]
fn a_closed_terminal_leaves_the_container_running() {
    let env = test_env!();
    env.busybox();
    let mut terminal = env.terminal(&[
        "run",
        "-it",
        "--network",
        "none",
        "--name",
        "alone",
        "busybox",
        "sh",
    ]);
    terminal.expect("# ");
    terminal.close();
    terminal.wait();
    assert_eq!(
        env.out(&["inspect", "--format", "{{.State.Running}}", "alone"]),
        "true"
    );
}

#[test]
fn a_terminal_is_refused_where_the_caller_has_none() {
    let env = test_env!();
    env.busybox();
    env.run(&[&RUN[..], &["true"]].concat())
        .code(1)
        .says("not a TTY");
}
