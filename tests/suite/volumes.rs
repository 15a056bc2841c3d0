//! Volumes: what is kept, shared, filled, refused and removed.

use std::fs;

use serde_json::json;

use crate::env::{TestEnv, count, names, shared_env, test_env};
use crate::image::{DIRECTORY, Entry, FILE, Layer, SYMLINK, busybox};
use crate::need::{Need, need};

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

fn run<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&RUN[..], rest].concat()
}

/// busybox with something at `/data`, which the image calls a volume: owners, modes, links, an attribute.
fn filled(env: &TestEnv) {
    let entry = |name, kind, mode, uid, gid, content| Entry {
        name,
        kind,
        mode,
        uid,
        gid,
        content,
        ..Entry::default()
    };
    let layer = Layer::new()
        .entry(&entry("data/", DIRECTORY, 0o1775, 5, 6, b""))
        .entry(&entry("data/sub/", DIRECTORY, 0o700, 33, 33, b""))
        .pax(&[("SCHILY.xattr.user.bryo", "kept")])
        .entry(&entry("data/sub/file", FILE, 0o4640, 33, 34, b"content"))
        .hard_link("data/twin", "data/sub/file")
        .entry(&Entry {
            name: "data/link",
            kind: SYMLINK,
            link: "/etc/passwd",
            uid: 7,
            ..Entry::default()
        });
    let image = busybox()
        .with(&layer)
        .configured("Volumes", json!({ "/data": {} }));
    env.load(&image.docker_archive("filled:latest"));
}

fn volumes(env: &TestEnv) -> Vec<String> {
    let listed = env.out(&["volume", "ls", "-q"]);
    listed.lines().map(str::to_owned).collect()
}

#[test]
fn a_named_volume_keeps_its_files_and_two_containers_share_it() {
    let env = shared_env!();
    env.busybox();
    env.run(&run(&[
        "-v",
        "db:/x",
        "busybox",
        "sh",
        "-c",
        "echo kept > /x/file",
    ]))
    .ok();
    let shared = "until test -e /x/answer; do sleep 0.02; done; cat /x/answer";
    let mut first = env.spawn(&run(&["-v", "db:/x", "busybox", "sh", "-c", shared]));
    let second = run(&[
        "-v",
        "db:/y:ro",
        "-v",
        "db:/z",
        "busybox",
        "sh",
        "-c",
        "cat /y/file; touch /y/no 2>/dev/null || echo refused; echo both > /z/new; mv /z/new /z/answer",
    ]);
    assert_eq!(env.out(&second), "kept\nrefused");
    first.until("both");
    first.wait().ok();
    assert_eq!(env.out(&["volume", "ls", "-q"]), "db");
}

#[test]
fn an_empty_volume_gets_what_the_image_has_there() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    filled(&env);
    let look = "stat -c '%n %a %u %g %F %h' /data /data/sub /data/sub/file /data/twin /data/link; \
                readlink /data/link; cat /data/twin";
    let there = env.out(&run(&["--entrypoint", "sh", "filled", "-c", look]));
    let expected = "/data 1775 5 6 directory 3\n/data/sub 700 33 33 directory 2\n\
                    /data/sub/file 4640 33 34 regular file 2\n/data/twin 4640 33 34 regular file 2\n\
                    /data/link 777 7 0 symbolic link 1\n/etc/passwd\ncontent";
    assert_eq!(there, expected);
    let named = env.out(&run(&["-v", "v1:/data", "filled", "sh", "-c", look]));
    assert_eq!(named, expected);
    // What is in it is never touched, what is gone never comes back.
    let change = "rm -r /data/sub /data/twin; echo mine > /data/link2";
    env.run(&run(&["-v", "v1:/data", "filled", "sh", "-c", change]))
        .ok();
    let kept = env.out(&run(&["-v", "v1:/data", "filled", "ls", "/data"]));
    assert_eq!(kept, "link\nlink2");
    let read = env.out(&run(&["-v", "v1:/data:ro", "filled", "ls", "/data"]));
    assert_eq!(read, "link\nlink2", "CVE-2020-1726");
    let none = env.out(&run(&[
        "-v",
        "v2:/data:nocopy",
        "filled",
        "ls",
        "-A",
        "/data",
    ]));
    assert_eq!(none, "");
    let mount = "type=volume,source=v3,target=/data,volume-nocopy";
    let none = env.out(&run(&["--mount", mount, "filled", "ls", "-A", "/data"]));
    assert_eq!(none, "");
}

