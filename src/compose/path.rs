//! Where in a project a value is: keys from the top.

/// The keys to a value; the position in a list is a key too.
#[derive(Clone, Debug, Default)]
pub struct Path(Vec<String>);

impl Path {
    pub fn of<const N: usize>(keys: [&str; N]) -> Path {
        Path(keys.map(str::to_owned).to_vec())
    }

    /// Does something one level deeper.
    pub fn under<T>(&mut self, key: &str, what: impl FnOnce(&mut Path) -> T) -> T {
        self.0.push(key.to_owned());
        let done = what(self);
        self.0.pop();
        done
    }

    /// To be matched with patterns.
    pub fn keys(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
