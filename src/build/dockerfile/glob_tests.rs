//! Tests of the patterns of paths: the tables are those of Go's `filepath.Match` and of docker's ignore files, in our words.

use super::*;

fn deep(pattern: &str) -> Globs {
    let mut globs = Globs::default();
    globs.push_deep(pattern.as_bytes()).unwrap();
    globs
}

fn reached(globs: &Globs, path: &str) -> Positions {
    globs.go_on(&globs.begin(), path.as_bytes())
}

fn is_match(globs: &Globs, path: &str) -> bool {
    globs.last_match(&reached(globs, path)) == Some(0)
}

#[test]
fn patterns_match_as_gos() {
    let table: &[(&str, &str, bool)] = &[
        ("abc", "abc", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "a", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "aäb", true),
        ("a[^a]b", "aäb", true),
        ("a???b", "a☺b", false),
        ("[a-ζ]*", "α", true),
        ("a?b", "a/b", false),
        ("a*b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-x]", "-", true),
        ("*x", "xxx", true),
        ("**", "a/b", false),
        ("", "", true),
        ("", "a", false),
    ];
    for (pattern, path, expected) in table {
        assert_eq!(
            matches(pattern.as_bytes(), path.as_bytes()),
            Ok(*expected),
            "{pattern} {path}"
        );
    }
    for bad in [
        "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a[]", "\\", "[\\",
    ] {
        assert!(matches(bad.as_bytes(), b"").is_err(), "{bad}");
        assert!(Globs::default().push_deep(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn two_stars_are_directories() {
    let table: &[(&str, &str, bool)] = &[
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "file", true),
        ("**/**", "dir/file", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir", false),
        ("dir/**", "dir/a/b", true),
        ("**/dir", "dir", true),
        ("**/dir", "a/b/dir", true),
        ("**/dir", "a/xdir", false),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/a/b", false),
        ("**file", "file", true),
        ("**file", "dir/afile", true),
        ("**/file", "dir/afile", false),
        ("**f*", "dir/file", true),
        ("**f*", "dir/afile", false),
        ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/c/z", true),
        ("a/**/z", "az", false),
        ("a**z", "az", true),
        ("a**z", "ab/z", true),
        ("a**z", "abz", false),
        ("**/*.go", "a/b.go", true),
        ("**/*.go", "b.go", true),
        ("foo**", "foobar/x", true),
        (".*", ".git", true),
        ("a.b", "axb", false),
        ("a(b)+{c}|$", "a(b)+{c}|$", true),
        ("a[b-d]e", "ace", true),
        ("a\\**", "a*x", true),
    ];
    for (pattern, path, expected) in table {
        assert_eq!(
            is_match(&deep(pattern), path),
            *expected,
            "{pattern} {path}"
        );
    }
}

#[test]
fn a_directory_may_hold_what_matches() {
    let below = |pattern: &str, directory: &str| {
        let globs = deep(pattern);
        let positions = reached(&globs, &format!("{directory}/"));
        globs.left(&positions).any(|number| number == 0)
    };
    assert!(below("a/b/c", "a"));
    assert!(below("a/b/c", "a/b"));
    assert!(!below("a/b/c", "a/c"));
    assert!(!below("a", "a"));
    assert!(below("**/x", "a/b"));
    assert!(below("a*/x", "ab"));
    assert!(!below("a*/x", "b"));
}

#[test]
fn patterns_go_together_and_keep_their_numbers() {
    let mut globs = Globs::default();
    for pattern in ["*a", "**/b", "", "a*/*", "[ab]"] {
        globs.push_deep(pattern.as_bytes()).unwrap();
    }
    let last = |path: &str| globs.last_match(&reached(&globs, path));
    assert_eq!(last("xa"), Some(0));
    assert_eq!(last("x/b"), Some(1));
    assert_eq!(last(""), Some(2));
    assert_eq!(last("a/b"), Some(3));
    assert_eq!(last("b"), Some(4));
    assert_eq!(last("x/a"), None);
    let mut left: Vec<usize> = globs.left(&reached(&globs, "a/")).collect();
    left.dedup();
    assert_eq!(left, [1, 3]);
    let parts = ["a/b", "/", "ä", "/b"].map(str::as_bytes);
    let in_parts = (parts.iter()).fold(globs.begin(), |from, part| globs.go_on(&from, part));
    assert_eq!(in_parts, reached(&globs, "a/b/ä/b"));
}

#[test]
fn bytes_that_are_no_text_are_characters() {
    assert!(matches(b"a?b", b"a\xffb").unwrap());
    assert!(matches(b"a\xff", b"a\xff").unwrap());
    assert!(!matches(b"a*\xff", b"a\xfe").unwrap());
    assert!(matches(b"a[^b]", b"a\xe2").unwrap());
}

#[test]
fn wildcards_are_told_from_escaped_ones() {
    for (pattern, expected) in [
        ("a*", true),
        ("a\\*", false),
        ("[a]", true),
        ("a?", true),
        ("a]", false),
        ("\\\\*", true),
    ] {
        assert_eq!(has_wildcards(pattern.as_bytes()), expected, "{pattern}");
    }
}

#[test]
fn no_pattern_is_slow() {
    let pattern = "a*".repeat(200) + "b";
    let path = "a".repeat(4000);
    assert!(!matches(pattern.as_bytes(), path.as_bytes()).unwrap());
    let pattern = "**/a/".repeat(100) + "b";
    assert!(!is_match(&deep(&pattern), &"a/".repeat(2000)));
}
