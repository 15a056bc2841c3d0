//! `build --check` and `--call`: what a Dockerfile holds, and what is wrong with it.

use serde_json::Value;

use crate::dockerfile::{build_by, context};
use crate::env::test_env;
use crate::spellings::words;

const SPELLINGS: [&str; 3] = ["build", "image build", "builder build"];

#[test]
fn check_tells_each_finding_with_its_line() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox AS Base\nENV A=$HOSTNAM\nCMD node index.js\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let clean = context(
        &env,
        "clean",
        &[("Dockerfile", "FROM busybox\nRUN exit 1\n")],
    );
    for command in ["build", "image build", "builder build"] {
        for flag in ["--check", "--call=check", "--call=lint"] {
            let checked = env.run(&words(command, &[flag, &directory]));
            assert_eq!(checked.code, 1, "{}", checked.stderr);
            let said = checked.stdout.as_str();
            assert!(said.starts_with("Check complete, 3 warnings have been found!\n\nWARNING: StageNameCasing - https://"), "{said}");
            let finding = "\nWARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n\
                JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n\
                Dockerfile:3:1\n  3 | CMD node index.js\n    | ^\n";
            assert!(said.ends_with(finding), "{said}");
            let nothing = env.run(&words(command, &[flag, &clean])).ok();
            assert_eq!(nothing.stdout, "Check complete, no warnings found.\n");
        }
        let flags = ["--call", "check,format=json,ignorestatus=true", &directory];
        let checked = env.run(&words(command, &flags)).ok();
        let json: Value = serde_json::from_str(&checked.stdout).expect("it is JSON");
        assert_eq!(json["warnings"][1]["ruleName"], "UndefinedVar");
        assert_eq!(
            json["warnings"][1]["location"]["ranges"][0]["start"]["line"],
            2
        );
        assert_eq!(json["sources"][0]["filename"], "Dockerfile");
        // Of both flags the later one counts, as with buildx.
        let as_json = ["--check", "--call", "check,format=json", &clean];
        let as_json = env.run(&words(command, &as_json)).ok();
        assert!(as_json.stdout.starts_with('{'), "{}", as_json.stdout);
        let as_text = ["--call", "targets,format=json", "--check", &clean];
        let as_text = env.run(&words(command, &as_text)).ok();
        assert_eq!(as_text.stdout, "Check complete, no warnings found.\n");
        env.run(&words(command, &["--call", "everything", &directory]))
            .fails(125, "build, check, outline and targets are known");
    }
    let wrong = context(&env, "wrong", &[("Dockerfile", "FROM busybox\nRUM x\n")]);
    let failed = env.run(&["build", "--check", &wrong]);
    assert_eq!(failed.code, 1);
    assert!(
        failed
            .stderr
            .contains("Dockerfile:2:1: unknown instruction RUM"),
        "{}",
        failed.stderr
    );
    assert!(
        env.out(&["images", "-q"]).lines().count() == 1,
        "nothing was built"
    );
}

#[test]
fn a_build_tells_its_warnings_at_its_end_or_stops() {
    let env = test_env!();
    env.busybox();
    let text = "FROM busybox\nCMD node index.js\nMAINTAINER me\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    let strict = format!("# check=skip=MaintainerDeprecated;error=true\n{text}");
    let strict = context(&env, "strict", &[("Dockerfile", &strict)]);
    for command in ["build", "image build", "builder build"] {
        let built = build_by(&env, command, &directory, &[]).ok();
        let end = "\n 2 warnings found (use bryo build --debug to expand):\n - JSONArgsRecommended: JSON arguments recommended for CMD to \
            prevent unintended behavior related to OS signals (line 2)\n - MaintainerDeprecated: Maintainer instruction is \
            deprecated in favor of using label (line 3)\n";
        assert!(built.stderr.ends_with(end), "{}", built.stderr);
        for flag in ["-D", "--debug"] {
            let built = build_by(&env, command, &directory, &[flag]).ok();
            assert!(
                built
                    .stderr
                    .contains("More info: https://docs.docker.com/go/"),
                "{}",
                built.stderr
            );
            assert!(
                built.stderr.contains("  3 | MAINTAINER me\n    | ^\n"),
                "{}",
                built.stderr
            );
            assert!(built.stderr.contains("DEBUG"), "{}", built.stderr);
        }
        let quiet = build_by(&env, command, &directory, &["-q"]).ok();
        assert_eq!(quiet.stderr, "");
        let stopped = build_by(&env, command, &strict, &["-t", "never"]);
        assert_eq!(stopped.code, 1);
        let message = "Error: lint violation found for rules: JSONArgsRecommended\n";
        assert!(stopped.stderr.ends_with(message), "{}", stopped.stderr);
        let skip = ["--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=all"];
        build_by(&env, command, &strict, &skip).ok();
    }
    assert_ne!(env.run(&["image", "exists", "never"]).code, 0);
}

#[test]
fn targets_and_outline_say_what_can_be_built() {
    let env = test_env!();
    let text = "# VERSION is of the compiler\nARG VERSION=1.2\nARG UNUSED=1\nFROM busybox:$VERSION AS tools\n\
        RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=token,required=true x\n\
        # app serves everything\nFROM scratch AS app\n# WHO is greeted\nARG WHO=you\nCOPY --from=tools / /\n\
        RUN --mount=type=ssh x\nFROM scratch\nCOPY . .\n";
    let directory = context(&env, "app", &[("Dockerfile", text)]);
    for command in SPELLINGS {
        let targets = env
            .run(&words(command, &["--call", "targets", &directory]))
            .ok();
        assert_eq!(
            targets.stdout,
            "TARGET      DESCRIPTION\ntools       \napp         serves everything\n(default)   \n"
        );
        let json = env
            .run(&words(command, &["--call=targets,format=json", &directory]))
            .ok();
        let json: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
        assert_eq!(json["targets"][0]["base"], "busybox:$VERSION");
        assert_eq!(json["targets"][2]["default"], true);
        let flags = [
            "--call",
            "outline",
            "--target",
            "app",
            "--build-arg",
            "WHO=all",
            &directory,
        ];
        let outline = env.run(&words(command, &flags)).ok();
        assert_eq!(
            outline.stdout,
            "TARGET:      app\nDESCRIPTION: serves everything\n\n\
             BUILD ARG   VALUE     DESCRIPTION\nVERSION     1.2       is of the compiler\nWHO         all       is greeted\n\n\
             SECRET    REQUIRED\ntoken     true\n\nSSH       REQUIRED\ndefault   \n\nCACHE ID\n/root/.cache\n\n"
        );
        let flags = [
            "--call",
            "outline,format=json",
            "--target",
            "app",
            &directory,
        ];
        let json = env.run(&words(command, &flags)).ok();
        let json: Value = serde_json::from_str(&json.stdout).expect("it is JSON");
        assert_eq!(json["args"][1]["value"], "you");
        assert_eq!(json["secrets"][0]["required"], true);
        assert_eq!(json["cache"][0]["ID"], "/root/.cache");
    }
}