#[test]
fn extended_attributes_come_along_into_a_volume() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    filled(&env);
    env.run(&run(&["-v", "v1:/data", "filled", "true"])).ok();
    let exported = env.path("home/v1.tar");
    let path = exported.to_str().expect("test paths are UTF-8");
    env.run(&["volume", "export", "-o", path, "v1"]).ok();
    let tar = fs::read(&exported).expect("it was written");
    let record = b"SCHILY.xattr.user.bryo=kept\n";
    assert!(tar.windows(record.len()).any(|window| window == record));
}

#[test]
fn containers_that_start_at_once_fill_a_volume_once() {
    let env = test_env!();
    let mut layer = Layer::new().directory("data/", 0o755);
    for number in 0..300 {
        layer = layer.file(&format!("data/{number}"), 0o644, "x");
    }
    env.load(&busybox().with(&layer).docker_archive("many:latest"));
    for round in 0..count(3, 50) {
        let volume = format!("v{round}:/data");
        let look = run(&["-v", &volume, "many", "sh", "-c", "ls /data | wc -l"]);
        let started: Vec<_> = (0..4).map(|_| env.spawn(&look)).collect();
        for one in started {
            assert_eq!(one.wait().ok().out().trim(), "300");
        }
        let left = names(&env.store().join("volumes").join(format!("v{round}")));
        assert_eq!(left.len(), 2, "only data and volume.json: {left:?}");
    }
}

#[test]
fn a_path_that_the_image_declares_is_an_anonymous_volume() {
    let env = shared_env!();
    let image = busybox().configured("Volumes", json!({ "/data": {}, "/more": {} }));
    env.load(&image.docker_archive("declared:latest"));
    env.run(&[
        "create",
        "--name",
        "c1",
        "-v",
        "mine:/more",
        "declared",
        "true",
    ])
    .ok();
    let all = volumes(&env);
    assert_eq!(all.len(), 2, "{all:?}");
    let anonymous = all
        .iter()
        .find(|name| name.len() == 64)
        .expect("one has no name");
    let format = "{{range .Mounts}}{{if eq .Destination \"/data\"}}{{.Type}} {{.Name}} {{.Driver}} {{.RW}}{{end}}{{end}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, "c1"]),
        format!("volume {anonymous} local true")
    );
    env.run(&["rm", "c1"]).ok();
    assert_eq!(volumes(&env).len(), 2, "rm alone takes no volume along");
}

#[test]
fn anonymous_volumes_go_with_rm_v_and_with_run_rm() {
    let env = shared_env!();
    env.busybox();
    env.run(&run(&[
        "-v",
        "/data",
        "-v",
        "kept:/kept",
        "busybox",
        "true",
    ]))
    .ok();
    assert_eq!(volumes(&env), ["kept"]);
    env.run(&[
        "create",
        "--name",
        "c1",
        "-v",
        "/data",
        "-v",
        "kept:/kept",
        "busybox",
    ])
    .ok();
    assert_eq!(volumes(&env).len(), 2);
    // Another one uses it: it stays until that one goes.
    env.run(&["create", "--name", "c2", "--volumes-from", "c1", "busybox"])
        .ok();
    env.run(&["rm", "-v", "c1"]).ok();
    assert_eq!(volumes(&env).len(), 2);
    env.run(&["rm", "-v", "c2"]).ok();
    assert_eq!(volumes(&env), ["kept"]);
}

#[test]
fn a_failed_start_of_run_rm_leaves_no_volume() {
    let env = test_env!();
    env.busybox();
    env.run(&run(&["-v", "/data", "busybox", "/no/such/program"]))
        .fails(127, "");
    assert!(volumes(&env).is_empty());
    assert!(names(&env.store().join("trash")).is_empty());
}

#[test]
fn a_volume_in_use_is_not_removed() {
    let env = test_env!();
    env.busybox();
    let id = env.out(&["create", "-v", "db:/x", "busybox", "true"]);
    let refused = env.run(&["volume", "rm", "-f", "db"]);
    refused.fails(1, &format!("remove db: volume is in use - [{id}]"));
    env.run(&["volume", "prune", "-af"]).ok();
    assert_eq!(volumes(&env), ["db"]);
    env.run(&["rm", &id]).ok();
    assert_eq!(env.out(&["volume", "rm", "db"]), "db");
    assert!(volumes(&env).is_empty());
    env.run(&["volume", "rm", "db"])
        .fails(1, "get db: no such volume");
    assert!(names(&env.store().join("trash")).is_empty());
}

