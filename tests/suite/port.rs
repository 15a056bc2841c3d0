//! `port`.

use crate::env::test_env;
use crate::need::{Need, need};
use crate::spellings::ask;

#[test]
fn port_shows_what_is_published() {
    let env = test_env!();
    need!(Need::Program("pasta"), Need::Device("/dev/net/tun"));
    env.busybox();
    env.run(&[
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1::9000",
        "-p",
        "127.0.0.1::80",
        "-p",
        "127.0.0.1::53/udp",
        "busybox",
        "sleep",
        "1000",
    ])
    .ok();
    let listed = env.out(&["ps", "--format", "{{.Ports}}"]);
    let host = |inside: &str| {
        let mut ports = listed.split(", ");
        let found = ports.find_map(|port| port.strip_suffix(&format!("->{inside}")));
        found
            .unwrap_or_else(|| panic!("{inside} in {listed}"))
            .to_owned()
    };
    let (dns, web, admin) = (host("53/udp"), host("80/tcp"), host("9000/tcp"));
    for command in ["port", "container port"] {
        let all = ask(&env, command, &["web"]).ok().out();
        assert_eq!(
            all,
            format!("53/udp -> {dns}\n80/tcp -> {web}\n9000/tcp -> {admin}")
        );
        for (asked, shown) in [("80", &web), ("80/tcp", &web), ("53/udp", &dns)] {
            assert_eq!(ask(&env, command, &["web", asked]).ok().out(), *shown);
        }
        let missing = ask(&env, command, &["web", "53"]);
        missing.fails(1, "No public port '53' published for web");
        ask(&env, command, &["web", "http"]).fails(1, "invalid port (http)");
        ask(&env, command, &["nothing"]).fails(1, "No such container: nothing");
    }
    env.run(&["kill", "web"]).ok();
    env.run(&["wait", "web"]).ok();
    assert_eq!(env.run(&["port", "web"]).ok().stdout, "");
}
