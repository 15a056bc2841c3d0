//! What is written is read back: formats, parts, rotation, tails, and files that were cut.

use std::ops::ControlFlow;
use std::path::Path;

use super::*;

/// An entry of its own.
type Owned = (Stream, Vec<u8>, bool);

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("bryo-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    fn orders(&self, driver: LogDriver) -> LogOrders {
        LogOrders {
            driver,
            path: self.0.join("log"),
            max_size: None,
            max_file: 3,
            compress: false,
            attributes: LogAttributes::default(),
            id: String::new(),
            name: String::new(),
            image: String::new(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn more(reader: &mut LogReader) -> Vec<Owned> {
    let mut entries = Vec::new();
    let ended = reader.read(|entry| {
        entries.push((entry.stream, entry.text.to_vec(), entry.ends_line));
        ControlFlow::Continue(())
    });
    assert!(ended.unwrap().is_continue());
    entries
}

fn read(path: &Path, tail: Option<u64>) -> Vec<Owned> {
    let mut reader = LogReader::open(path, Reach::Now, tail).unwrap().unwrap();
    more(&mut reader)
}

fn texts(entries: &[Owned]) -> Vec<String> {
    let text = |entry: &Owned| String::from_utf8_lossy(&entry.1).into_owned();
    entries.iter().map(text).collect()
}

#[test]
fn every_byte_comes_back_from_both_formats() {
    for driver in [LogDriver::JsonFile, LogDriver::K8sFile] {
        let scratch = Scratch::new(&format!("bytes-{driver}"));
        let orders = scratch.orders(driver);
        let mut writer = LogWriter::open(&orders).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let pieces: [&[u8]; 4] = [
            &all,
            b"\n\"\\\t\xc3\xa9\x7f\n",
            b"\n",
            "é\u{2028}😀 end".as_bytes(),
        ];
        for piece in pieces {
            writer.take(Stream::Stderr, piece).unwrap();
        }
        writer.finish().unwrap();
        let mut whole = Vec::new();
        for (stream, text, ends) in read(&orders.path, None) {
            assert_eq!(stream, Stream::Stderr);
            whole.extend_from_slice(&text);
            whole.extend_from_slice(if ends { b"\n" } else { b"" });
        }
        assert_eq!(whole, pieces.concat(), "{driver}");
    }
}

#[test]
fn any_reader_of_json_reads_it_line_by_line() {
    let scratch = Scratch::new("foreign");
    let mut orders = scratch.orders(LogDriver::JsonFile);
    orders.attributes.tag = Some("a\"b".to_owned());
    orders
        .attributes
        .extra
        .insert("x}".to_owned(), "{y".to_owned());
    let mut writer = LogWriter::open(&orders).unwrap();
    writer
        .take(Stream::Stdout, b"plain\nb\xffd \"q\" \x01\n")
        .unwrap();
    writer.finish().unwrap();
    let text = std::fs::read_to_string(&orders.path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["log"], "plain\n");
    assert_eq!(lines[0]["stream"], "stdout");
    assert_eq!(
        lines[0]["attrs"],
        serde_json::json!({"tag": "a\"b", "x}": "{y"})
    );
    assert_eq!(lines[1]["log"], "b\u{fffd}d \"q\" \u{1}\n");
    let entries = read(&orders.path, None);
    assert_eq!(entries[1].1, b"b\xffd \"q\" \x01");
}

#[test]
fn what_docker_and_conmon_wrote_is_read() {
    let scratch = Scratch::new("other");
    let path = scratch.0.join("log");
    let written = concat!(
        "{\"log\":\"\\u003ca\\u0026\\ud83d\\ude00\\n\",\"stream\":\"stderr\",\"time\":\"2024-01-02T03:04:05.5Z\"}\n",
        "{\"time\":\"2024-01-02T03:04:06Z\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b\"},\"log\":\"part\"}\n",
        "half a line that a crash left\n",
        "2024-01-02T05:04:07.25+02:00 stdout F and text\n",
        "{\"log\":\"still being writ"
    );
    std::fs::write(&path, written).unwrap();
    let mut reader = LogReader::open(&path, Reach::Now, None).unwrap().unwrap();
    let mut seen = Vec::new();
    let ended = reader.read(|entry| {
        let text = String::from_utf8_lossy(entry.text).into_owned();
        seen.push((text, entry.ends_line, entry.time.to_owned()));
        ControlFlow::Continue(())
    });
    assert!(ended.unwrap().is_continue());
    let expected = [
        ("<a&😀", true, "2024-01-02T03:04:05.500000000Z"),
        ("part", false, "2024-01-02T03:04:06.000000000Z"),
        ("and text", true, "2024-01-02T03:04:07.250000000Z"),
    ];
    let expected = expected.map(|(text, ends, time)| (text.to_owned(), ends, time.to_owned()));
    assert_eq!(seen, expected);
}

#[test]
fn rotation_keeps_the_newest_and_a_follower_sees_all() {
    let scratch = Scratch::new("rotation");
    let mut orders = scratch.orders(LogDriver::JsonFile);
    orders.max_size = Some(2000);
    let mut writer = LogWriter::open(&orders).unwrap();
    let mut follower = LogReader::open(&orders.path, Reach::Later, None)
        .unwrap()
        .unwrap();
    let mut followed = Vec::new();
    for number in 0..500 {
        writer
            .take(Stream::Stdout, format!("line {number}\n").as_bytes())
            .unwrap();
        if number % 37 == 0 {
            followed.extend(more(&mut follower));
        }
    }
    followed.extend(more(&mut follower));
    let expected: Vec<String> = (0..500).map(|number| format!("line {number}")).collect();
    assert_eq!(texts(&followed), expected);
    let kept = texts(&read(&orders.path, None));
    assert!(kept.len() > 40 && expected.ends_with(&kept), "{kept:?}");
    let names = std::fs::read_dir(&scratch.0).unwrap().count();
    assert_eq!(names, 3, "log, log.1 and log.2");
    // A tail reaches back over the files.
    assert_eq!(texts(&read(&orders.path, Some(40))), expected[460..]);
    // With fewer files allowed the rest goes.
    orders.max_file = 1;
    LogWriter::open(&orders).unwrap();
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1);
}

#[test]
fn a_rotation_that_was_cut_loses_and_doubles_nothing() {
    let scratch = Scratch::new("cut");
    let mut orders = scratch.orders(LogDriver::JsonFile);
    orders.max_size = Some(1000);
    let numbered =
        |from: u32, to: u32| -> Vec<String> { (from..to).map(|n| n.to_string()).collect() };
    let write = |orders: &LogOrders, from, to| {
        let mut writer = LogWriter::open(orders).unwrap();
        for line in numbered(from, to) {
            writer
                .take(Stream::Stdout, format!("{line}\n").as_bytes())
                .unwrap();
        }
    };
    write(&orders, 0, 20);
    // Killed once the old one has both names, before the next has its own.
    let first = scratch.0.join("log.1");
    std::fs::rename(&first, scratch.0.join("log.2")).unwrap();
    std::fs::hard_link(&orders.path, &first).unwrap();
    std::fs::write(scratch.0.join("log.new"), "").unwrap();
    assert_eq!(texts(&read(&orders.path, None)), numbered(0, 20));
    write(&orders, 20, 40);
    let kept = texts(&read(&orders.path, None));
    assert!(
        kept.len() > 20 && numbered(0, 40).ends_with(&kept),
        "{kept:?}"
    );
}

#[test]
fn a_tail_counts_lines_not_parts() {
    let scratch = Scratch::new("tail");
    let orders = scratch.orders(LogDriver::JsonFile);
    let mut writer = LogWriter::open(&orders).unwrap();
    let long = "x".repeat(100_000);
    let text = format!("one\n{long}\ntwo\nopen");
    writer.take(Stream::Stdout, text.as_bytes()).unwrap();
    writer.finish().unwrap();
    let size = |tail| {
        let entries = read(&orders.path, Some(tail));
        entries.iter().map(|entry| entry.1.len()).sum::<usize>()
    };
    assert_eq!(
        [0, 1, 2, 3, 4, 5].map(size),
        [0, 4, 7, 100_007, 100_010, 100_010]
    );
}

#[test]
fn a_torn_line_is_closed_by_the_next_writer() {
    let scratch = Scratch::new("torn");
    let orders = scratch.orders(LogDriver::K8sFile);
    let mut writer = LogWriter::open(&orders).unwrap();
    writer.take(Stream::Stdout, b"whole\nlost\n").unwrap();
    let length = std::fs::metadata(&orders.path).unwrap().len();
    let file = std::fs::File::options()
        .write(true)
        .open(&orders.path)
        .unwrap();
    file.set_len(length - 40).unwrap();
    let mut writer = LogWriter::open(&orders).unwrap();
    writer.take(Stream::Stdout, b"next\n").unwrap();
    assert_eq!(texts(&read(&orders.path, None)), ["whole", "next"]);
}

#[test]
fn a_reader_of_now_ends_however_much_is_written() {
    let scratch = Scratch::new("now");
    let orders = scratch.orders(LogDriver::JsonFile);
    let mut writer = LogWriter::open(&orders).unwrap();
    writer.take(Stream::Stdout, b"first\n").unwrap();
    let mut reader = LogReader::open(&orders.path, Reach::Now, None)
        .unwrap()
        .unwrap();
    writer.take(Stream::Stdout, b"second\n").unwrap();
    assert_eq!(texts(&more(&mut reader)), ["first"]);
}

#[test]
fn a_file_that_is_compressed_while_it_is_read_is_read_once() {
    let scratch = Scratch::new("packed");
    let path = scratch.0.join("log");
    let line = |number: u32| format!("2026-01-01T00:00:00.00000000{number}Z stdout F {number}\n");
    let old = file::rotated(&path, 1);
    std::fs::write(&old, line(1) + &line(2)).unwrap();
    std::fs::write(&path, line(3)).unwrap();
    let mut early = LogReader::open(&path, Reach::Later, None).unwrap().unwrap();
    let packed = std::fs::File::create(compress::compressed(&path, 1)).unwrap();
    let plain = std::fs::File::open(&old).unwrap();
    compress::compress(&plain, &packed).unwrap();
    // Both are there for a moment.
    assert_eq!(texts(&read(&path, None)), ["1", "2", "3"]);
    std::fs::remove_file(&old).unwrap();
    assert_eq!(texts(&read(&path, None)), ["1", "2", "3"]);
    assert_eq!(texts(&read(&path, Some(1))), ["3"]);
    assert_eq!(texts(&read(&path, Some(2))), ["2", "3"]);
    assert_eq!(texts(&more(&mut early)), ["1", "2", "3"]);
    // The file that it is at becomes an old one, and that a compressed one.
    std::fs::rename(
        compress::compressed(&path, 1),
        compress::compressed(&path, 2),
    )
    .unwrap();
    std::fs::rename(&path, &old).unwrap();
    std::fs::write(&path, line(4)).unwrap();
    let packed = std::fs::File::create(compress::compressed(&path, 1)).unwrap();
    let plain = std::fs::File::open(&old).unwrap();
    compress::compress(&plain, &packed).unwrap();
    std::fs::remove_file(&old).unwrap();
    assert_eq!(texts(&more(&mut early)), ["4"]);
    assert_eq!(texts(&read(&path, None)), ["1", "2", "3", "4"]);
}
