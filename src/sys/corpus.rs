//! Inputs of earlier fuzzing, for the tests of the modules that are fuzzed.

/// Every input that was ever worth keeping, of `fuzz/corpus/TARGET`.
pub fn replay(target: &str, judge: fn(&[u8])) {
    let corpus = std::path::Path::new("fuzz/corpus").join(target);
    let inputs = std::fs::read_dir(&corpus).expect("there is a corpus");
    let mut count = 0;
    for input in inputs {
        let path = input.expect("it can be listed").path();
        judge(&std::fs::read(&path).expect("it can be read"));
        count += 1;
    }
    assert!(count > 2, "{target}: {count} inputs");
}
