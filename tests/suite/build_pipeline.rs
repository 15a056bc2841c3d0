//! A day of a developer's: clone, build, test, push, and pull on another machine; then one file changes. On the host, and inside
//! containers of podman and of bryo itself.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use crate::dockerfile::cached;
use crate::env::{TestEnv, bryo, test_env};
use crate::need::{Need, fixture, need, program};
use crate::process::{Outcome, eventually};
use crate::registry::{Access, Registry};

const DOCKERFILE: &str = "FROM busybox AS test\nWORKDIR /app\nCOPY lib lib\nCOPY test.sh .\nRUN sh test.sh\n\
    FROM busybox\nWORKDIR /app\nCOPY lib lib\nCOPY test.sh .\nRUN rm lib/notes\nCOPY site /site\nEXPOSE 8000\n\
    CMD [\"httpd\", \"-f\", \"-p\", \"8000\", \"-h\", \"/site\"]\n";

/// Where the day is spent.
trait Place {
    /// Runs bryo, on the developer's machine or on the other one.
    fn run(&self, machine: Machine, arguments: &[&str]) -> Outcome;
    /// What a container of the image answers to a browser.
    fn served(&self, machine: Machine, image: &str) -> String;
    fn registry(&self) -> &str;
    /// Where it finds what is below the test's home.
    fn path(&self, name: &str) -> String;
    /// Of builds.
    fn network(&self) -> &str;
    /// Of containers that need none.
    fn no_network(&self) -> &str {
        "none"
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Own,
    Other,
}

/// A repository, its clone `work` and the busybox image, below the test's home.
fn begin(env: &TestEnv, dockerfile: &str) {
    let start = "set -e; git init -q --bare origin.git; git clone -q origin.git work 2>/dev/null; cd work; mkdir lib site; \
        echo 'add() { echo $(($1 + $2)); }' > lib/add; echo notes > lib/notes; \
        echo '. lib/add; test $(add 1 2) = 3 || exit 3' > test.sh; echo one > site/index.html";
    env.other("sh", &["-c", start]).run().ok();
    env.file("work/Dockerfile", dockerfile);
    let image = crate::image::busybox().docker_archive("busybox:latest");
    env.file("busybox.tar", image);
}

fn commit(env: &TestEnv, script: &str) -> String {
    let all = format!(
        "set -e; cd work; {script}; git add -A; git -c user.email=a@b -c user.name=a commit -q -m change; git push -q; git rev-parse --short HEAD"
    );
    env.other("sh", &["-c", &all]).run().ok().out()
}

/// `listed`: what is below `lib` then.
fn spend_a_day(env: &TestEnv, place: &dyn Place, listed: &str) {
    let own = |arguments: &[&str]| place.run(Machine::Own, arguments);
    let other = |arguments: &[&str]| place.run(Machine::Other, arguments);
    let work = place.path("work");
    let build = |flags: &[&str]| {
        let begin = ["build", "--network", place.network()];
        own(&[&begin[..], flags, &[&work]].concat())
    };
    let network = place.no_network();
    let tests = |image: &str| own(&["run", "--rm", "--network", network, image, "sh", "test.sh"]);
    let layers = "{{json .RootFS.Layers}}";
    own(&["load", "-i", &place.path("busybox.tar")]).ok();
    let sha = commit(env, "true");
    let name = |sha: &str| format!("{}/app:{sha}", place.registry());
    let first = name(&sha);
    build(&["-t", &first]).ok();
    tests(&first).ok();
    let below = own(&["run", "--rm", "--network", network, &first, "ls", "lib"]);
    assert_eq!(below.ok().out(), listed);
    own(&["push", &first]).ok();
    other(&["pull", &first]).ok();
    assert_eq!(place.served(Machine::Other, &first), "one\n");
    let inspect = ["image", "inspect", "--format", layers, &first];
    assert_eq!(other(&inspect).ok().out(), own(&inspect).ok().out());
    // One file changes: one layer is built, pushed and pulled.
    let sha = commit(env, "echo two > site/index.html");
    let second = name(&sha);
    let built = build(&["-t", &second]).ok();
    assert_eq!(cached(&built), 4, "{}", built.stderr);
    let pushed = own(&["push", &second]).ok().stderr;
    let count = |text: &str, words: &str| text.lines().filter(|line| line.ends_with(words)).count();
    assert_eq!(count(&pushed, "Pushed"), 1, "{pushed}");
    let pulled = other(&["pull", &second]).ok();
    let all = format!("{}{}", pulled.stdout, pulled.stderr);
    assert_eq!(count(&all, "Pull complete"), 1, "{all}");
    assert_eq!(place.served(Machine::Other, &second), "two\n");
    // A test that fails stops the build, and a run of it says its code.
    commit(env, "sed -i 's/+/-/' lib/add");
    let failed = build(&["--target", "test"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("exit code: 3"), "{}", failed.stderr);
    build(&["-t", "broken"]).ok();
    tests("broken").code(3);
}

/// Two stores of an ordinary user.
struct Host<'a> {
    env: &'a TestEnv,
    other: TestEnv,
    registry: Registry,
}

impl Place for Host<'_> {
    fn run(&self, machine: Machine, arguments: &[&str]) -> Outcome {
        match machine {
            Machine::Own => self.env.run(arguments),
            Machine::Other => self.other.run(arguments),
        }
    }

