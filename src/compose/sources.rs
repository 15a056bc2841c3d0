//! The files of a project: read within bounds, and remembered for what is said about them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::ComposeError;
use super::fault::Fault;
use super::yaml::{self, At};

/// A file is a text that somebody wrote.
const FILE_MAX: u64 = 8 << 20;
/// With those that are included and extended, each counted as often as it is read.
const FILES: usize = 512;

/// All files that were read, by the numbers that places have.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
}

impl Sources {
    /// Reads a file and gives its number; `-` is standard input, if the command line says so.
    pub fn read(&mut self, path: &Path, is_given: bool) -> Result<u32, ComposeError> {
        let name = path.display().to_string();
        if self.files.len() >= FILES {
            return Err(ComposeError::TooMany { count: FILES });
        }
        let text = match (is_given, name.as_str()) {
            (true, "-") => text_of(path, &mut std::io::stdin().lock())?,
            (true, _) => given(path)?,
            (false, _) => text(path)?,
        };
        self.files.push(Source { name, text });
        Ok(self.files.len() as u32 - 1)
    }

    pub fn text(&self, file: u32) -> &str {
        &self.files[file as usize].text
    }

    /// What is wrong, with its place in words.
    pub fn told(&self, fault: Fault) -> ComposeError {
        let At { file, line, column } = fault.at;
        let source = self.files.get(file as usize).filter(|_| line > 0);
        let Some(source) = source else {
            return ComposeError::Invalid { text: fault.text };
        };
        let text = yaml::lines(&source.text).nth(line as usize - 1);
        ComposeError::At {
            file: source.name.clone(),
            line: line as usize,
            column: column as usize,
            message: fault.text,
            near: fault.near,
            text: text.unwrap_or_default().to_owned(),
        }
    }

    /// `FILE:LINE:COLUMN`
    pub fn place(&self, at: At) -> String {
        match self.files.get(at.file as usize).filter(|_| at.line > 0) {
            Some(source) => format!("{}:{}:{}", source.name, at.line, at.column),
            None => String::new(),
        }
    }
}

/// The text of a file that another file names: a pipe would be waited for, and is refused.
pub fn text(path: &Path) -> Result<String, ComposeError> {
    let open = |source| ComposeError::Open {
        path: path.to_owned(),
        source,
    };
    let meta = std::fs::metadata(path).map_err(open)?;
    if !meta.is_file() {
        return Err(ComposeError::NoFileAt {
            path: path.to_owned(),
        });
    }
    text_of(path, &mut File::open(path).map_err(open)?)
}

/// The text of a file that the command line names.
fn given(path: &Path) -> Result<String, ComposeError> {
    let opened = File::open(path).map_err(|source| ComposeError::Open {
        path: path.to_owned(),
        source,
    });
    text_of(path, &mut opened?)
}

fn text_of(path: &Path, file: &mut dyn Read) -> Result<String, ComposeError> {
    let path = || PathBuf::from(path);
    let mut bytes = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|source| ComposeError::Open {
        path: path(),
        source,
    })?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(ComposeError::Large {
            path: path(),
            mebibytes: FILE_MAX >> 20,
        });
    }
    String::from_utf8(bytes).map_err(|_| ComposeError::NoText { path: path() })
}
