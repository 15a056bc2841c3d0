//! `search`: a registry's catalog, and Docker Hub's index as a server beside plays it.

use std::fs;

use crate::env::{TestEnv, test_env};
use crate::image::busybox;
use crate::misbehaving::{Answer, Server};
use crate::need::{Need, need};
use crate::registry::{Access, Registry};

/// Docker Hub's index with three repositories, under the address that the configuration names for it.
fn hub(env: &TestEnv) -> Server {
    let server = Server::start(|request| match request.path.as_str() {
        "/v1/search" => {
            assert!(request.query.contains("q=web"), "{request:?}");
            Answer::json(
                200,
                r#"{"num_results":3,"results":[
                {"name":"nginx","description":"Official build of Nginx, which is a web server and more","star_count":20000,"is_official":true,"is_automated":false},
                {"name":"some/web","description":"short","star_count":7,"is_official":false,"is_automated":true},
                {"name":"other/web","description":"","star_count":0,"is_official":false,"is_automated":false}]}"#,
            )
        }
        _ => Answer::new(404),
    });
    let config = env.path("config/bryo/config.toml");
    fs::create_dir_all(config.parent().expect("it has one")).expect("the test's own directory");
    let text = format!(
        "[registries.\"docker.io\"]\nlocation = \"{}\"\n",
        server.host()
    );
    fs::write(config, text).expect("the test's own directory");
    server
}

#[test]
fn search_shows_docker_hubs_repositories() {
    let env = test_env!();
    let _hub = hub(&env);
    let all = env.run(&["search", "web"]).ok();
    let lines = all.lines();
    assert!(lines[0].starts_with("NAME"), "{all:?}");
    for heading in ["DESCRIPTION", "STARS", "OFFICIAL"] {
        assert!(lines[0].contains(heading), "{all:?}");
    }
    assert!(
        lines[1].contains("Official build of Nginx, which is a web serv…"),
        "{all:?}"
    );
    assert!(lines[1].trim_end().ends_with("20000     [OK]"), "{all:?}");
    assert_eq!(lines.len(), 4);
    let whole = env.run(&["search", "--no-trunc", "web"]).ok();
    assert!(whole.stdout.contains("a web server and more"), "{whole:?}");
    let names = |flags: &[&str]| {
        let words = [
            &["search", "--format", "{{.Name}} {{.StarCount}}"],
            flags,
            &["web"],
        ]
        .concat();
        env.out(&words)
    };
    assert_eq!(names(&["--filter", "stars=7"]), "nginx 20000\nsome/web 7");
    assert_eq!(names(&["-f", "is-official=true"]), "nginx 20000");
    assert_eq!(names(&["-f", "is-automated=true"]), "some/web 7");
    assert_eq!(names(&["--limit", "1"]), "nginx 20000");
    env.run(&["search", "--limit", "101", "web"])
        .fails(1, "limit 101 is outside the range of [1, 100]");
    env.run(&["search", "-f", "colour=red", "web"])
        .fails(1, "invalid filter 'colour'");
}

#[test]
fn search_of_a_named_registry_reads_its_catalog() {
    let env = test_env!();
    need!(
        Need::Program("docker-registry"),
        Need::Program("skopeo"),
        Need::Program("openssl")
    );
    for access in [Access::Http, Access::Token] {
        let registry = Registry::start(&env, access);
        for name in ["team/web", "team/db", "web"] {
            registry.push(&env, &busybox(), name);
        }
        let at = registry.address.as_str();
        if access == Access::Token {
            env.command(&["login", "-u", "tester", "--password-stdin", at])
                .input("secret")
                .run()
                .ok();
        }
        let found = |word: &str| env.out(&["search", "--format", "{{.Name}}", word]);
        assert_eq!(
            found(&format!("{at}/web")),
            format!("{at}/team/web\n{at}/web")
        );
        assert_eq!(
            found(&format!("{at}/team")),
            format!("{at}/team/db\n{at}/team/web")
        );
        assert_eq!(found(&format!("{at}/")).lines().count(), 3);
    }
}