    fn served(&self, machine: Machine, image: &str) -> String {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("the loopback has ports")
            .port();
        let publish = format!("127.0.0.1:{port}:8000");
        let id = self.run(machine, &["run", "-d", "--rm", "-p", &publish, image]);
        let id = id.ok().out();
        let mut answer = String::new();
        eventually("the server answers", || {
            answer.clear();
            TcpStream::connect(("127.0.0.1", port))
                .and_then(|mut stream| {
                    stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
                    stream.read_to_string(&mut answer)
                })
                .is_ok_and(|length| length > 0)
        });
        self.run(machine, &["stop", "-t", "0", &id]).ok();
        answer
            .rsplit("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned()
    }

    fn registry(&self) -> &str {
        &self.registry.address
    }

    fn path(&self, name: &str) -> String {
        let path = self.env.path("home").join(name);
        path.to_str().expect("test paths are UTF-8").to_owned()
    }

    fn network(&self) -> &str {
        "none"
    }
}

/// A container with bryo in it, and nothing that could connect further containers.
struct Inside<'a> {
    env: &'a TestEnv,
    /// The engine around, with the flags of all its commands.
    engine: Vec<&'a str>,
    container: String,
    /// Namespaces are forbidden there.
    is_confined: bool,
}

impl<'a> Inside<'a> {
    /// Debian with the programs that the day needs, and a registry at localhost:5000.
    fn start(env: &'a TestEnv, engine: &[&'a str], flags: &[&str], image: &str) -> Inside<'a> {
        let mut place = Inside {
            env,
            engine: engine.to_vec(),
            container: String::new(),
            is_confined: false,
        };
        let bind = |source: &Path, target: &str| format!("{}:{target}:ro", source.display());
        let programs = ["docker-registry", "busybox"].map(|name| {
            let path = program(name).expect("it was asked for");
            bind(&path, &format!("/usr/local/bin/{name}"))
        });
        let binds = [
            bind(&bryo(), "/usr/local/bin/bryo"),
            bind(&env.path("home"), "/work"),
        ];
        let mut words = vec!["run", "-d"];
        for bind in programs.iter().chain(&binds) {
            words.extend(["-v", bind]);
        }
        words.extend(flags);
        words.extend([image, "sleep", "infinity"]);
        let id = place.around(&words).ok().out();
        place.container = id.lines().last().unwrap_or_default().to_owned();
        let config = "version: 0.1\nlog: { level: error, accesslog: { disabled: true } }\n\
            storage: { filesystem: { rootdirectory: /srv } }\nhttp: { addr: \"127.0.0.1:5000\" }\n";
        env.file("registry.yml", config);
        let serve = ["docker-registry", "serve", "/work/registry.yml"];
        place
            .around(&[&["exec", "-d", &place.container], &serve[..]].concat())
            .ok();
        eventually("the registry listens", || {
            place.fetch("http://127.0.0.1:5000/v2/").code == 0
        });
        place
    }

    fn around(&self, arguments: &[&str]) -> Outcome {
        let words = [&self.engine[1..], arguments].concat();
        self.env.other(self.engine[0], &words).run()
    }

    fn inside(&self, arguments: &[&str]) -> Outcome {
        self.around(&[&["exec", &self.container], arguments].concat())
    }

    fn fetch(&self, url: &str) -> Outcome {
        self.inside(&["busybox", "wget", "-q", "-O", "-", url])
    }

    fn end(self) {
        // sleep(1) as PID 1 would let TERM pass.
        self.around(&["kill", &self.container]).ok();
        self.around(&["rm", "-f", &self.container]).ok();
    }
}

