//! Tests of the rules: one bad example each, with its place and words, and what must not be found.

use super::super::parse;
use super::*;

fn found_with(text: &str, ignore: Option<&Ignore>) -> Vec<(usize, &'static str, String)> {
    let platform = [
        ("TARGETPLATFORM", "linux/amd64"),
        ("BUILDPLATFORM", "linux/amd64"),
        ("TARGETARCH", "amd64"),
    ];
    let platform = platform.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let known = |image: &str| (image != "unknown").then(|| vec!["FROM_IMAGE".to_owned()]);
    let dockerfile = parse("Dockerfile", text.as_bytes()).unwrap();
    let context = LintContext {
        build_arguments: &BTreeMap::new(),
        platform_arguments: &BTreeMap::from(platform),
        image_variables: &known,
        ignore,
        check: None,
    };
    let all = lint(&dockerfile, &context);
    all.into_iter()
        .map(|finding| (finding.location.line, finding.rule.name(), finding.message))
        .collect()
}

fn found(text: &str) -> Vec<(usize, &'static str, String)> {
    found_with(text, None)
}

#[test]
fn a_stage_knows_the_arguments_of_the_one_that_it_is_built_on() {
    assert!(found("FROM a AS b\nARG V=1\nFROM b\nENV X=$V\n").is_empty());
    let apart = found("FROM a AS b\nARG V=1\nFROM a\nENV X=$V\n");
    assert_eq!(apart.len(), 1, "{apart:?}");
    assert_eq!((apart[0].0, apart[0].1), (4, "UndefinedVar"));
}

