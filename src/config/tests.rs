//! What the settings are read from, and the words for what is wrong in them.

use super::*;

fn read(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    config
        .read_text(Path::new("config.toml"), text)
        .map(|()| config)
}

fn error(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn every_kind_of_key_is_read() {
    let config = read(
        "log-level = \"net=trace\"\nlog-file = \"/tmp/log\"\ndetach-keys = \"ctrl-a,b\"\n\
         [storage]\ndriver = \"overlay\"\n[network]\ndefault = \"none\"\n\
         [registries.\"docker.io\"]\nlocation = \"127.0.0.1:5000\"\ninsecure = true\n",
    )
    .unwrap();
    assert_eq!(config.log_level.as_str(), "net=trace");
    assert_eq!(config.log_file.as_deref(), Some(Path::new("/tmp/log")));
    assert_eq!(config.detach_keys.bytes(), [1, b'b']);
    assert_eq!(config.storage_driver, StorageDriver::Overlay);
    assert_eq!(config.network_default, NetworkDefault::None);
    let registry = config.registry("docker.io").unwrap();
    assert_eq!(registry.location.as_deref(), Some("127.0.0.1:5000"));
    assert_eq!(registry.insecure, Some(true));
    let entries = config.entries();
    assert_eq!(entries.len(), KEYS.len() + 2);
    let last = entries.last().unwrap();
    assert_eq!(last.key, "registries.\"docker.io\".insecure");
    assert_eq!(last.source.to_string(), "config.toml:10");
}

#[test]
fn mistakes_are_told_with_place_and_nearest_key() {
    for (text, expected) in [
        (
            "log-levle = \"x\"",
            "config.toml:1:1: unknown key \"log-levle\", did you mean \"log-level\"?",
        ),
        (
            "\n[storage]\n  driwer = \"auto\"",
            "config.toml:3:3: unknown key \"storage.driwer\", did you mean \"storage.driver\"?",
        ),
        (
            "storage.driver = 1",
            "config.toml:1:18: storage.driver must be a string, not an integer",
        ),
        (
            "[storage]\ndriver = \"btrfs\"",
            "config.toml:2:10: storage.driver: wrong value \"btrfs\", expected auto, overlay, fuse-overlayfs or copy",
        ),
        (
            "storage = true",
            "config.toml:1:11: storage must be a table, not a boolean",
        ),
        (
            "[registries.\"a.b\"]\ninsekure = true",
            "config.toml:2:1: unknown key \"registries.\"a.b\".insekure\", did you mean \"insecure\"?",
        ),
        (
            "[registries.\"a.b\"]\ninsecure = \"yes\"",
            "config.toml:2:12: registries.\"a.b\".insecure must be true or false, not a string",
        ),
        (
            "[registries.\"a.b\"]\nlocation = \"https://c\"",
            "config.toml:2:12: registries.\"a.b\".location: wrong value \"https://c\", expected host or host:port, without https://",
        ),
        (
            "[registrys]\n",
            "config.toml:1:2: unknown key \"registrys\", did you mean \"registries\"?",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
    assert!(
        error("a = ").starts_with("config.toml:1:"),
        "{}",
        error("a = ")
    );
    assert!(
        error("x = 1\nx = 2").starts_with("config.toml:2:1: "),
        "{}",
        error("x = 1\nx = 2")
    );
}

#[test]
fn later_sources_win_and_are_named() {
    let directory = std::env::temp_dir().join(format!("bryo-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (system, user) = (directory.join("system.toml"), directory.join("user.toml"));
    std::fs::write(
        &system,
        "detach-keys = \"a\"\nstorage.driver = \"overlay\"\n[network]\ndefault=\"host\"\n",
    )
    .unwrap();
    std::fs::write(&user, "storage.driver = \"fuse-overlayfs\"\n").unwrap();
    let files = [
        system.as_path(),
        user.as_path(),
        &directory.join("absent.toml"),
    ];
    let environment = |name: &str| (name == "BRYO_NETWORK").then(|| OsString::from("none"));
    let mut config = Config::from_files(files, environment).unwrap();
    config
        .set_flag("log-level", "--log-level", "debug")
        .unwrap();
    std::fs::remove_dir_all(&directory).unwrap();

    assert_eq!(config.storage_driver, StorageDriver::FuseOverlayfs);
    assert_eq!(config.network_default, NetworkDefault::None);
    assert_eq!(
        config.source("storage.driver").to_string(),
        format!("{}:1", user.display())
    );
    assert_eq!(
        config.source("detach-keys").to_string(),
        format!("{}:1", system.display())
    );
    assert_eq!(config.source("network.default").to_string(), "BRYO_NETWORK");
    assert_eq!(config.source("log-level").to_string(), "--log-level");
    assert_eq!(*config.source("log-file"), Source::Default);
}

#[test]
fn wrong_values_of_environment_and_flags_name_them() {
    let environment = |name: &str| (name == "BRYO_STORAGE_DRIVER").then(|| OsString::from("zfs"));
    let error = Config::from_files([], environment).unwrap_err();
    assert_eq!(
        error.to_string(),
        "BRYO_STORAGE_DRIVER: wrong value \"zfs\", expected auto, overlay, fuse-overlayfs or copy"
    );
    let error = Config::default()
        .set_flag("log-level", "--log-level", "a b")
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--log-level: wrong value \"a b\"")
    );
}

#[test]
fn a_log_filter_names_levels_and_modules_that_there_are() {
    for right in [
        "debug",
        "WARN",
        "net",
        "bryo::net=info,monitor=debug",
        "image::pack",
        "bryo,cli",
    ] {
        assert!(LogFilter::parse(right).is_some(), "{right}");
    }
    for wrong in [
        "debgu",
        "net=loud",
        "",
        "net,",
        "Net",
        "nets=debug",
        "net=",
        "bryo::nets",
    ] {
        assert!(LogFilter::parse(wrong).is_none(), "{wrong}");
    }
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let listed = std::fs::read_dir(source).unwrap().flatten();
    for folder in listed.filter(|entry| entry.path().is_dir()) {
        let name = folder.file_name().into_string().unwrap();
        // The programs that run inside a container say nothing.
        assert!(
            name == "embedded" || LogFilter::parse(&name).is_some(),
            "{name}"
        );
    }
}

#[test]
fn detach_keys_are_dockers() {
    let bytes = |text: &str| {
        text.parse::<DetachKeys>()
            .ok()
            .map(|keys| keys.bytes().to_vec())
    };
    assert_eq!(bytes("ctrl-p,ctrl-q"), Some(vec![16, 17]));
    assert_eq!(bytes("ctrl-@,ctrl-_,x"), Some(vec![0, 31, b'x']));
    assert_eq!(bytes(""), Some(vec![]));
    for wrong in ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-ab"] {
        assert_eq!(bytes(wrong), None, "{wrong}");
    }
}

#[test]
fn log_sizes_are_decimal_unless_they_say_binary() {
    let bytes = |text: &str| text.parse::<LogSize>().ok().map(|size| size.bytes);
    assert_eq!(bytes("10m"), Some(Some(10_000_000)));
    assert_eq!(bytes("2G"), Some(Some(2_000_000_000)));
    assert_eq!(bytes("1.5 kB"), Some(Some(1500)));
    assert_eq!(bytes("10MiB"), Some(Some(10 << 20)));
    assert_eq!(bytes("100"), Some(Some(100)));
    assert_eq!(bytes("-1"), Some(None));
    for wrong in ["", "0", "m", "-2", "1x", "1.2.3m", "1mm"] {
        assert_eq!(bytes(wrong), None, "{wrong}");
    }
}

#[test]
fn locations_are_hosts() {
    for right in [
        "localhost",
        "127.0.0.1:5000",
        "[::1]:5000",
        "[::1]",
        "mirror.example.org",
    ] {
        assert!(RegistryHost::is_location(right), "{right}");
    }
    for wrong in ["", "http://x", "x:0", "x:70000", "x/y", "[::1", "a b"] {
        assert!(!RegistryHost::is_location(wrong), "{wrong}");
    }
}

/// The table in `docs/config.md`, from the same lines as the struct. `BRYO_BLESS=1` writes it.
#[test]
fn documentation_lists_every_key() {
    let mut table =
        String::from("| key | environment | values | default | meaning |\n|---|---|---|---|---|\n");
    for key in KEYS {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!("`{}`", key.default)
        };
        let meaning = key.lines.concat();
        let (name, variable, values) = (key.name, key.variable, key.values);
        table += &format!(
            "| `{name}` | `{variable}` | {values} | {default} | {} |\n",
            meaning.trim()
        );
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = ("<!-- keys: begin -->\n", "<!-- keys: end -->\n");
    let start = page.find(begin).unwrap() + begin.len();
    let stop = page.find(end).unwrap();
    if std::env::var_os("BRYO_BLESS").is_some() {
        std::fs::write(&file, format!("{}{table}{}", &page[..start], &page[stop..])).unwrap();
    } else {
        assert_eq!(&page[start..stop], table, "run the test with BRYO_BLESS=1");
    }
}
