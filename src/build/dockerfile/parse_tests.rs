//! Tests of what files mean, on the odd forms.

use super::super::ast::*;
use super::*;

fn file(text: &str) -> Dockerfile {
    parse("Dockerfile", text.as_bytes()).unwrap()
}

/// The instructions of the last stage.
fn instructions(text: &str) -> Vec<Instruction> {
    let mut stages = file(&format!("FROM a\n{text}")).stages;
    let stage = stages.pop().unwrap();
    stage
        .instructions
        .into_iter()
        .map(|located| located.value)
        .collect()
}

fn one(text: &str) -> Instruction {
    let mut all = instructions(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

fn texts(words: &[Word]) -> Vec<&str> {
    words.iter().map(|word| word.text.as_str()).collect()
}

fn pairs(text: &str) -> Vec<(String, String)> {
    match one(text) {
        Instruction::Env(pairs) | Instruction::Label(pairs) => pairs
            .into_iter()
            .map(|(name, value)| (name.text, value.text))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn run(text: &str) -> Run {
    match one(text) {
        Instruction::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

fn copy(text: &str) -> Copy {
    match one(text) {
        Instruction::Copy(copy) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn stages_have_names_bases_and_platforms() {
    let file = file("ARG A=1 B\nFROM --platform=$P a:$A AS Base\nRUN x\nFROM base\n");
    assert_eq!(file.globals.len(), 2);
    assert_eq!(file.globals[0].value.default.as_ref().unwrap().text, "1");
    assert_eq!(file.globals[1].value.default, None);
    assert_eq!(file.globals[1].text, "ARG A=1 B");
    let [first, second] = file.stages.as_slice() else {
        panic!("two stages");
    };
    assert_eq!(first.name.as_deref(), Some("base"));
    assert_eq!(first.written_name.as_ref().unwrap().text, "Base");
    assert_eq!(
        (first.base.text.as_str(), first.base.location),
        ("a:$A", Location::at(2, 20))
    );
    assert_eq!(first.platform.as_ref().unwrap().text, "$P");
    assert_eq!(first.text, "FROM --platform=$P a:$A AS Base");
    assert_eq!(second.location, Location::at(4, 1));
    assert_eq!(first.instructions[0].location, Location::at(3, 1));
}

#[test]
fn old_and_new_pairs() {
    let owned = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    };
    assert_eq!(pairs("ENV a b  c=d"), owned(&[("a", "b  c=d")]));
    assert_eq!(
        pairs("ENV a=1 b=\"2 3\" c=4\\ 5 d="),
        owned(&[("a", "1"), ("b", "\"2 3\""), ("c", "4\\ 5"), ("d", "")])
    );
    assert_eq!(pairs("LABEL \"a b\"=c=d"), owned(&[("\"a b\"", "c=d")]));
    assert_eq!(
        pairs("ENV a=b \\\n  # no\n  c=d"),
        owned(&[("a", "b"), ("c", "d")])
    );
}

#[test]
fn arrays_are_commands_and_what_is_nearly_one_is_for_the_shell() {
    let exec = |list: &[&str]| Command::Exec(list.iter().map(|text| (*text).to_owned()).collect());
    let shell = |text: &str| Command::Shell(text.to_owned());
    for (text, expected) in [
        (r#"["a", "b c"]"#, exec(&["a", "b c"])),
        (r#"[ "\u00e4\n" ]  "#, exec(&["ä\n"])),
        ("[]", exec(&[])),
        ("['a']", shell("['a']")),
        (r#"["a""#, shell(r#"["a""#)),
        (r#"["a",]"#, shell(r#"["a",]"#)),
        (r#"["a"] b"#, shell(r#"["a"] b"#)),
        ("a  b", shell("a  b")),
        ("", shell("")),
    ] {
        assert_eq!(
            one(&format!("CMD {text}")),
            Instruction::Cmd(expected.clone()),
            "{text}"
        );
        assert_eq!(
            one(&format!("ENTRYPOINT {text}")),
            Instruction::Entrypoint(expected),
            "{text}"
        );
    }
}

#[test]
fn run_has_bodies_of_three_kinds() {
    let body = |text: &str| run(text).body();
    let shell = |text: &str| RunBody::Shell(text.into());
    assert_eq!(body("RUN a \\\n  b"), shell("a   b"));
    assert_eq!(body("RUN [\"a\"]"), RunBody::Exec(vec!["a".into()]));
    assert_eq!(body("RUN <<EOF\na\n  b\nEOF"), shell("a\n  b\n"));
    assert_eq!(body("RUN <<-EOF\n\ta\n\t\tb\n\tEOF"), shell("a\nb\n"));
    assert_eq!(
        body("RUN <<EOF sh -x\na\nEOF"),
        shell("<<EOF sh -x\na\nEOF")
    );
    assert_eq!(
        body("RUN cat <<A <<-'B'\n1\nA\n\t2\n\tB").shell(),
        "cat <<A <<-'B'\n1\nA\n\t2\nB"
    );
    assert_eq!(
        body("RUN <<E\n#!/bin/x\n$y\nE"),
        RunBody::Script {
            name: "E".into(),
            content: "#!/bin/x\n$y\n".into()
        }
    );
    assert_eq!(body("RUN <<E\nE"), shell(""));
}

impl RunBody {
    fn shell(&self) -> String {
        match self {
            RunBody::Shell(text) => text.clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn run_flags() {
    let run = run(
        "RUN --network=none --security=insecure --device=a/b=c --mount=type=cache,target=/c --mount=type=tmpfs,dst=/t make \\\n all",
    );
    assert_eq!(
        (run.network, run.security),
        (RunNetwork::None, RunSecurity::Insecure)
    );
    assert_eq!(run.devices[0].name.text, "a/b=c");
    assert_eq!(run.mounts.len(), 2);
    assert_eq!(run.command, Command::Shell("make  all".into()));
}

#[test]
fn copy_has_sources_inline_files_and_a_destination() {
    let copied = copy(
        "COPY --from=x --chown=a:b --chmod=u+x --link --parents --exclude=*.a --exclude=b c d /e/",
    );
    assert_eq!(copied.from.as_ref().unwrap().text, "x");
    assert_eq!(copied.chown.as_ref().unwrap().text, "a:b");
    assert_eq!(copied.chmod.as_ref().unwrap().text, "u+x");
    assert_eq!((copied.link, copied.parents), (true, true));
    assert_eq!(
        (texts(&copied.exclude), texts(&copied.sources)),
        (vec!["*.a", "b"], vec!["c", "d"])
    );
    assert_eq!(copied.destination.text, "/e/");
    assert_eq!(texts(&copy(r#"COPY ["a b", "c"]"#).sources), ["a b"]);
    let inline = copy("COPY <<a b <<-\"c\" /d\n1\na\n\t2\n\tc");
    assert_eq!(texts(&inline.sources), ["b"]);
    let files: Vec<_> = inline
        .inline
        .iter()
        .map(|file| (file.name.as_str(), file.content(), file.expand))
        .collect();
    assert_eq!(
        files,
        [("a", "1\n".into(), true), ("c", "2\n".into(), false)]
    );
    assert!(copy("COPY [\"<<a\", \"/\"]").inline.is_empty());
    assert!(copy("COPY --from= a b").from.is_none());
}

#[test]
fn add_has_flags_of_its_own() {
    let Instruction::Add(add) =
        one("ADD --checksum=sha256:1 --keep-git-dir --unpack=false --chown=1 a b")
    else {
        panic!("not ADD");
    };
    assert_eq!(add.checksum.unwrap().text, "sha256:1");
    assert_eq!(
        (add.keep_git_dir, add.unpack, add.link),
        (Some(true), Some(false), false)
    );
}

#[test]
fn single_words_keep_their_blanks() {
    let Instruction::Workdir(path) = one("WORKDIR  /a  b ") else {
        panic!("not WORKDIR");
    };
    assert_eq!(
        (path.text.as_str(), path.location),
        ("/a  b", Location::at(2, 10))
    );
    let Instruction::Expose(ports) = one("EXPOSE 90 80/tcp") else {
        panic!("not EXPOSE");
    };
    assert_eq!(texts(&ports), ["80/tcp", "90"]);
    let Instruction::Volume(volumes) = one("VOLUME [\"/a b\", \"/c\"]") else {
        panic!("not VOLUME");
    };
    assert_eq!(texts(&volumes), ["/a b", "/c"]);
}

#[test]
fn healthchecks() {
    assert_eq!(
        one("HEALTHCHECK none"),
        Instruction::Healthcheck(Healthcheck::None)
    );
    let Instruction::Healthcheck(Healthcheck::Check {
        command,
        interval,
        timeout,
        retries,
        ..
    }) = one("HEALTHCHECK --interval=1m30s --timeout=0 --retries=3 cmd [\"a\"]")
    else {
        panic!("not HEALTHCHECK");
    };
    assert_eq!(command, Command::Exec(vec!["a".into()]));
    assert_eq!(
        (interval.unwrap().as_secs(), timeout, retries),
        (90, None, Some(3))
    );
}

#[test]
fn triggers_are_read_again_by_the_child() {
    let trigger = |text: &str| match one(text) {
        Instruction::Onbuild(trigger) => trigger,
        other => panic!("{other:?}"),
    };
    assert_eq!(trigger("ONBUILD  RUN  a \\\n b"), "RUN  a  b");
    let text = trigger("onbuild copy <<-A /x\n\t1\n\tA");
    assert_eq!(text, "copy <<-A /x\n\t1\nA");
    let (source, read) = parse_trigger(&text).unwrap();
    assert_eq!(source.name, "ONBUILD");
    let Instruction::Copy(copy) = read.value else {
        panic!("not COPY");
    };
    assert_eq!(copy.inline[0].content(), "1\n");
    for refused in ["FROM a", "ONBUILD RUN a", "MAINTAINER a", "", "XX"] {
        assert!(parse_trigger(refused).is_err(), "{refused}");
    }
}

#[test]
fn places_are_those_of_the_file_through_continuations_and_heredocs() {
    let file = file("FROM a\nENV A=1 \\\n   B=$x\nRUN <<E\n1\nE\n  USER b");
    let stage = &file.stages[0];
    let places: Vec<_> = stage
        .instructions
        .iter()
        .map(|one| (one.location.line, one.location.last_line))
        .collect();
    assert_eq!(places, [(2, 3), (4, 6), (7, 7)]);
    let Instruction::Env(pairs) = &stage.instructions[0].value else {
        panic!("not ENV");
    };
    assert_eq!(pairs[1].1.location, Location::at(3, 6));
    assert_eq!(stage.instructions[0].text, "ENV A=1    B=$x");
    assert_eq!(stage.instructions[2].location.column, 3);
    let fails = |_: &str| None;
    let word = Word {
        text: "${x?}".into(),
        location: pairs[1].1.location,
    };
    let error = file.source.expand(&word, '\\', &fails).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Dockerfile:3:6: x: is not allowed to be unset"
    );
    assert_eq!(error.excerpt(), "  3 |    B=$x\n    |      ^");
}

#[test]
fn the_escape_of_the_file_is_obeyed() {
    let file = file("# escape=`\nFROM a\nENV A=b` c `\n D=\\\nRUN x\\\n");
    let Instruction::Env(pairs) = &file.stages[0].instructions[0].value else {
        panic!("not ENV");
    };
    assert_eq!(
        texts(
            &pairs
                .iter()
                .map(|(_, value)| value.clone())
                .collect::<Vec<_>>()
        ),
        ["b` c", "\\"]
    );
    assert_eq!(file.stages[0].instructions.len(), 2);
}

#[test]
fn descriptions_stand_above() {
    let file = file("# A what it is\nARG A\n# base the base\nFROM x AS base\n# c\nARG A");
    assert_eq!(
        file.globals[0].value.description.as_deref(),
        Some("what it is")
    );
    assert_eq!(file.stages[0].description.as_deref(), Some("the base"));
}

#[test]
fn too_much_is_refused_and_much_is_read_fast() {
    let long = vec![b'#'; MAX_FILE + 1];
    assert!(matches!(
        *parse("-", &long).unwrap_err().fault,
        Fault::TooLarge { .. }
    ));
    let nested = "ONBUILD ".repeat(MAX_FILE / 8 - 10);
    assert!(parse("-", format!("FROM a\n{nested}").as_bytes()).is_err());
    let line = "a=ä ".repeat(50_000);
    assert_eq!(pairs(&format!("ENV {line}")).len(), 50_000);
    let body =
        "RUN make \\\n  all && \\\n  make install\nENV A=b C=\"d $e\"\nCOPY --from=x a b /c/\n"
            .repeat(2_000);
    let begun = std::time::Instant::now();
    let file = file(&format!("FROM a\n{body}"));
    assert_eq!(file.stages[0].instructions.len(), 6_000);
    // Ten thousand lines, without optimisation and with others at work on the machine.
    assert!(begun.elapsed().as_millis() < 2_000, "{:?}", begun.elapsed());
}