#[test]
fn files_of_other_ids_are_deleted_with_their_volume() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    env.busybox();
    let script =
        "mkdir -p /x/deep; echo 1 > /x/deep/file; chown -R 1000:1000 /x; chmod 500 /x/deep";
    env.run(&run(&["-v", "db:/x", "busybox", "sh", "-c", script]))
        .ok();
    env.run(&["volume", "rm", "db"]).ok();
    assert!(names(&env.store().join("trash")).is_empty());
}

#[test]
fn a_volume_s_subpath_is_mounted() {
    let env = test_env!();
    env.busybox();
    let script =
        "mkdir -p /x/a/b; echo in > /x/a/b/file; ln -s a/b /x/inside; ln -s /etc /x/outside";
    env.run(&run(&["-v", "db:/x", "busybox", "sh", "-c", script]))
        .ok();
    let mount = |subpath: &str| format!("source=db,target=/y,volume-subpath={subpath}");
    let shown = |subpath: &str| {
        let mount = mount(subpath);
        env.run(&run(&[
            "--mount",
            &mount,
            "busybox",
            "sh",
            "-c",
            "cat /y/file || cat /y",
        ]))
    };
    for inside in ["a/b", "a/b/file", "inside"] {
        assert_eq!(shown(inside).ok().out(), "in", "{inside}");
    }
    // A link to /etc is one to the volume's own, which it has not.
    for missing in ["nothing", "outside"] {
        shown(missing).fails(125, "No such file");
    }
    for outside in ["../db", "/etc", "a/../../x"] {
        shown(outside).fails(125, "invalid volume subpath");
    }
}

#[test]
fn a_subpath_that_is_swapped_for_a_link_leads_nowhere_else() {
    // CVE-2021-30465
    let env = test_env!();
    env.busybox();
    let canary = env.file("canary/secret", "host");
    let directory = env.path("home/canary");
    let setup = "mkdir -p /x/real; echo volume > /x/real/secret";
    env.run(&run(&["-v", "db:/x", "busybox", "sh", "-c", setup]))
        .ok();
    let flip = format!(
        "echo go; while :; do mv /x/real /x/aside; ln -s {0} /x/real; rm /x/real; \
         ln -s ../../../../../../../../../../..{0} /x/real; rm /x/real; mv /x/aside /x/real; done",
        directory.display()
    );
    let flags = ["run", "-d", "--name", "flip", "--network", "none"];
    let rest = ["-v", "db:/x", "busybox", "sh", "-c", &flip];
    env.run(&[&flags[..], &rest].concat()).ok();
    let mount = "source=db,target=/y,volume-subpath=real";
    let mut seen = 0;
    for _ in 0..count(60, 1000) {
        let out = env.run(&run(&["--mount", mount, "busybox", "cat", "/y/secret"]));
        assert!(!out.stdout.contains("host"), "{out:?}");
        seen += usize::from(out.stdout == "volume\n");
    }
    env.run(&["rm", "-f", "flip"]).ok();
    assert!(seen > 0, "it never mounted what is really there");
    assert_eq!(fs::read_to_string(canary).expect("it is there"), "host");
}

#[test]
fn export_follows_no_link_that_is_swapped_in() {
    // CVE-2023-0778
    let env = test_env!();
    env.busybox();
    env.file("canary/secret", "content of the host");
    let directory = env.path("home/canary");
    let flip = format!(
        "mkdir /x/real; echo volume > /x/real/secret; \
         while :; do mv /x/real /x/aside; ln -s {} /x/real; rm /x/real; mv /x/aside /x/real; done",
        directory.display()
    );
    let flags = ["run", "-d", "--name", "flip", "--network", "none"];
    let rest = ["-v", "db:/x", "busybox", "sh", "-c", &flip];
    env.run(&[&flags[..], &rest].concat()).ok();
    for _ in 0..count(30, 500) {
        let exported = env.run(&["volume", "export", "db"]);
        assert!(!exported.stdout.contains("content of the host"));
    }
    env.run(&["rm", "-f", "flip"]).ok();
}

