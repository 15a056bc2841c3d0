//! `--device` and `--gpus`: nodes of the host, and devices that the Container Device Interface describes.

use crate::env::{TestEnv, test_env};
use crate::need::{Need, need};
use crate::spellings::WAYS;

/// A device of a made-up vendor: nodes, a file, variables, a hook that leaves its mark.
fn describe(env: &TestEnv, name: &str, text: &str) {
    let directory = env.path("config/cdi");
    std::fs::create_dir_all(&directory).expect("it can be made");
    std::fs::write(directory.join(name), text).expect("it can be written");
}

const JSON: &str = r#"{
    "cdiVersion": "0.6.0",
    "kind": "vendor.test/device",
    "containerEdits": {"env": ["EVERY=device"]},
    "devices": [
        {"name": "zero", "containerEdits": {
            "env": ["ONE=zero"],
            "additionalGids": [4711],
            "deviceNodes": [{"path": "/dev/vendor/zero", "hostPath": "/dev/zero"}]}},
        {"name": "rooted", "containerEdits": {"netDevices": [{"hostInterfaceName": "eth7", "name": "eth0"}]}},
        {"name": "late", "containerEdits": {"hooks": [{"hookName": "poststart", "path": "/bin/true"}]}}
    ]
}"#;

#[test]
fn device_is_the_hosts_node() {
    let env = test_env!();
    env.busybox();
    for way in WAYS {
        let script = "stat -c %F /dev/other; head -c 3 /dev/other | wc -c";
        let flags = ["--device", "/dev/zero:/dev/other:rwm", "busybox"];
        let out = way.out(&env, &[&flags[..], &["sh", "-c", script]].concat());
        assert_eq!(out, "character special file\n3", "{way:?}");
        way.run(&env, &["--device", "/dev/zero:r", "busybox", "true"])
            .fails(
                125,
                "\"r\" can't be kept: without root no devices controller",
            );
        way.run(&env, &["--device", "none", "busybox", "true"])
            .fails(125, "bad device specification: none");
    }
    let id = env.out(&["create", "--device", "/dev/zero:/dev/other", "busybox"]);
    let format = "{{range .HostConfig.Devices}}{{.PathOnHost}} {{.PathInContainer}}{{end}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, &id]),
        "/dev/zero /dev/other"
    );
    for missing in ["/dev/not-there", "/etc/passwd"] {
        let words = format!("while adding custom device \"{missing}\"");
        env.run(&["run", "--device", missing, "busybox"])
            .fails(125, &words);
    }
}

#[test]
fn devices_of_the_interface_bring_nodes_files_variables_and_groups() {
    let env = test_env!();
    need!(Need::SubordinateIds);
    env.busybox();
    describe(&env, "vendor.json", JSON);
    let file = env.file("driver.conf", "of the driver\n");
    let yaml = format!(
        "cdiVersion: 0.6.0\nkind: vendor.test/gpu\ndevices:\n- name: all\n  containerEdits:\n    env: [GPU=all]\n    mounts:\n    - hostPath: {file}\n      containerPath: /etc/driver.conf\n      options: [ro, nosuid, nodev, rbind]\n"
    );
    describe(&env, "gpu.yaml", &yaml);
    for way in WAYS {
        let script = "echo $EVERY $ONE $GPU; stat -c %F /dev/vendor/zero; cat /etc/driver.conf; grep ^Groups /proc/self/status";
        let flags = [
            "--device",
            "vendor.test/device=zero",
            "--device=vendor.test/gpu=all",
            "busybox",
        ];
        let out = way.out(&env, &[&flags[..], &["sh", "-c", script]].concat());
        let lines: Vec<&str> = out.lines().collect();
        let expected = ["device zero all", "character special file", "of the driver"];
        assert_eq!(lines[..3], expected, "{way:?}");
        assert!(lines[3].contains("4711"), "{way:?}: {out}");
    }
    let id = env.out(&["create", "--device", "vendor.test/gpu=all", "busybox"]);
    let format = "{{range .HostConfig.DeviceRequests}}{{.Driver}} {{.DeviceIDs}}{{end}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, &id]),
        "cdi [vendor.test/gpu=all]"
    );
    for (name, words) in [
        (
            "vendor.test/device=none",
            "unresolvable CDI devices vendor.test/device=none",
        ),
        (
            "vendor.test/device=rooted",
            "needs a network interface of the host's",
        ),
        ("vendor.test/device=late", "has a hook poststart"),
    ] {
        env.run(&["run", "--device", name, "busybox"])
            .fails(125, words);
    }
    describe(&env, "broken.yaml", "kind: [\n");
    env.run(&["run", "--device", "vendor.test/device=none", "busybox"])
        .fails(125, "broken.yaml can't be read");
    describe(&env, "again.yml", &yaml);
    env.run(&["run", "--device", "vendor.test/gpu=all", "busybox"])
        .fails(125, "is described twice");
}

