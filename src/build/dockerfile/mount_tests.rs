//! Tests of `RUN --mount` and `--device`.

use super::*;

fn word(text: &str) -> Word {
    Word {
        text: text.into(),
        location: Location::at(1, 13),
    }
}

fn mount(text: &str) -> RunMount {
    let mount = MountText::parse(&word(text)).unwrap();
    mount.resolve_with(|word| Ok(word.text.clone())).unwrap()
}

fn fault(text: &str) -> (usize, String) {
    let wrong = MountText::parse(&word(text)).unwrap_err();
    (wrong.location.column, wrong.fault.to_string())
}

#[test]
fn every_type_has_its_defaults() {
    assert_eq!(
        mount("target=/a"),
        RunMount::Bind(Bind {
            target: "/a".into(),
            read_only: true,
            ..Bind::default()
        })
    );
    assert_eq!(
        mount("type=cache,dst=/c,sharing=locked,ro,mode=0750,uid=5,gid=6,from=x,source=/y,id=z"),
        RunMount::Cache(Cache {
            id: Some("z".into()),
            target: "/c".into(),
            sharing: Sharing::Locked,
            from: Some("x".into()),
            source: Some("/y".into()),
            mode: Some(0o750),
            uid: Some(5),
            gid: Some(6),
            read_only: true,
        })
    );
    assert_eq!(
        mount("TYPE=tmpfs,target=/t,size=1.5m"),
        RunMount::Tmpfs(Tmpfs {
            target: "/t".into(),
            size: Some(1536 * 1024)
        })
    );
    let secret = |id: &str, target: Option<&str>, env: Option<&str>| {
        RunMount::Secret(Secret {
            id: id.into(),
            target: target.map(str::to_owned),
            env: env.map(str::to_owned),
            ..Secret::default()
        })
    };
    assert_eq!(
        mount("type=secret,id=a"),
        secret("a", Some("/run/secrets/a"), None)
    );
    assert_eq!(
        mount("type=secret,src=a/b"),
        secret("a/b", Some("/run/secrets/b"), None)
    );
    assert_eq!(
        mount("type=secret,target=/x/y"),
        secret("y", Some("/x/y"), None)
    );
    assert_eq!(
        mount("type=secret,id=a,env=A"),
        secret("a", None, Some("A"))
    );
    assert_eq!(
        mount("type=secret,id=a,env=A,target=/b"),
        secret("a", Some("/b"), Some("A"))
    );
    assert_eq!(
        mount("type=ssh,required"),
        RunMount::Ssh(Ssh {
            id: "default".into(),
            required: true,
            ..Ssh::default()
        })
    );
}

#[test]
fn mistakes_tell_the_option_and_the_nearest() {
    let told = [
        (
            "type=bnd,target=/a",
            18,
            "unsupported mount type \"bnd\", did you mean bind?",
        ),
        (
            "type=bind,bind-propagation=shared,target=/a",
            23,
            "unknown mount option \"bind-propagation\", did you mean destination?",
        ),
        (
            "type=bind,sorce=/a",
            23,
            "unknown mount option \"sorce\", did you mean source?",
        ),
        (
            "type=tmpfs,target=/a,id=x",
            34,
            "mount option id is not for type=tmpfs",
        ),
        (
            "type=cache,target=/a,sharing=lockd",
            42,
            "unsupported sharing value \"lockd\", did you mean locked?",
        ),
        (
            "type=cache,target=/a,mode=9",
            39,
            "mount option mode: wrong value \"9\", expected an octal mode, as in 0400",
        ),
        (
            "type=cache,target=/a,uid=-1",
            38,
            "mount option uid: wrong value \"-1\", expected a user's number",
        ),
        (
            "target",
            13,
            "mount option target needs a value: target=VALUE",
        ),
        ("type=cache", 13, "a cache mount needs target"),
        ("type=secret", 13, "a secret mount needs id or target"),
        (
            "type=secret,id=a,src=b",
            13,
            "a secret mount can not have both source and id",
        ),
        (
            "type=bind,target=/a,ro=maybe",
            36,
            "mount option ro: wrong value \"maybe\", expected true or false",
        ),
        (
            "from=$A,target=/a",
            13,
            "from does not expand variables: give the stage or image a name with FROM … AS",
        ),
        (
            "type=bind,\"target=/a",
            13,
            "--mount: a quote is not closed, or text follows it",
        ),
    ];
    for (text, column, message) in told {
        assert_eq!(fault(text), (column, message.to_owned()), "{text}");
    }
}

#[test]
fn what_has_a_variable_waits_for_its_value() {
    let text = MountText::parse(&word("type=cache,target=$T,uid=$U")).unwrap();
    let with =
        |uid: &str| text.resolve_with(|word| Ok(word.text.replace("$T", "/t").replace("$U", uid)));
    assert!(matches!(
        with("7").unwrap(),
        RunMount::Cache(Cache { uid: Some(7), .. })
    ));
    let wrong = with("x").unwrap_err();
    assert_eq!(wrong.location.column, 38);
}

#[test]
fn devices_have_a_name() {
    let device =
        |text: &str| Device::parse(&word(text)).map(|device| (device.name.text, device.required));
    assert_eq!(
        device("vendor.com/Class=A").unwrap(),
        ("vendor.com/Class=A".into(), false)
    );
    assert_eq!(
        device("vendor.com/c=a,required").unwrap(),
        ("vendor.com/c=a".into(), true)
    );
    assert_eq!(
        device("name=vendor.com/c=a,required=false").unwrap(),
        ("vendor.com/c=a".into(), false)
    );
    assert!(matches!(
        device("required").unwrap_err().fault,
        Fault::DeviceName
    ));
    assert!(
        matches!(device("requird,x/y=z").unwrap_err().fault, Fault::DeviceKey { nearest, .. } if nearest == "required")
    );
}