#[test]
fn export_and_import_move_everything() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    filled(&env);
    env.run(&run(&["-v", "one:/data", "filled", "true"])).ok();
    let file = env.path("home/one.tar");
    let path = file.to_str().expect("test paths are UTF-8");
    env.run(&["volume", "export", "one", "--output", path]).ok();
    env.run(&["volume", "create", "two"]).ok();
    env.run(&["volume", "import", "two", path]).ok();
    let look = "cd /v; find . | sort | xargs stat -c '%n %a %u %g %F %h %Y'; cat twin";
    let seen = |volume: &str| {
        let volume = format!("{volume}:/v");
        env.out(&run(&["-v", &volume, "filled", "sh", "-c", look]))
    };
    assert_eq!(seen("two"), seen("one"));
    // Through pipes, over what is there already.
    let piped = env.other(
        "sh",
        &["-c", "$BRYO volume export one | $BRYO volume import two -"],
    );
    piped.var("BRYO", crate::env::bryo()).run().ok();
    assert_eq!(seen("two"), seen("one"));
    env.run(&["volume", "export", "none"])
        .fails(1, "get none: no such volume");
    env.run(&["volume", "import", "none", path])
        .fails(1, "get none: no such volume");
}

#[test]
fn a_hostile_archive_is_imported_into_the_volume_only() {
    let env = test_env!();
    env.busybox();
    let canary = env.file("canary/secret", "host");
    let directory = env.path("home/canary");
    let directory = directory.to_str().expect("test paths are UTF-8");
    env.run(&["volume", "create", "v1"]).ok();
    let through = Layer::new()
        .symlink("link", directory)
        .file("link/secret", 0o644, "overwritten");
    let above = Layer::new().file("../../../../canary/secret", 0o644, "overwritten");
    let linked = Layer::new().hard_link("copy", &canary);
    for layer in [through, above, linked] {
        let input = layer.tar();
        env.command(&["volume", "import", "v1", "-"])
            .input(input)
            .run();
        assert_eq!(fs::read_to_string(&canary).expect("it is there"), "host");
        assert_eq!(names(directory.as_ref()), ["secret"]);
    }
    // No whiteout in a volume: a name like others.
    let layer = Layer::new().file(".wh.name", 0o644, "x");
    let imported = env.command(&["volume", "import", "v1", "-"]);
    imported.input(layer.tar()).run().ok();
    let listed = env.out(&run(&["-v", "v1:/v", "busybox", "ls", "-A", "/v"]));
    assert!(listed.lines().any(|name| name == ".wh.name"), "{listed}");
}

#[test]
fn options_of_a_volume_make_it_a_tmpfs_or_a_bind() {
    let env = test_env!();
    env.busybox();
    let directory = env.path("home/shared");
    env.file("shared/file", "from outside\n");
    let device = format!("device={}", directory.display());
    let bind = ["-o", "type=none", "-o", "o=bind,ro", "-o", &device, "bound"];
    env.run(&[&["volume", "create"], &bind[..]].concat()).ok();
    let script = "cat /x/file; touch /x/no 2>/dev/null || echo read-only";
    let out = env.out(&run(&["-v", "bound:/x", "busybox", "sh", "-c", script]));
    assert_eq!(out, "from outside\nread-only");
    env.run(&["volume", "rm", "bound"]).ok();
    assert!(directory.join("file").is_file());
    let tmpfs = [
        "-o",
        "type=tmpfs",
        "-o",
        "device=tmpfs",
        "-o",
        "o=size=1m,mode=1770",
        "tmp",
    ];
    env.run(&[&["volume", "create"], &tmpfs[..]].concat()).ok();
    let script = "stat -f -c %T /x; stat -c %a /x; df -k /x | grep -c 1024";
    let out = env.out(&run(&["-v", "tmp:/x", "busybox", "sh", "-c", script]));
    assert_eq!(out, "tmpfs\n1770\n1");
    env.run(&["volume", "export", "-o", "/dev/null", "tmp"])
        .fails(1, "volume tmp is kept by its options");
    for (option, message) in [
        (["type=nfs", "device=:/x"], "volume type \"nfs\""),
        (["size=1g", "type=none"], "quota"),
        (["colour=red", "type=none"], "invalid option: \"colour\""),
    ] {
        let flags = ["volume", "create", "-o", option[0], "-o", option[1], "no"];
        env.run(&flags).fails(1, message);
    }
    env.run(&["volume", "create", "-d", "flocker", "no"])
        .fails(1, "plugin \"flocker\" not found");
    assert_eq!(volumes(&env), ["tmp"]);
}

