//! `--chmod`: an octal number, or the symbols of chmod(1). Pure.

/// How permissions change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeChange {
    To(u32),
    By(Vec<Clause>),
}

/// `go-w,a+X`: one of the parts between the commas, and in it one operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The bits of whom: 0o700, 0o070, 0o007.
    who: u32,
    operator: char,
    /// `rwx` as 0o777 for everybody, cut by `who`.
    bits: u32,
    /// `X`: `x` for directories and what is executable already.
    if_executable: bool,
    /// setuid, setgid, sticky.
    special: u32,
    /// `g=u`: as these have it by now, by how far their bits are shifted.
    like: Option<u32>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid mode {text:?}: an octal number up to 7777, or symbols as chmod has them (u=rwX,go=rX)"
)]
pub struct ModeError {
    text: String,
}

impl ModeChange {
    pub fn parse(text: &str) -> Result<ModeChange, ModeError> {
        let wrong = || ModeError {
            text: text.to_owned(),
        };
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let number = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
            return (number <= 0o7777)
                .then_some(ModeChange::To(number))
                .ok_or_else(wrong);
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            clauses.extend(clause(part).ok_or_else(wrong)?);
        }
        Ok(ModeChange::By(clauses))
    }

    /// The permissions of what has `mode` now.
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            ModeChange::To(number) => *number,
            ModeChange::By(clauses) => clauses
                .iter()
                .fold(mode, |mode, clause| clause.apply(mode, is_directory)),
        }
    }
}

impl Clause {
    fn says_nothing(&self) -> bool {
        self.bits == 0 && self.special == 0 && !self.if_executable && self.like.is_none()
    }

    fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        let mut bits = self.bits;
        if let Some(shift) = self.like {
            bits |= (mode >> shift & 0o7) * 0o111;
        }
        if self.if_executable && (is_directory || mode & 0o111 != 0) {
            bits |= 0o111;
        }
        let mut special = 0;
        if self.who & 0o700 != 0 {
            special |= self.special & 0o4000;
        }
        if self.who & 0o070 != 0 {
            special |= self.special & 0o2000;
        }
        special |= self.special & 0o1000;
        let bits = (bits & self.who) | special;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => (mode & !self.who) | bits,
        }
    }
}

/// One part may have several operators: `u+r-w`.
fn clause(part: &str) -> Option<Vec<Clause>> {
    let end = part.find(['+', '-', '='])?;
    let mut who = 0;
    for letter in part[..end].chars() {
        who |= match letter {
            'u' => 0o700,
            'g' => 0o070,
            'o' => 0o007,
            'a' => 0o777,
            _ => return None,
        };
    }
    if who == 0 {
        who = 0o777;
    }
    let mut clauses: Vec<Clause> = Vec::new();
    for letter in part[end..].chars() {
        if matches!(letter, '+' | '-' | '=') {
            clauses.push(Clause {
                who,
                operator: letter,
                bits: 0,
                if_executable: false,
                special: 0,
                like: None,
            });
            continue;
        }
        let last = clauses.last_mut()?;
        match letter {
            'r' => last.bits |= 0o444,
            'w' => last.bits |= 0o222,
            'x' => last.bits |= 0o111,
            'X' => last.if_executable = true,
            's' => last.special |= 0o6000,
            't' => last.special |= 0o1000,
            'u' | 'g' | 'o' if last.says_nothing() => {
                last.like = Some(match letter {
                    'u' => 6,
                    'g' => 3,
                    _ => 0,
                });
                continue;
            }
            _ => return None,
        }
        // Who is named as an example stands alone.
        if last.like.is_some() {
            return None;
        }
    }
    Some(clauses)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn modes_change_as_chmod_changes_them() {
        let cases = [
            ("755", 0o600, false, 0o755),
            ("4711", 0o600, false, 0o4711),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o755, false, 0o700),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+X", 0o654, false, 0o755),
            ("u+s,g+s", 0o755, false, 0o6755),
            ("u+r-w", 0o200, false, 0o400),
            ("o=", 0o777, false, 0o770),
            ("+t", 0o777, true, 0o1777),
            ("g=u", 0o640, false, 0o660),
            ("go+u-w", 0o710, false, 0o755),
            ("o=g,g-rwx", 0o750, false, 0o705),
        ];
        for (text, before, is_directory, after) in cases {
            let change = ModeChange::parse(text).unwrap();
            assert_eq!(change.apply(before, is_directory), after, "{text}");
        }
        for bad in [
            "", "8", "17777", "u", "x+u", "u+q", "u+x,", "-5", "g=ur", "g=ru", "g=uo",
        ] {
            assert!(ModeChange::parse(bad).is_err(), "{bad:?}");
        }
    }
}
