//! `login` and `logout`: whom real registries let in, where what they accept is kept, and where no secret ever appears.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::env::{TestEnv, test_env};
use crate::image::busybox;
use crate::need::{Need, need};
use crate::process::eventually;
use crate::registry::{Access, Registry};

macro_rules! need_registry {
    () => {
        need!(
            Need::Program("docker-registry"),
            Need::Program("skopeo"),
            Need::Program("openssl")
        );
    };
}

/// base64 of tester:secret
const AUTH: &str = "dGVzdGVyOnNlY3JldA==";

fn docker_config(env: &TestEnv) -> String {
    fs::read_to_string(env.path("home/.docker/config.json")).unwrap_or_default()
}

/// Logs in with the password from standard input.
fn log_in(env: &TestEnv, address: &str, password: &str) -> crate::process::Outcome {
    env.command(&["login", "-u", "tester", "--password-stdin", address])
        .input(password)
        .run()
}

#[test]
fn login_checks_the_password_and_keeps_it_in_dockers_file() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    env.file(
        ".docker/config.json",
        r#"{"HttpHeaders":{"X":"y"},"auths":{"other.example":{"auth":"eDp5"}}}"#,
    );
    log_in(&env, &registry.address, "wrong\n")
        .fails(1, "401 Unauthorized")
        .says(&format!("login attempt to http://{}/v2/", registry.address));
    assert!(!docker_config(&env).contains(&registry.address));

    log_in(&env, &registry.address, "secret\r\n")
        .ok()
        .prints("Login Succeeded\n")
        .says("WARNING! Your credentials are stored unencrypted in '");
    let kept: serde_json::Value = serde_json::from_str(&docker_config(&env)).expect("valid");
    assert_eq!(kept["auths"][&registry.address]["auth"], AUTH);
    assert_eq!(kept["auths"]["other.example"]["auth"], "eDp5");
    assert_eq!(kept["HttpHeaders"]["X"], "y");
    let path = env.path("home/.docker/config.json");
    let mode = fs::metadata(&path)
        .expect("it was written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    env.run(&["pull", &name]).ok();

    env.run(&["logout", &registry.address])
        .ok()
        .prints(&format!(
            "Removing login credentials for {}\n",
            registry.address
        ));
    assert!(!docker_config(&env).contains(&registry.address));
    assert!(docker_config(&env).contains("other.example"));
    env.run(&["rmi", &name]).ok();
    env.run(&["pull", &name]).fails(1, "bryo login");
}

#[test]
fn login_asks_a_token_server() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Token);
    let name = registry.push(&env, &busybox(), "app");
    log_in(&env, &registry.address, "wrong").fails(1, "401 Unauthorized");
    assert_eq!(docker_config(&env), "");
    // The server gives a token in the password's place, and that is what is kept.
    log_in(&env, &registry.address, "secret").ok();
    assert!(docker_config(&env).contains("\"identitytoken\": \"stays-in\""));
    assert!(!docker_config(&env).contains(AUTH));
    env.run(&["pull", &name]).ok();
    assert_eq!(
        env.out(&["login", "--get-login", &registry.address]),
        "tester"
    );
    // What is known is tried before anything is asked.
    env.run(&["login", &registry.address])
        .ok()
        .prints("Authenticating with existing credentials... [Username: tester]")
        .prints("Login Succeeded");
}

#[test]
fn login_flags_are_dockers() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let at = registry.address.as_str();
    let warning = "WARNING! Using --password via the CLI is insecure. Use --password-stdin.";
    for flags in [
        ["-u", "tester", "-p", "secret"],
        ["--username", "tester", "--password", "secret"],
    ] {
        let words = [&["login"], &flags[..], &[at]].concat();
        env.run(&words).ok().says(warning).prints("Login Succeeded");
        env.run(&["logout", "--all"]).ok().prints(at);
        env.run(&["login", "--get-login", at])
            .fails(125, "not logged into");
    }
    env.run(&["login", "-u", "x", "-p", "y", "--password-stdin", at])
        .fails(1, "--password and --password-stdin are mutually exclusive");
    env.command(&["login", "--password-stdin", at])
        .input("secret")
        .run()
        .fails(1, "must provide --username with --password-stdin");
    env.run(&["login", "-u", "tester", at]).fails(
        1,
        "cannot perform an interactive login from a non-TTY device",
    );
}

#[test]
fn login_asks_at_a_terminal_and_does_not_show_the_password() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let mut terminal = env.terminal(&["login", &registry.address]);
    let before = terminal.settings().local_modes;
    terminal.expect("Username: ");
    terminal.types("tester\n");
    terminal.expect("Password: ");
    let echo = rustix::termios::LocalModes::ECHO;
    eventually("the echo is off", || {
        !terminal.settings().local_modes.contains(echo)
    });
    terminal.types("secret\n");
    terminal.expect("Login Succeeded");
    assert_eq!(terminal.wait(), 0);
    assert!(!terminal.seen().contains("secret"));
    assert_eq!(terminal.settings().local_modes, before);

    env.run(&["logout", &registry.address]).ok();
    let mut terminal = env.terminal(&["login", "-u", "tester", &registry.address]);
    terminal.expect("Password: ");
    eventually("the echo is off", || {
        !terminal.settings().local_modes.contains(echo)
    });
    terminal.types("\u{3}");
    assert_eq!(terminal.wait(), 130);
    assert_eq!(terminal.settings().local_modes, before);
}

