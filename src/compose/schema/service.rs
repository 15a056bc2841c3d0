//! A service's keys.

use super::*;

static FLAG_OR_STRING: Shape = scalars(BOOL | TEXT);
static EXTRA_HOSTS: Shape = list(&STRING).or_map(every(&STRING_OR_LIST));

static ULIMITS: Shape = every(&ULIMIT);
const ULIMIT: Shape = Shape {
    map: Some(Fields::Named(
        &[("hard", &INTEGER), ("soft", &INTEGER)],
        &["hard", "soft"],
    )),
    ..cast(scalars(INT | TEXT), Cast::Int)
};

static FILE_REF: Shape = object(&[
    ("source", &STRING),
    ("target", &STRING),
    ("uid", &STRING),
    ("gid", &STRING),
    ("mode", &scalars(INT | FLOAT | TEXT)),
])
.or(TEXT);

static BUILD: Shape = object(&[
    ("context", &STRING),
    ("dockerfile", &STRING),
    ("dockerfile_inline", &STRING),
    ("entitlements", &list(&STRING)),
    ("args", &LIST_OR_DICT),
    ("ssh", &LIST_OR_DICT),
    ("labels", &LIST_OR_DICT),
    ("cache_from", &list(&STRING)),
    ("cache_to", &list(&STRING)),
    ("no_cache", &FLAG),
    ("additional_contexts", &LIST_OR_DICT),
    ("network", &STRING),
    ("provenance", &FLAG_OR_STRING),
    ("sbom", &FLAG_OR_STRING),
    ("pull", &FLAG),
    ("target", &STRING),
    ("shm_size", &SIZE),
    ("extra_hosts", &EXTRA_HOSTS),
    ("isolation", &STRING),
    ("privileged", &FLAG),
    ("secrets", &list(&FILE_REF)),
    ("tags", &list(&STRING)),
    ("ulimits", &ULIMITS),
    ("platforms", &list(&STRING)),
])
.or(TEXT);

static WEIGHTS: Shape = list(&object(&[("path", &STRING), ("weight", &INTEGER)]));
static RATES: Shape = list(&object(&[("path", &STRING), ("rate", &SIZE)]));
static BLKIO: Shape = object(&[
    ("weight", &INTEGER),
    ("weight_device", &WEIGHTS),
    ("device_read_bps", &RATES),
    ("device_read_iops", &RATES),
    ("device_write_bps", &RATES),
    ("device_write_iops", &RATES),
]);

static DEPENDS_ON: Shape = STRINGS.or_map(names(&needing(
    &["condition"],
    &[
        ("condition", &CONDITION),
        ("restart", &FLAG),
        ("required", &FLAG),
    ],
)));
static CONDITION: Shape = one_of(&[
    "service_started",
    "service_healthy",
    "service_completed_successfully",
]);

static DEVICE: Shape = needing(
    &["source"],
    &[
        ("source", &STRING),
        ("target", &STRING),
        ("permissions", &STRING),
    ],
)
.or(TEXT);

const REQUEST_KEYS: &[(&str, &Shape)] = &[
    ("capabilities", &list(&STRING)),
    ("count", &SIZE),
    ("device_ids", &list(&STRING)),
    ("driver", &STRING),
    ("options", &LIST_OR_DICT),
];
static GPUS: Shape = one_of(&["all"]).or_list(&object(REQUEST_KEYS));

static ENV_FILE: Shape = scalars(TEXT).or_list(&ENV_FILE_ENTRY);
static ENV_FILE_ENTRY: Shape = needing(
    &["path"],
    &[("path", &STRING), ("required", &FLAG), ("format", &STRING)],
)
.or(TEXT);

static HEALTHCHECK: Shape = object(&[
    ("disable", &FLAG),
    ("interval", &STRING),
    ("retries", &INTEGER),
    ("test", &scalars(TEXT).or_list(&STRING)),
    ("timeout", &STRING),
    ("start_period", &STRING),
    ("start_interval", &STRING),
]);

static NETWORKS: Shape = STRINGS.or_map(names(
    &object(&[
        ("aliases", &STRINGS),
        ("interface_name", &STRING),
        ("ipv4_address", &STRING),
        ("ipv6_address", &STRING),
        ("link_local_ips", &STRINGS),
        ("mac_address", &STRING),
        ("driver_opts", &every(&STRING_NUMBER)),
        ("priority", &INTEGER),
        ("gw_priority", &INTEGER),
    ])
    .or(NULL),
));

