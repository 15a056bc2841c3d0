//! Bytes of the system (arguments, variables, paths) as text and back, unchanged, whatever they are. A byte that is no UTF-8 is one
//! of the last 128 characters of the last private plane, U+10FF80 to U+10FFFF; such a character itself is four of them.
//! Never what the text means.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

const FIRST: u32 = 0x10_ff80;
/// What a byte from 0x80 on is added to.
const BASE: u32 = 0x10_ff00;

/// As text that [`bytes`] makes the same bytes of.
pub fn from_bytes(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(is_byte)
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match is_byte(character) {
                true => push_bytes(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes()),
                false => text.push(character),
            }
        }
        push_bytes(&mut text, chunk.invalid());
    }
    Cow::Owned(text)
}

/// [`from_bytes`] of an argument or a variable.
pub fn from_os(text: &OsStr) -> String {
    from_bytes(text.as_bytes()).into_owned()
}

/// The bytes that the text stands for.
pub fn bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(is_byte) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Cow::Owned(bytes)
}

/// [`bytes`], for a path.
pub fn os(text: &str) -> OsString {
    OsString::from_vec(bytes(text).into_owned())
}

/// Without the numbers that the standard library adds to the system's words: "No such file or directory (os error 2)".
pub fn without_numbers(text: &str) -> Cow<'_, str> {
    const BEGINNING: &str = " (os error ";
    let Some((before, rest)) = text.split_once(BEGINNING) else {
        return Cow::Borrowed(text);
    };
    let mut plain = before.to_owned();
    for part in rest.split(BEGINNING) {
        match part.split_once(')') {
            Some((number, after)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                plain.push_str(after);
            }
            _ => {
                plain.push_str(BEGINNING);
                plain.push_str(part);
            }
        }
    }
    Cow::Owned(plain)
}

/// For people and for JSON: `\xff` for a byte that is no UTF-8.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(is_byte) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match byte_of(character) {
            Some(byte) => write!(shown, "\\x{byte:02x}").expect("a string takes everything"),
            None => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

fn is_byte(character: char) -> bool {
    u32::from(character) >= FIRST
}

fn byte_of(character: char) -> Option<u8> {
    match is_byte(character) {
        true => u8::try_from(u32::from(character) - BASE).ok(),
        false => None,
    }
}

fn push_bytes(text: &mut String, bytes: &[u8]) {
    let characters = bytes
        .iter()
        .filter_map(|byte| char::from_u32(BASE + u32::from(*byte)));
    text.extend(characters);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_utf8_is_itself() {
        for text in ["", "plain", "größe", "\u{10ff7f}"] {
            assert_eq!(from_bytes(text.as_bytes()), text);
            assert_eq!(bytes(text), text.as_bytes());
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn other_bytes_are_shown_as_numbers() {
        assert_eq!(shown(&from_bytes(b"a\xff\x80=\xc3\xa9")), "a\\xff\\x80=é");
        let own = "\u{10ffff}";
        assert_eq!(bytes(&from_bytes(own.as_bytes())), own.as_bytes());
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(input in proptest::collection::vec(any::<u8>(), 0..40)) {
            let text = from_bytes(&input);
            prop_assert_eq!(&bytes(&text)[..], &input[..]);
        }

        #[test]
        fn every_text_comes_back(input in any::<String>()) {
            let text = from_bytes(input.as_bytes());
            prop_assert_eq!(&bytes(&text)[..], input.as_bytes());
        }
    }

    #[test]
    fn the_system_s_words_have_no_numbers() {
        for (text, expected) in [
            (
                "open /x: No such file or directory (os error 2)",
                "open /x: No such file or directory",
            ),
            ("a (os error 2); b (os error 13).", "a; b."),
            ("a (os error x) b (os error", "a (os error x) b (os error"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_numbers(text), expected);
        }
    }
}