/// A file, the line, the rule and its words.
const EXAMPLES: &[(&str, usize, &str, &str)] = &[
    (
        "FROM a AS Base",
        1,
        "StageNameCasing",
        "Stage name 'Base' should be lowercase",
    ),
    (
        "FROM a as base",
        1,
        "FromAsCasing",
        "'as' and 'FROM' keywords' casing do not match",
    ),
    (
        "FROM a\nRUN a \\\n\n  b",
        3,
        "NoEmptyContinuation",
        "Empty continuation line",
    ),
    (
        "FROM a\nRun b",
        2,
        "ConsistentInstructionCasing",
        "Command 'Run' should match the case of the command majority (uppercase)",
    ),
    (
        "from a\nrun b\nUSER c",
        3,
        "ConsistentInstructionCasing",
        "Command 'USER' should match the case of the command majority (lowercase)",
    ),
    (
        "FROM a AS b\nFROM a AS b",
        2,
        "DuplicateStageName",
        "Duplicate stage name \"b\", stage names should be unique",
    ),
    (
        "FROM a AS scratch",
        1,
        "ReservedStageName",
        "Stage name should not use the same name as reserved stage \"scratch\"",
    ),
    (
        "FROM a\nCMD b c",
        2,
        "JSONArgsRecommended",
        "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    ),
    (
        "FROM a\nENTRYPOINT b",
        2,
        "JSONArgsRecommended",
        "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals",
    ),
    (
        "FROM a\nMAINTAINER me",
        2,
        "MaintainerDeprecated",
        "Maintainer instruction is deprecated in favor of using label",
    ),
    (
        "ARG VERSION=1\nFROM a:1$VERSON",
        2,
        "UndefinedArgInFrom",
        "FROM argument 'VERSON' is not declared (did you mean VERSION?)",
    ),
    (
        "FROM a\nWORKDIR b",
        2,
        "WorkdirRelativePath",
        "Relative workdir \"b\" can have unexpected results if the base image changes",
    ),
    (
        "FROM a\nARG DIRNAME=/x\nCOPY a $DIRNAM",
        3,
        "UndefinedVar",
        "Usage of undefined variable '$DIRNAM' (did you mean $DIRNAME?)",
    ),
    (
        "FROM a\nARG x=1\nLABEL b=$w",
        3,
        "UndefinedVar",
        "Usage of undefined variable '$w' (did you mean $x?)",
    ),
    (
        "FROM a\nARG verylongname=1\nLABEL b=$veryxongxaxe",
        3,
        "UndefinedVar",
        "Usage of undefined variable '$veryxongxaxe'",
    ),
    (
        "FROM a\nCOPY <<A /x\n$NEVER\nA",
        2,
        "UndefinedVar",
        "Usage of undefined variable '$NEVER'",
    ),
    (
        "FROM a\nCMD [\"a\"]\nCMD [\"b\"]",
        2,
        "MultipleInstructionsDisallowed",
        "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "FROM a\nENTRYPOINT [\"a\"]\nENTRYPOINT [\"b\"]",
        2,
        "MultipleInstructionsDisallowed",
        "Multiple ENTRYPOINT instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD b",
        2,
        "MultipleInstructionsDisallowed",
        "Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used",
    ),
    (
        "FROM a\nENV b c",
        2,
        "LegacyKeyValueFormat",
        "\"ENV key=value\" should be used instead of legacy \"ENV key value\" format",
    ),
    (
        "FROM a\nLABEL b c",
        2,
        "LegacyKeyValueFormat",
        "\"LABEL key=value\" should be used instead of legacy \"LABEL key value\" format",
    ),
    (
        "FROM --platform=$TARGETPLATFORM a",
        1,
        "RedundantTargetPlatform",
        "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    ),
    (
        "FROM a\nARG MY_TOKEN",
        2,
        "SecretsUsedInArgOrEnv",
        "Do not use ARG or ENV instructions for sensitive data (ARG \"MY_TOKEN\")",
    ),
    (
        "FROM a\nENV db_password=x",
        2,
        "SecretsUsedInArgOrEnv",
        "Do not use ARG or ENV instructions for sensitive data (ENV \"db_password\")",
    ),
    (
        "ARG V\nFROM a:$V",
        2,
        "InvalidDefaultArgInFrom",
        "Default value for ARG a:$V results in empty or invalid base image name",
    ),
    (
        "FROM --platform=linux/arm64 a",
        1,
        "FromPlatformFlagConstDisallowed",
        "FROM --platform flag should not use constant value \"linux/arm64\"",
    ),
    (
        "FROM a\nEXPOSE 80/TcP",
        2,
        "ExposeProtoCasing",
        "Defined protocol '80/TcP' in EXPOSE instruction should be lowercase",
    ),
    (
        "FROM a\nEXPOSE 127.0.0.1:80:80",
        2,
        "ExposeInvalidFormat",
        "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    ),
];

#[test]
fn every_rule_finds_its_example() {
    let undefined = "# check=experimental=all\n";
    for (text, line, rule, message) in EXAMPLES {
        assert_eq!(
            found(text),
            [(*line, *rule, (*message).to_owned())],
            "{text}"
        );
    }
    let described = format!("{undefined}# not about it\nFROM a AS base\n# neither\nARG V=1");
    let names = found(&described);
    assert_eq!(
        names[0],
        (
            3,
            "InvalidDefinitionDescription",
            "Comment for FROM should follow the format: `# base <description>`".to_owned()
        )
    );
    assert_eq!(
        names[1],
        (
            5,
            "InvalidDefinitionDescription",
            "Comment for ARG should follow the format: `# V <description>`".to_owned()
        )
    );
    let ignore = Ignore::parse("-", b"*.md\n").unwrap();
    let copied = found_with(
        &format!(
            "{undefined}FROM a\nCOPY --chown=1 ./a.md /b.md /x/\nADD c.md /\nCOPY --from=x a.md /"
        ),
        Some(&ignore),
    );
    let messages: Vec<_> = copied
        .iter()
        .map(|(line, _, message)| (*line, message.as_str()))
        .collect();
    assert_eq!(
        messages,
        [
            (
                3,
                "Attempting to Copy file \"a.md\" that is excluded by .dockerignore"
            ),
            (
                3,
                "Attempting to Copy file \"b.md\" that is excluded by .dockerignore"
            ),
            (
                4,
                "Attempting to Add file \"c.md\" that is excluded by .dockerignore"
            ),
        ]
    );
}

#[test]
fn good_files_have_no_findings() {
    for text in [
        "ARG V=1\nFROM a:$V AS base\nARG V\nENV A=$V\nWORKDIR /a\nWORKDIR b\nFROM base\nWORKDIR c\nRUN x",
        "from a as b\nrun c",
        "FROM a\nSHELL [\"b\"]\nCMD c\nENTRYPOINT d",
        "FROM a\nARG B\nCOPY x $B$PATH$FROM_IMAGE",
        "FROM unknown\nCOPY x $WHATEVER",
        "FROM --platform=$BUILDPLATFORM a\nENV PUBLIC_KEY=x KEY_FILE=y MONKEY=z",
        "FROM --platform=linux/amd64 a AS build-amd64",
        "FROM a\nRUN echo $NOTHING ${OF:-this}\nCMD [\"$x\"]",
        "# check=skip=JSONArgsRecommended,StageNameCasing\nFROM a AS B\nCMD c",
        "# check=skip=all\nfrom a AS B\nCMD c",
        "FROM scratch\nCOPY <<'A' /\n$x\nA",
        "# not a description\nFROM a",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn what_the_image_got_is_told_by_the_same_words() {
    let platform = |text: &str| text.parse::<Platform>().unwrap();
    let finding = Finding::base_platform(
        Location::at(1, 1),
        "a",
        &platform("linux/amd64"),
        &platform("linux/s390x"),
    );
    assert_eq!(
        finding.message,
        "Base image a was pulled with platform \"linux/s390x\", expected \"linux/amd64\" for current build"
    );
    let source = Source::new("Dockerfile", "FROM a\n");
    assert_eq!(
        source.finding(&finding).lines().collect::<Vec<_>>()[1..],
        ["  1 | FROM a", "    | ^"]
    );
    assert_eq!(RULES_WITH_PAGES, super::super::RULES.len());
}

/// How many pages BuildKit's documentation of the rules has.
const RULES_WITH_PAGES: usize = 22;