/// A helper that keeps what it is given in a file, and its arguments in another.
fn helper(env: &mut TestEnv) {
    let script = "#!/bin/sh\ndir=$HOME/helper; mkdir -p $dir; echo \"$@\" >> $dir/arguments\n\
        case $1 in\n\
        store) cat > $dir/kept;;\n\
        get) cat > $dir/asked; test -e $dir/kept || { echo credentials not found in native keychain; exit 1; }; cat $dir/kept;;\n\
        erase) cat > $dir/erased; rm -f $dir/kept;;\nesac\n";
    let path = env.file("bin/docker-credential-drawer", script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it was written");
    let programs = std::env::var("PATH").expect("it is set");
    let bin = env.path("home/bin").display().to_string();
    env.set("PATH", &format!("{bin}:{programs}"));
}

#[test]
fn login_and_logout_go_through_a_credential_helper() {
    let mut env = test_env!();
    need_registry!();
    helper(&mut env);
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    for config in [
        r#"{"credsStore":"drawer"}"#.to_owned(),
        format!(r#"{{"credHelpers":{{"{}":"drawer"}}}}"#, registry.address),
    ] {
        env.file(".docker/config.json", config);
        let login = log_in(&env, &registry.address, "secret").ok();
        assert!(!login.stderr.contains("unencrypted"), "{login:?}");
        let read = |name: &str| fs::read_to_string(env.path("home/helper").join(name));
        let kept: serde_json::Value =
            serde_json::from_str(&read("kept").expect("it was stored")).expect("valid");
        assert_eq!(kept["ServerURL"], registry.address.as_str());
        assert_eq!(
            (&kept["Username"], &kept["Secret"]),
            (&"tester".into(), &"secret".into())
        );
        // docker leaves an empty record beside the helper's.
        assert!(!docker_config(&env).contains("auth\":"));
        assert!(docker_config(&env).contains(&registry.address));
        env.run(&["pull", &name]).ok();
        env.run(&["rmi", &name]).ok();
        assert_eq!(read("asked").expect("it was asked"), registry.address);
        env.run(&["logout", &registry.address]).ok();
        assert_eq!(read("erased").expect("it was told"), registry.address);
        assert!(read("kept").is_err());
        assert!(!docker_config(&env).contains(&format!("\"{}\": {{}}", registry.address)));
        let arguments = read("arguments").expect("it was called");
        assert!(
            arguments
                .lines()
                .all(|line| ["get", "store", "erase"].contains(&line))
        );
    }
}

#[test]
fn a_credential_helper_that_is_missing_is_explained() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app");
    env.file(".docker/config.json", r#"{"credsStore":"nowhere"}"#);
    let missing = "docker-credential-nowhere is not installed";
    log_in(&env, &registry.address, "secret").fails(1, missing);
    // A pull may not need it; where it does, it says so.
    env.run(&["pull", &name])
        .fails(1, "access denied")
        .says(missing);
    env.file(".docker/config.json", r#"{"credsStore":"../../bin/sh"}"#);
    env.run(&["pull", &name]).fails(1, "letters, digits");
}

#[test]
fn credentials_of_containers_tools_are_found() {
    let env = test_env!();
    need_registry!();
    let registry = Registry::start(&env, Access::Basic);
    let name = registry.push(&env, &busybox(), "app/one");
    let record = |key: &str| serde_json::json!({ "auths": { key: { "auth": AUTH } } }).to_string();
    let at = &registry.address;
    let below = format!("{at}/app");
    for (place, key) in [
        ("run/containers/auth.json", at),
        ("config/containers/auth.json", at),
        ("home/named.json", &below),
    ] {
        let path = env.path(place);
        fs::create_dir_all(path.parent().expect("it has one")).expect("the test's own");
        fs::write(&path, record(key)).expect("the test's own");
        let pull = env.command(&["pull", &name]);
        match place {
            "home/named.json" => pull.var("REGISTRY_AUTH_FILE", &path),
            _ => pull,
        }
        .run()
        .ok();
        env.run(&["rmi", &name]).ok();
        if key == at && place != "home/named.json" {
            env.run(&["logout", at]).ok().says("still has credentials");
        }
        fs::remove_file(&path).expect("it was written");
        env.run(&["pull", &name]).fails(1, "access denied");
    }
}

#[test]
fn a_login_never_tells_the_password() {
    let mut env = test_env!();
    need_registry!();
    helper(&mut env);
    for access in [Access::Basic, Access::Token] {
        let registry = Registry::start(&env, access);
        for config in ["{}", r#"{"credsStore":"drawer"}"#] {
            env.file(".docker/config.json", config);
            for password in ["secret", "hunter2"] {
                let login = env
                    .command(&[
                        "login",
                        "-u",
                        "tester",
                        "--password-stdin",
                        &registry.address,
                    ])
                    .var("BRYO_LOG", "trace")
                    .input(password)
                    .run();
                let all = [login.stdout, login.stderr].concat();
                assert!(all.contains("transfer"), "nothing was traced: {all}");
                // base64 of tester:hunter2, the beginning of every JWT, the identity token
                for leak in [password, AUTH, "dGVzdGVyOmh1bnRlcjI", "eyJ", "stays-in"] {
                    let line = all.lines().find(|line| line.contains(leak));
                    assert_eq!(line, None, "{leak} is told");
                }
            }
        }
    }
}