impl Place for Inside<'_> {
    fn run(&self, machine: Machine, arguments: &[&str]) -> Outcome {
        let other = ["env", "XDG_DATA_HOME=/other", "XDG_RUNTIME_DIR=/run"];
        match machine {
            Machine::Own => self.inside(&[&["bryo"], arguments].concat()),
            Machine::Other => self.inside(&[&other[..], &["bryo"], arguments].concat()),
        }
    }

    fn served(&self, machine: Machine, image: &str) -> String {
        let id = self.run(machine, &["run", "-d", "--rm", "--network", "host", image]);
        let id = id.ok().out();
        let mut answer = String::new();
        eventually("the server answers", || {
            let said = self.fetch("http://127.0.0.1:8000/index.html");
            answer.clone_from(&said.stdout);
            said.code == 0
        });
        self.run(machine, &["stop", "-t", "0", &id]).ok();
        answer
    }

    fn registry(&self) -> &str {
        "localhost:5000"
    }

    fn path(&self, name: &str) -> String {
        format!("/work/{name}")
    }

    fn network(&self) -> &str {
        "default"
    }

    fn no_network(&self) -> &str {
        match self.is_confined {
            true => "host",
            false => "none",
        }
    }
}

#[test]
fn a_change_of_one_file_costs_one_layer_everywhere() {
    need!(
        Need::Program("docker-registry"),
        Need::Program("git"),
        Need::Program("pasta")
    );
    let env = test_env!();
    begin(&env, DOCKERFILE);
    let place = Host {
        env: &env,
        other: TestEnv::new(),
        registry: Registry::start(&env, Access::Http),
    };
    spend_a_day(&env, &place, "add");
}

#[test]
fn the_same_inside_a_container_of_podman_with_default_settings() {
    need!(
        Need::Program("podman"),
        Need::Program("docker-registry"),
        Need::Program("git"),
        Need::Program("busybox"),
        Need::SubordinateIds,
        Need::Fixture("debian.tar")
    );
    let env = test_env!();
    begin(&env, DOCKERFILE);
    let engine = [
        "podman",
        "--cgroup-manager",
        "cgroupfs",
        "--events-backend",
        "none",
    ];
    let tar = fixture("debian.tar").display().to_string();
    let podman = |arguments: &[&str]| {
        let words = [&engine[1..], arguments].concat();
        env.other("podman", &words).run()
    };
    podman(&["import", "-q", &tar, "localhost/debian"]).ok();
    // Overlay does not lie on overlay, which podman's own root may be, and there is no /dev/fuse: then containers have copies.
    let place = Inside::start(&env, &engine, &[], "localhost/debian");
    spend_a_day(&env, &place, "add");
    let root = place.inside(&["stat", "-f", "-c", "%T", "/"]).ok().out();
    let info = place.run(Machine::Own, &["info"]).ok().stdout;
    assert_eq!(
        info.contains("Storage driver: copy"),
        root == "overlayfs",
        "{root}: {info}"
    );
    let said = place.run(Machine::Own, &["build", "--no-cache", &place.path("work")]);
    assert_eq!(
        said.stderr
            .matches("RUN has the network of a container of podman")
            .count(),
        1
    );
    place.end();
    // With the stores on volumes there is an overlay in any case.
    let flags = ["-v", "/root/.local/share/bryo", "-v", "/other"];
    let place = Inside::start(&env, &engine, &flags, "localhost/debian");
    let image = place.path("busybox.tar");
    place.run(Machine::Own, &["load", "-i", &image]).ok();
    let build = ["build", "--network", "default", &place.path("work")];
    let built = place.run(Machine::Own, &build).ok();
    assert!(!built.stderr.contains("stacked by"), "{}", built.stderr);
    place.end();
    podman(&["rmi", "-f", "localhost/debian"]).ok();
    // The process that keeps its user namespace.
    podman(&["system", "migrate"]).ok();
}

