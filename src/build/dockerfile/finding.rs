//! What `--check` can find: the rules and their words, which are BuildKit's. Never looks for any.

use super::source::Location;

/// A rule that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub location: Location,
    pub rule: Rule,
    pub message: String,
}

impl Finding {
    pub fn new(rule: Rule, location: Location, message: impl Into<String>) -> Finding {
        Finding {
            location,
            rule,
            message: message.into(),
        }
    }
}

macro_rules! rules {
    ($($rule:ident, $page:literal, $experimental:literal, $description:literal;)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $description] $rule,)+
        }

        /// Every rule, in the order of their documentation.
        pub const RULES: &[Rule] = &[$(Rule::$rule,)+];

        impl Rule {
            pub fn name(self) -> &'static str {
                match self {
                    $(Rule::$rule => stringify!($rule),)+
                }
            }

            pub fn description(self) -> &'static str {
                match self {
                    $(Rule::$rule => $description,)+
                }
            }

            /// The page that explains it.
            pub fn url(self) -> &'static str {
                match self {
                    $(Rule::$rule => concat!("https://docs.docker.com/go/dockerfile/rule/", $page, "/"),)+
                }
            }

            /// Only looked for where `experimental=` asks for it.
            pub fn is_experimental(self) -> bool {
                match self {
                    $(Rule::$rule => $experimental,)+
                }
            }
        }
    };
}

rules! {
    StageNameCasing, "stage-name-casing", false, "Stage names should be lowercase";
    FromAsCasing, "from-as-casing", false, "The 'as' keyword should match the case of the 'from' keyword";
    NoEmptyContinuation, "no-empty-continuation", false, "Empty continuation lines will become errors in a future release";
    ConsistentInstructionCasing, "consistent-instruction-casing", false, "All commands within the Dockerfile should use the same casing (either upper or lower)";
    DuplicateStageName, "duplicate-stage-name", false, "Stage names should be unique";
    ReservedStageName, "reserved-stage-name", false, "Reserved words should not be used as stage names";
    JSONArgsRecommended, "json-args-recommended", false, "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals";
    MaintainerDeprecated, "maintainer-deprecated", false, "The MAINTAINER instruction is deprecated, use a label instead to define an image author";
    UndefinedArgInFrom, "undefined-arg-in-from", false, "FROM command must use declared ARGs";
    WorkdirRelativePath, "workdir-relative-path", false, "Relative workdir without an absolute workdir declared within the build can have unexpected results if the base image changes";
    UndefinedVar, "undefined-var", false, "Variables should be defined before their use";
    MultipleInstructionsDisallowed, "multiple-instructions-disallowed", false, "Multiple instructions of the same type should not be used in the same stage";
    LegacyKeyValueFormat, "legacy-key-value-format", false, "Legacy key/value format with whitespace separator should not be used";
    InvalidBaseImagePlatform, "invalid-base-image-platform", false, "Base image platform does not match expected target platform";
    RedundantTargetPlatform, "redundant-target-platform", false, "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior";
    SecretsUsedInArgOrEnv, "secrets-used-in-arg-or-env", false, "Sensitive data should not be used in the ARG or ENV commands";
    InvalidDefaultArgInFrom, "invalid-default-arg-in-from", false, "Default value for global ARG results in an empty or invalid base image name";
    FromPlatformFlagConstDisallowed, "from-platform-flag-const-disallowed", false, "FROM --platform flag should not use a constant value";
    CopyIgnoredFile, "copy-ignored-file", true, "Attempting to Copy file that is excluded by .dockerignore";
    InvalidDefinitionDescription, "invalid-definition-description", true, "Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. If this is not intended to be a description comment, add an empty line or comment between the instruction and the comment.";
    ExposeProtoCasing, "expose-proto-casing", false, "Protocol in EXPOSE instruction should be lowercase";
    ExposeInvalidFormat, "expose-invalid-format", false, "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release";
}
