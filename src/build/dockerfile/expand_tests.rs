//! Tests of variables, quotes and escapes.

use super::*;

fn variables(name: &str) -> Option<String> {
    let value = match name {
        "x" => "one",
        "empty" => "",
        "path" => "/usr/local/lib/x.tar.gz",
        "name" => "foo/bar/foo",
        "words" => "a b  c",
        "ä" => "umlaut",
        "1" => "first",
        "star" => "a*b}c/d",
        _ => return None,
    };
    Some(value.to_owned())
}

fn one(text: &str) -> String {
    expand(text, '\\', &variables).unwrap()
}

fn fails(text: &str) -> (usize, String) {
    let error = expand(text, '\\', &variables).unwrap_err();
    (error.offset, error.to_string())
}

#[test]
fn every_form_of_the_reference() {
    let table = [
        ("$x", "one"),
        ("${x}", "one"),
        ("$xy", ""),
        ("${x}y", "oney"),
        ("a$x-$x", "aone-one"),
        ("$", "$"),
        ("a$ b", "a$ b"),
        ("$1x", "firstx"),
        ("$ä", "umlaut"),
        ("$unset", ""),
        ("${x:-w}", "one"),
        ("${empty:-w}", "w"),
        ("${empty-w}", ""),
        ("${unset:-w}", "w"),
        ("${unset-w}", "w"),
        ("${x:+w}", "w"),
        ("${empty:+w}", ""),
        ("${empty+w}", "w"),
        ("${unset+w}", ""),
        ("${x:?m}", "one"),
        ("${empty?m}", ""),
        ("${path#*/}", "usr/local/lib/x.tar.gz"),
        ("${path##*/}", "x.tar.gz"),
        ("${path%.*}", "/usr/local/lib/x.tar"),
        ("${path%%.*}", "/usr/local/lib/x"),
        ("${path#x}", "/usr/local/lib/x.tar.gz"),
        ("${unset#x}", ""),
        ("${name/foo/baz}", "baz/bar/foo"),
        ("${name//foo/baz}", "baz/bar/baz"),
        ("${name/o*/}", "f"),
        ("${name//fo?/}", "/bar/"),
        ("${name/\\//-}", "foo-bar/foo"),
        ("${star#a\\*}", "b}c/d"),
        ("${star%\\}*}", "a*b"),
        ("${unset:-${unset2:-$x}}", "one"),
        ("${unset:-a b}", "a b"),
        ("${unset:-\"a}b\"}", "a}b"),
        ("${unset:-a\\}b}", "a}b"),
        ("${name%/${x/one/foo}}", "foo/bar"),
    ];
    for (text, expected) in table {
        assert_eq!(one(text), expected, "{text}");
    }
}

#[test]
fn quotes_and_escapes() {
    let table = [
        (r#""a b""#, "a b"),
        ("'a $x'", "a $x"),
        (r#""a $x""#, "a one"),
        (r"\$x", "$x"),
        (r#""\$x""#, "$x"),
        (r#""\a""#, r"\a"),
        (r"\a", "a"),
        (r"'\a'", r"\a"),
        (r#"a"b"'c'"#, "abc"),
        (r"a\", "a"),
        (r#""'""#, "'"),
        ("plain text", "plain text"),
    ];
    for (text, expected) in table {
        assert_eq!(one(text), expected, "{text}");
    }
    assert_eq!(expand("`$x \\$x", '`', &variables).unwrap(), "$x \\one");
}

#[test]
fn words_are_split_after_variables() {
    let words = |text| expand_words(text, '\\', &variables).unwrap();
    assert_eq!(words("$words"), ["a", "b", "c"]);
    assert_eq!(words("\"$words\""), ["a b  c"]);
    assert_eq!(words("x$words y\\ z"), ["xa", "b", "c", "y z"]);
    assert_eq!(words("$unset"), [""; 0]);
    assert_eq!(words("80/tcp"), ["80/tcp"]);
}

#[test]
fn heredocs_keep_their_quotes() {
    let text = "say \"$x\" '$x' \\$x ${unset:-'d'}\n";
    assert_eq!(
        expand_heredoc(text, &variables).unwrap(),
        "say \"one\" 'one' $x 'd'\n"
    );
}

#[test]
fn mistakes_tell_their_place() {
    let table = [
        (
            "a'b",
            1,
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            "ä\"b",
            1,
            "unexpected end of statement while looking for matching double-quote",
        ),
        ("a${", 1, "missing '}' of ${"),
        ("${x", 0, "missing '}' of ${x"),
        ("${x:-a", 0, "missing '}' of ${x"),
        ("${x/a", 0, "missing '/' in ${x/"),
        ("${x/a/b", 0, "missing '}' of ${x"),
        ("${}", 0, "bad substitution: ${ needs a variable's name"),
        ("${x^}", 0, "unsupported modifier \"^\" in ${x^"),
        ("${x:/}", 0, "unsupported modifier \":/\" in ${x:/"),
        ("${unset?}", 0, "unset: is not allowed to be unset"),
        ("${empty:?}", 0, "empty: is not allowed to be empty"),
        ("${empty:?say why}", 0, "empty: say why"),
        (
            "${x#\\d}",
            0,
            "invalid pattern \"\\\\d\" in ${x}: \\d is no escape: only *, ?, }, / and \\ can be",
        ),
    ];
    for (text, offset, message) in table {
        assert_eq!(fails(text), (offset, message.to_owned()), "{text}");
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = "${a:-".repeat(70) + &"}".repeat(70);
    assert_eq!(
        fails(&deep).1,
        "substitutions inside substitutions, more than 64 deep"
    );
    assert_eq!(one(&("${a:-".repeat(60) + "y" + &"}".repeat(60))), "y");
    let long = |_: &str| Some("x".repeat(1 << 16));
    assert!(expand("$a", '\\', &long).is_ok());
    for text in ["$a$a$a", "\"$a$a$a\"", "${a//x/yyyy}", "${b:+$a$a$a}"] {
        let error = expand(text, '\\', &long).unwrap_err();
        assert_eq!(error.fault, ExpandFault::TooLong(MAX_WORD), "{text}");
    }
}