#[test]
fn a_mount_may_be_given_to_the_container_s_user() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    env.busybox();
    let setup = "mkdir /x/sub; echo 1 > /x/sub/file; ln -s /etc/passwd /x/link";
    env.run(&run(&["-v", "db:/x", "busybox", "sh", "-c", setup]))
        .ok();
    let look = "stat -c '%u:%g' /x /x/sub /x/sub/file /x/link /etc/passwd";
    let flags = ["-u", "app", "-v", "db:/x:U", "busybox", "sh", "-c", look];
    let given = env.out(&run(&flags));
    assert_eq!(given, "1000:1000\n1000:1000\n1000:1000\n1000:1000\n0:0");
    let mount = "source=db,target=/x,chown=true";
    let flags = ["--mount", mount, "busybox", "sh", "-c", look];
    assert_eq!(env.out(&run(&flags)), "0:0\n0:0\n0:0\n0:0\n0:0");
}

#[test]
fn create_and_uid_and_gid_make_a_volume_of_another_owner() {
    need!(Need::SubordinateIds);
    let env = test_env!();
    env.busybox();
    env.run(&["volume", "create", "--uid", "1000", "--gid", "50", "db"])
        .ok();
    let flags = ["-v", "db:/x", "busybox", "stat", "-c", "%u:%g", "/x"];
    assert_eq!(env.out(&run(&flags)), "1000:50");
    env.run(&["volume", "exists", "db"]).ok();
    env.run(&["volume", "exists", "other"]).code(1);
}

#[test]
fn names_that_are_no_names_are_refused_as_docker_does() {
    let env = test_env!();
    env.busybox();
    for (name, message) in [
        ("a", "volume name is too short"),
        (
            "../x",
            "includes invalid characters for a local volume name",
        ),
        (".hidden", "includes invalid characters"),
    ] {
        env.run(&["volume", "create", name]).fails(1, message);
    }
    env.run(&run(&["-v", "a b:/x", "busybox", "true"]))
        .fails(125, "includes invalid characters");
    let none = env.run(&["volume", "inspect", "nothing"]).code(1);
    assert_eq!(none.stdout, "[]\n");
    assert_eq!(none.stderr, "Error: get nothing: no such volume\n");
    assert!(volumes(&env).is_empty());
}

#[test]
fn ps_and_inspect_show_volumes() {
    let env = test_env!();
    // No name that the id of a network can begin with: networks go first.
    env.busybox();
    let flags = [
        "create",
        "--name",
        "c1",
        "-v",
        "goods:/x:ro",
        "-v",
        "/y",
        "busybox",
    ];
    env.run(&flags).ok();
    let row = env.out(&[
        "ps",
        "-a",
        "--no-trunc",
        "--format",
        "{{.Mounts}} {{.LocalVolumes}}",
    ]);
    assert!(row.starts_with("goods,") && row.ends_with(" 2"), "{row}");
    let format = "{{json .HostConfig.Binds}} {{json .Config.Volumes}}";
    assert_eq!(
        env.out(&["inspect", "-f", format, "c1"]),
        "[\"goods:/x:ro\"] {\"/y\":{}}"
    );
    for filter in ["volume=goods", "volume=/x"] {
        let found = env.out(&["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]);
        assert_eq!(found, "c1", "{filter}");
    }
    let format = "{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}}";
    let place = env.store().join("volumes/goods/data");
    assert_eq!(
        env.out(&["inspect", "--type", "volume", "-f", format, "goods"]),
        format!("goods local local {}", place.display())
    );
    assert_eq!(env.out(&["inspect", "-f", "{{.Name}}", "goods"]), "goods");
}

#[test]
fn a_name_that_is_taken_makes_no_volume() {
    let env = test_env!();
    env.busybox();
    env.run(&["create", "--name", "c1", "busybox"]).ok();
    env.run(&[
        "create", "--name", "c1", "-v", "/x", "-v", "db:/y", "busybox",
    ])
    .fails(1, "Conflict");
    assert!(volumes(&env).is_empty());
}