#[test]
fn gpus_are_nvidias_devices_of_the_interface() {
    let env = test_env!();
    env.busybox();
    let devices = ["0", "1", "all"].map(|name| {
        format!(r#"{{"name": "{name}", "containerEdits": {{"env": ["GPU_{name}=yes"]}}}}"#)
    });
    let text = format!(
        r#"{{"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [{}]}}"#,
        devices.join(",")
    );
    for way in WAYS {
        way.run(&env, &["--gpus", "none", "busybox", "true"])
            .fails(125, "invalid value for --gpus");
    }
    env.run(&["run", "--gpus", "all", "busybox"])
        .fails(125, "unresolvable CDI devices nvidia.com/gpu=all")
        .says("nvidia-ctk cdi generate");
    describe(&env, "nvidia.json", &text);
    for way in WAYS {
        for (gpus, expected) in [
            ("all", "GPU_all"),
            ("2", "GPU_0 GPU_1"),
            ("device=1", "GPU_1"),
        ] {
            let script = "env | grep ^GPU | cut -d= -f1 | sort | xargs";
            let flags = ["--gpus", gpus, "busybox", "sh", "-c", script];
            assert_eq!(way.out(&env, &flags), expected, "{way:?} {gpus}");
        }
    }
}

#[test]
fn hooks_of_a_device_finish_the_root_of_the_container() {
    let env = test_env!();
    env.busybox();
    // As vendors' hooks do: the root is where the bundle in the state says.
    let hook = env.file(
        "hook",
        "#!/bin/sh\nbundle=$(sed 's/.*\"bundle\":\"\\([^\"]*\\)\".*/\\1/')\nroot=$(sed 's/.*\"root\":{\"path\":\"\\([^\"]*\\)\".*/\\1/' \"$bundle/config.json\")\necho \"$0 $1 $KEY\" > \"$root/hooked\" || exit 3\ntest \"$1\" != fail || { echo broken >&2; exit 7; }\ntest \"$1\" != hang || { echo still at it >&2; exec sleep 1000; }\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).expect("it was just made");
    let device = |name: &str, argument: &str| {
        format!(
            r#"{{"name": "{name}", "containerEdits": {{"hooks": [{{"hookName": "createContainer", "path": "{hook}", "args": ["hook", "{argument}"], "env": ["KEY=value", "PATH=/usr/bin:/bin"]}}]}}}}"#
        )
    };
    let limited = |name: &str, argument: &str| {
        let begin = device(name, argument);
        begin.replacen(r#""path""#, r#""timeout": 1, "path""#, 1)
    };
    let text = format!(
        r#"{{"cdiVersion": "0.5.0", "kind": "vendor.test/hooked", "devices": [{}, {}, {}]}}"#,
        device("good", "right"),
        device("bad", "fail"),
        limited("slow", "hang")
    );
    describe(&env, "hooked.json", &text);
    let start = ["run", "--rm", "--network", "none", "--read-only"];
    let good = [
        "--device",
        "vendor.test/hooked=good",
        "busybox",
        "cat",
        "/hooked",
    ];
    let said = env.out(&[&start[..], &good].concat());
    assert!(said.ends_with("right value"), "{said}");
    let bad = ["--device", "vendor.test/hooked=bad", "busybox", "true"];
    env.run(&[&start[..], &bad].concat()).fails(125, "broken");
    let slow = ["--device", "vendor.test/hooked=slow", "busybox", "true"];
    let slow = env
        .run(&[&start[..], &slow].concat())
        .fails(125, "not done after 1 s");
    assert!(slow.stderr.contains("still at it"), "{slow:?}");
}
