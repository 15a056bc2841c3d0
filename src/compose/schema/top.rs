//! The top of a compose file, and what is not of services.

use super::*;

static EXTERNAL: Shape = FLAG_OR_NAME;
const FLAG_OR_NAME: Shape = Shape {
    map: Some(Fields::Named(&[("name", &STRING)], &[])),
    ..cast(scalars(BOOL | TEXT), Cast::Bool)
};

static POOL: Shape = object(&[
    ("subnet", &STRING),
    ("ip_range", &STRING),
    ("gateway", &STRING),
    ("aux_addresses", &every(&STRING)),
]);

static NETWORK: Shape = object(&[
    ("name", &STRING),
    ("driver", &STRING),
    ("driver_opts", &every(&STRING_NUMBER)),
    (
        "ipam",
        &object(&[
            ("driver", &STRING),
            ("config", &list(&POOL)),
            ("options", &every(&STRING)),
        ]),
    ),
    ("external", &EXTERNAL),
    ("internal", &FLAG),
    ("enable_ipv4", &FLAG),
    ("enable_ipv6", &FLAG),
    ("attachable", &FLAG),
    ("labels", &LIST_OR_DICT),
])
.or(NULL);

static VOLUME: Shape = object(&[
    ("name", &STRING),
    ("driver", &STRING),
    ("driver_opts", &every(&STRING_NUMBER)),
    ("external", &EXTERNAL),
    ("labels", &LIST_OR_DICT),
])
.or(NULL);

static SECRET: Shape = object(&[
    ("name", &STRING),
    ("environment", &STRING),
    ("file", &STRING),
    ("external", &EXTERNAL),
    ("labels", &LIST_OR_DICT),
    ("driver", &STRING),
    ("driver_opts", &every(&STRING_NUMBER)),
    ("template_driver", &STRING),
]);

static CONFIG: Shape = object(&[
    ("name", &STRING),
    ("content", &STRING),
    ("environment", &STRING),
    ("file", &STRING),
    ("external", &EXTERNAL),
    ("labels", &LIST_OR_DICT),
    ("template_driver", &STRING),
]);

static MODEL: Shape = needing(
    &["model"],
    &[
        ("name", &STRING),
        ("model", &STRING),
        ("context_size", &INTEGER),
        ("runtime_flags", &list(&STRING)),
    ],
);

static INCLUDE: Shape = object(&[
    ("path", &STRING_OR_LIST),
    ("env_file", &STRING_OR_LIST),
    ("project_directory", &STRING),
])
.or(TEXT);

/// `include:`
pub static INCLUDES: Shape = list(&INCLUDE);

/// A compose file.
pub static FILE: Shape = object(&[
    ("version", &STRING),
    ("name", &STRING),
    ("include", &INCLUDES),
    ("services", &names(&SERVICE)),
    ("models", &names(&MODEL)),
    ("networks", &names(&NETWORK)),
    ("volumes", &names(&VOLUME)),
    ("secrets", &names(&SECRET)),
    ("configs", &names(&CONFIG)),
]);