/// The flags of a container of bryo that makes containers: docker's filter, which bryo has too, forbids user namespaces.
const UNFILTERED: [&str; 2] = ["--security-opt", "seccomp=unconfined"];

/// What a day in a container of bryo needs.
macro_rules! needs_bryo_around {
    () => {
        need!(
            Need::Program("docker-registry"),
            Need::Program("git"),
            Need::Program("busybox"),
            Need::Program("pasta"),
            Need::SubordinateIds,
            Need::Fixture("debian.tar")
        )
    };
}

/// The project, and an image for the container around. Gives the program's path.
fn begin_around(env: &TestEnv) -> String {
    begin(env, DOCKERFILE);
    let tar = fixture("debian.tar").display().to_string();
    env.run(&["import", &tar, "debian"]).ok();
    bryo().display().to_string()
}

#[test]
fn the_same_inside_a_container_of_bryo() {
    needs_bryo_around!();
    let env = test_env!();
    let engine = begin_around(&env);
    let volumes = ["-v", "/root/.local/share/bryo", "-v", "/other"];
    let flags = [&UNFILTERED[..], &volumes].concat();
    let place = Inside::start(&env, &[&engine], &flags, "debian");
    spend_a_day(&env, &place, "add");
    let info = place.run(Machine::Own, &["info"]).ok().stdout;
    assert!(info.contains("Storage driver: overlay"), "{info}");
    place.end();
}

#[test]
fn the_same_inside_a_container_of_bryo_with_default_settings() {
    needs_bryo_around!();
    let env = test_env!();
    let engine = begin_around(&env);
    let mut place = Inside::start(&env, &[&engine], &[], "debian");
    place.is_confined = true;
    spend_a_day(&env, &place, "add");
    let info = place.run(Machine::Own, &["info"]).ok().stdout;
    assert!(info.contains("Isolation: chroot"), "{info}");
    place.end();
    // A store on a volume, where there could be overlays.
    let flags = ["-v", "/root/.local/share/bryo", "-v", "/other"];
    let mut place = Inside::start(&env, &[&engine], &flags, "debian");
    place.is_confined = true;
    let image = place.path("busybox.tar");
    place.run(Machine::Own, &["load", "-i", &image]).ok();
    let build = ["build", "--network", "default", &place.path("work")];
    place.run(Machine::Own, &build).ok();
    place.end();
}

#[test]
fn the_same_where_only_fuse_stacks_layers() {
    need!(
        Need::Program("docker-registry"),
        Need::Program("git"),
        Need::Program("busybox"),
        Need::Program("pasta"),
        Need::Program("fuse-overlayfs"),
        Need::Device("/dev/fuse"),
        Need::SubordinateIds,
        Need::Fixture("debian.tar")
    );
    let env = test_env!();
    begin(&env, DOCKERFILE);
    let tar = fixture("debian.tar").display().to_string();
    env.run(&["import", &tar, "debian"]).ok();
    let fuse = program("fuse-overlayfs").expect("it was asked for");
    let fuse = fuse.to_str().expect("its path is UTF-8");
    let libraries = env.other("ldd", &[fuse]).run().ok().stdout;
    let library = libraries
        .split_whitespace()
        .find(|word| word.starts_with('/') && word.contains("libfuse3"));
    let library = library.expect("it is linked to it");
    let binds = [fuse, library].map(|path| format!("{path}:{path}:ro"));
    let engine = bryo().display().to_string();
    let given = ["--device", "/dev/fuse", "-v", &binds[0], "-v", &binds[1]];
    let flags = [&UNFILTERED[..], &given].concat();
    let place = Inside::start(&env, &[&engine], &flags, "debian");
    // The kernel keeps no whiteout on an overlay: it is a file that fuse-overlayfs reads.
    spend_a_day(&env, &place, "add");
    let info = place.run(Machine::Own, &["info"]).ok().stdout;
    assert!(info.contains("Storage driver: fuse-overlayfs"), "{info}");
    place.end();
}
