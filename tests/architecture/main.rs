//! What every source file obeys: who may import whom, sizes, where `unsafe` may stand, names. Reads text, builds nothing.
//! The repository is the working directory. Each rule is a function from text to complaints and is shown a bad example.

mod imports;
mod names;
mod scripts;
mod size;
mod source;
mod unsafety;

/// What a rule found: `path:line: what`.
type Complaints = Vec<String>;

#[track_caller]
fn assert_none(complaints: Complaints) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Shows that a rule can fail: it must complain about `bad`, with a message that contains `part`.
#[cfg(test)]
#[track_caller]
fn assert_caught(complaints: Complaints, part: &str) {
    assert!(
        complaints.iter().any(|complaint| complaint.contains(part)),
        "no complaint contains {part:?}: {complaints:?}"
    );
}