static PORT: Shape = object(&[
    ("name", &STRING),
    ("mode", &STRING),
    ("host_ip", &STRING),
    ("target", &INTEGER),
    ("published", &scalars(INT | TEXT)),
    ("protocol", &STRING),
    ("app_protocol", &STRING),
])
.or(TEXT | INT | FLOAT);

static HOOK: Shape = needing(
    &["command"],
    &[
        ("command", &COMMAND),
        ("user", &STRING),
        ("privileged", &FLAG),
        ("working_dir", &STRING),
        ("environment", &LIST_OR_DICT),
    ],
);

static MOUNT: Shape = needing(
    &["type"],
    &[
        (
            "type",
            &one_of(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"]),
        ),
        ("source", &STRING),
        ("target", &STRING),
        ("read_only", &FLAG),
        ("consistency", &STRING),
        (
            "bind",
            &object(&[
                ("propagation", &STRING),
                ("create_host_path", &FLAG),
                (
                    "recursive",
                    &one_of(&["enabled", "disabled", "writable", "readonly"]),
                ),
                ("selinux", &one_of(&["z", "Z"])),
            ]),
        ),
        (
            "volume",
            &object(&[
                ("labels", &LIST_OR_DICT),
                ("nocopy", &FLAG),
                ("subpath", &STRING),
            ]),
        ),
        (
            "tmpfs",
            &object(&[("size", &SIZE), ("mode", &STRING_NUMBER)]),
        ),
        ("image", &object(&[("subpath", &STRING)])),
    ],
)
.or(TEXT);

static WATCH: Shape = needing(
    &["path", "action"],
    &[
        ("ignore", &STRING_OR_LIST),
        ("include", &STRING_OR_LIST),
        ("path", &STRING),
        (
            "action",
            &one_of(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"]),
        ),
        ("target", &STRING),
        ("exec", &HOOK),
        ("initial_sync", &FLAG),
    ],
);

static UPDATE: Shape = object(&[
    ("parallelism", &INTEGER),
    ("delay", &STRING),
    ("failure_action", &STRING),
    ("monitor", &STRING),
    ("max_failure_ratio", &NUMBER),
    ("order", &one_of(&["start-first", "stop-first"])),
]);

static GENERIC: Shape = list(&object(&[(
    "discrete_resource_spec",
    &object(&[("kind", &STRING), ("value", &INTEGER)]),
)]));

static DEPLOY: Shape = object(&[
    ("mode", &STRING),
    ("endpoint_mode", &STRING),
    ("replicas", &INTEGER),
    ("labels", &LIST_OR_DICT),
    ("rollback_config", &UPDATE),
    ("update_config", &UPDATE),
    (
        "resources",
        &object(&[
            (
                "limits",
                &object(&[
                    ("cpus", &STRING_NUMBER),
                    ("memory", &STRING),
                    ("pids", &INTEGER),
                ]),
            ),
            (
                "reservations",
                &object(&[
                    ("cpus", &STRING_NUMBER),
                    ("memory", &STRING),
                    ("generic_resources", &GENERIC),
                    ("devices", &list(&needing(&["capabilities"], REQUEST_KEYS))),
                ]),
            ),
        ]),
    ),
    (
        "restart_policy",
        &object(&[
            ("condition", &STRING),
            ("delay", &STRING),
            ("max_attempts", &INTEGER),
            ("window", &STRING),
        ]),
    ),
    (
        "placement",
        &object(&[
            ("constraints", &list(&STRING)),
            ("preferences", &list(&object(&[("spread", &STRING)]))),
            ("max_replicas_per_node", &INTEGER),
        ]),
    ),
])
.or(NULL);

/// One of `services:`.
pub static SERVICE: Shape = object(&[
    ("annotations", &LIST_OR_DICT),
    ("attach", &FLAG),
    ("build", &BUILD),
    ("blkio_config", &BLKIO),
    ("cap_add", &list(&STRING)),
    ("cap_drop", &list(&STRING)),
    ("cgroup", &one_of(&["host", "private"])),
    ("cgroup_parent", &STRING),
    ("command", &COMMAND),
    ("configs", &list(&FILE_REF)),
    ("container_name", &STRING),
    ("cpu_count", &INTEGER),
    ("cpu_percent", &NUMBER),
    ("cpu_shares", &INTEGER),
    ("cpu_quota", &INTEGER),
    ("cpu_period", &INTEGER),
    ("cpu_rt_period", &STRING_NUMBER),
    ("cpu_rt_runtime", &STRING_NUMBER),
    ("cpus", &NUMBER),
    ("cpuset", &STRING),
    (
        "credential_spec",
        &object(&[
            ("config", &STRING),
            ("file", &STRING),
            ("registry", &STRING),
        ]),
    ),
    ("depends_on", &DEPENDS_ON),
    ("deploy", &DEPLOY),
    ("develop", &object(&[("watch", &list(&WATCH))]).or(NULL)),
    ("device_cgroup_rules", &STRINGS),
    ("devices", &list(&DEVICE)),
    ("dns", &STRING_OR_LIST),
    ("dns_opt", &list(&STRING)),
    ("dns_search", &STRING_OR_LIST),
    ("domainname", &STRING),
    ("entrypoint", &COMMAND),
    ("env_file", &ENV_FILE),
    ("environment", &LIST_OR_DICT),
    ("expose", &list(&STRING_NUMBER)),
    (
        "extends",
        &needing(&["service"], &[("service", &STRING), ("file", &STRING)]).or(TEXT),
    ),
    ("external_links", &list(&STRING)),
    ("extra_hosts", &EXTRA_HOSTS),
    ("gpus", &GPUS),
    ("group_add", &list(&STRING_NUMBER).unique()),
    ("healthcheck", &HEALTHCHECK),
    ("hostname", &STRING),
    ("image", &STRING),
    ("init", &FLAG),
    ("ipc", &STRING),
    ("isolation", &STRING),
    ("label_file", &STRING_OR_LIST),
    ("labels", &LIST_OR_DICT),
    ("links", &list(&STRING)),
    (
        "logging",
        &object(&[("driver", &STRING), ("options", &OPTIONS)]),
    ),
    ("mac_address", &STRING),
    ("mem_limit", &SIZE),
    ("mem_reservation", &SIZE),
    ("mem_swappiness", &SIZE),
    ("memswap_limit", &SIZE),
    (
        "models",
        &STRINGS.or_map(every(
            &object(&[("endpoint_var", &STRING), ("model_var", &STRING)]).or(NULL),
        )),
    ),
    ("network_mode", &STRING),
    ("networks", &NETWORKS),
    ("oom_kill_disable", &FLAG),
    ("oom_score_adj", &INTEGER),
    ("pid", &STRING_NULL),
    ("pids_limit", &INTEGER),
    ("platform", &STRING),
    ("ports", &list(&PORT)),
    ("post_start", &list(&HOOK)),
    ("pre_stop", &list(&HOOK)),
    ("privileged", &FLAG),
    ("profiles", &list(&STRING)),
    (
        "provider",
        &needing(
            &["type"],
            &[
                ("type", &STRING),
                (
                    "options",
                    &every(
                        &scalars(TEXT | BOOL | INT | FLOAT)
                            .or_list(&scalars(TEXT | BOOL | INT | FLOAT)),
                    ),
                ),
            ],
        ),
    ),
    ("pull_policy", &STRING),
    ("pull_refresh_after", &STRING),
    ("read_only", &FLAG),
    ("restart", &STRING),
    ("runtime", &STRING),
    ("scale", &INTEGER),
    ("secrets", &list(&FILE_REF)),
    ("security_opt", &list(&STRING)),
    ("shm_size", &SIZE),
    ("stdin_open", &FLAG),
    ("stop_grace_period", &STRING),
    ("stop_signal", &STRING),
    ("storage_opt", &every(&PLAIN)),
    ("sysctls", &LIST_OR_DICT),
    ("tmpfs", &STRING_OR_LIST),
    ("tty", &FLAG),
    ("ulimits", &ULIMITS),
    ("use_api_socket", &FLAG),
    ("user", &STRING),
    ("userns_mode", &STRING),
    ("uts", &STRING),
    ("volumes", &list(&MOUNT)),
    ("volumes_from", &list(&STRING)),
    ("working_dir", &STRING),
]);
