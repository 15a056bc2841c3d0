//! D-Bus messages as bytes: as much of the specification's "Message Protocol" as calls to systemd and its answers need, in
//! little-endian order. Knows no method and no socket.

/// The part of a header before its fields; with it the whole length is known.
pub const FIXED: usize = 16;

/// Header fields, by their numbers in the specification.
const FIELD_PATH: u8 = 1;
const FIELD_INTERFACE: u8 = 2;
const FIELD_MEMBER: u8 = 3;
const FIELD_ERROR: u8 = 4;
const FIELD_REPLY: u8 = 5;
const FIELD_SIGNATURE: u8 = 8;

/// Values one after the other, each aligned to its own size. Begins at a multiple of eight in the message.
#[derive(Default)]
pub struct Body {
    bytes: Vec<u8>,
}

impl Body {
    pub fn new() -> Body {
        Body::default()
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    /// `u`, and `b` as 0 or 1.
    pub fn number(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    /// `t`.
    pub fn long(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    /// `s` and `o`.
    pub fn string(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// `g`.
    fn signature(&mut self, text: &str) {
        self.bytes.push(text.len() as u8);
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// An array whose elements are aligned to `alignment`. Its length does not count the padding before the first of them.
    pub fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Body)) {
        self.number(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let begin = self.bytes.len();
        fill(self);
        let length = (self.bytes.len() - begin) as u32;
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// One `(sv)`.
    pub fn property(&mut self, name: &str, signature: &str, value: impl FnOnce(&mut Body)) {
        self.align(8);
        self.string(name);
        self.signature(signature);
        value(self);
    }

    /// One header field, `(yv)`.
    fn field(&mut self, number: u8, signature: &str, text: &str) {
        self.align(8);
        self.bytes.push(number);
        self.signature(signature);
        match signature {
            "g" => self.signature(text),
            _ => self.string(text),
        }
    }
}

/// A method call. Without a destination, since on a private socket there is nobody else.
pub fn call(
    serial: u32,
    path: &str,
    interface: &str,
    method: &str,
    signature: &str,
    body: &Body,
) -> Vec<u8> {
    let mut header = Body::new();
    // Little-endian, a method call, no flags, version 1.
    header.bytes.extend([b'l', 1, 0, 1]);
    header.number(body.bytes.len() as u32);
    header.number(serial);
    header.array(8, |fields| {
        fields.field(FIELD_PATH, "o", path);
        fields.field(FIELD_INTERFACE, "s", interface);
        fields.field(FIELD_MEMBER, "s", method);
        if !signature.is_empty() {
            fields.field(FIELD_SIGNATURE, "g", signature);
        }
    });
    header.align(8);
    header.bytes.extend(&body.bytes);
    header.bytes
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Reply,
    Error,
    Signal,
    Other,
}

/// A message that was received: what of its header is looked at, and its body.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    /// The serial of the call that it answers; 0 if it answers none.
    pub reply_to: u32,
    pub member: String,
    /// The error's name.
    pub error: String,
    body: Vec<u8>,
}

/// How long the whole message is whose first `FIXED` bytes these are.
pub fn length(start: &[u8]) -> Option<usize> {
    let mut reader = Reader::at(start, 4);
    if start.first() != Some(&b'l') {
        return None;
    }
    let body = reader.number()? as usize;
    let _serial = reader.number()?;
    let fields = reader.number()? as usize;
    FIXED
        .checked_add(fields)?
        .next_multiple_of(8)
        .checked_add(body)
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Option<Message> {
        let kind = match bytes.get(1)? {
            2 => Kind::Reply,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Other,
        };
        let mut reader = Reader::at(bytes, 12);
        let end = FIXED.checked_add(reader.number()? as usize)?;
        let mut message = Message {
            kind,
            reply_to: 0,
            member: String::new(),
            error: String::new(),
            body: bytes.get(end.next_multiple_of(8)..)?.to_vec(),
        };
        while reader.at < end {
            reader.align(8);
            let number = reader.byte()?;
            match (number, reader.signature()?.as_str()) {
                (FIELD_REPLY, "u") => message.reply_to = reader.number()?,
                (FIELD_MEMBER, "s") => message.member = reader.string()?,
                (FIELD_ERROR, "s") => message.error = reader.string()?,
                (_, "s" | "o") => drop(reader.string()?),
                (_, "g") => drop(reader.signature()?),
                (_, "u") => drop(reader.number()?),
                _ => return None,
            }
        }
        Some(message)
    }

    /// The strings and paths of a body of this signature (`s`, `o` and `u` alone); fewer if it ends early.
    pub fn strings(&self, signature: &str) -> Vec<String> {
        let mut reader = Reader::at(&self.body, 0);
        let mut strings = Vec::new();
        for kind in signature.chars() {
            let read = match kind {
                'u' => reader.number().map(|_| None),
                _ => reader.string().map(Some),
            };
            match read {
                Some(string) => strings.extend(string),
                None => break,
            }
        }
        strings
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn at(bytes: &[u8], at: usize) -> Reader<'_> {
        Reader { bytes, at }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.align(4);
        let taken = self.take(4)?;
        Some(u32::from_le_bytes(taken.try_into().ok()?))
    }

    fn string(&mut self) -> Option<String> {
        let length = self.number()? as usize;
        self.text(length)
    }

    fn signature(&mut self) -> Option<String> {
        let length = self.byte()?.into();
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.byte().map(|_zero| text)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// As `busctl --user capture` shows a call of this method.
    #[test]
    fn a_call_is_laid_out_as_the_specification_has_it() {
        let mut body = Body::new();
        body.string("a.scope");
        body.string("/m");
        body.array(4, |pids| pids.number(258));
        let bytes = call(7, "/p", "i.M", "Attach", "ssau", &body);
        let expected = [
            &b"l\x01\x00\x01"[..],
            &[28, 0, 0, 0, 7, 0, 0, 0, 58, 0, 0, 0],
            b"\x01\x01o\0\x02\0\0\0/p\0\0\0\0\0\0",
            b"\x02\x01s\0\x03\0\0\0i.M\0\0\0\0\0",
            b"\x03\x01s\0\x06\0\0\0Attach\0\0",
            b"\x08\x01g\0\x04ssau\0\0\0\0\0\0\0",
            b"\x07\0\0\0a.scope\0\x02\0\0\0/m\0\0",
            &[4, 0, 0, 0, 2, 1, 0, 0],
        ]
        .concat();
        assert_eq!(bytes, expected);
        assert_eq!(length(&bytes[..FIXED]), Some(bytes.len()));
    }

    fn error() -> Vec<u8> {
        let mut body = Body::new();
        body.string("no such unit");
        let mut bytes = Body::new();
        bytes.bytes.extend([b'l', 3, 1, 1]);
        bytes.number(body.bytes.len() as u32);
        bytes.number(9);
        bytes.array(8, |fields| {
            fields.field(FIELD_ERROR, "s", "a.B");
            fields.align(8);
            fields.bytes.push(FIELD_REPLY);
            fields.signature("u");
            fields.number(7);
            fields.field(FIELD_SIGNATURE, "g", "s");
        });
        bytes.align(8);
        bytes.bytes.extend(&body.bytes);
        bytes.bytes
    }

    #[test]
    fn an_error_is_read() {
        let message = Message::parse(&error()).unwrap();
        assert_eq!(message.kind, Kind::Error);
        assert_eq!(message.reply_to, 7);
        assert_eq!(message.error, "a.B");
        assert_eq!(message.strings("s"), ["no such unit"]);
        assert_eq!(message.strings("us"), Vec::<String>::new());
    }

    #[test]
    fn a_message_cut_anywhere_is_no_panic() {
        let whole = error();
        for end in 0..whole.len() {
            let cut = &whole[..end];
            let _ = length(cut);
            if let Some(message) = Message::parse(cut) {
                assert!(message.strings("s").is_empty(), "cut at {end}");
            }
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] = 0xff;
            let _ = length(&changed);
            let _ = Message::parse(&changed).map(|message| message.strings("soug"));
        }
    }
}
