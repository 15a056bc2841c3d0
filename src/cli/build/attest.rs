//! `build --attest`, `--sbom`, `--provenance`: what is to be said of an image. Parses words and asks the engine.

use std::str::FromStr;

use super::Args;
use crate::build::attest::{Detail, bill, provenance};
use crate::build::dockerfile::record;
use crate::build::{BuildRequest, Built};
use crate::cli::container_flags::value;
use crate::cli::error::{CliError, Kind};
use crate::config::parse_bool;
use crate::engine::Engine;
use crate::image::{Platform, Reference, Said};

/// None of both: nothing is said, which is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    bill: bool,
    provenance: Option<Detail>,
    /// `inline-only`: no provenance where there is no place for it.
    is_optional: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestError {
    #[error("a quote has no end")]
    Form,
    #[error("type is required: sbom or provenance")]
    Type,
    #[error("type {kind:?} is not known: sbom and provenance are")]
    Kind { kind: String },
    #[error("field {field:?} is not known for type={kind}")]
    Field { kind: String, field: String },
    #[error(
        "generator is an image that would be run: the bill of materials is made by bryo itself"
    )]
    Generator,
    #[error("mode {mode:?} is neither min nor max")]
    Mode { mode: String },
    #[error("version {version:?} of provenance is not known: v1 is")]
    Version { version: String },
    #[error("{text:?} is neither true nor false")]
    Bool { text: String },
}

/// `type=…,KEY=VALUE`, or without the type where the flag says it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum One {
    Bill(bool),
    Provenance(Option<Detail>, Optional),
}

/// Nothing is wrong without it.
type Optional = bool;

/// As Go reads it; a key alone says yes.
fn truth(text: &str) -> Result<bool, AttestError> {
    if text.is_empty() {
        return Ok(true);
    }
    parse_bool(text).ok_or_else(|| AttestError::Bool {
        text: text.to_owned(),
    })
}

impl FromStr for One {
    type Err = AttestError;

    fn from_str(text: &str) -> Result<One, AttestError> {
        let fields = record(text).ok_or(AttestError::Form)?;
        let fields: Vec<(String, String)> = fields
            .into_iter()
            .map(|(_, field)| {
                let (key, value) = field.split_once('=').unwrap_or((&field, ""));
                (key.trim().to_owned(), value.to_owned())
            })
            .collect();
        let kind = fields.iter().find(|(key, _)| key == "type");
        let kind = kind
            .map(|(_, kind)| kind.as_str())
            .ok_or(AttestError::Type)?;
        if !matches!(kind, "sbom" | "provenance") {
            let kind = kind.to_owned();
            return Err(AttestError::Kind { kind });
        }
        let mut wanted = true;
        let mut is_optional = false;
        let mut detail = Detail::default();
        for (key, value) in fields.iter().filter(|(key, _)| key != "type") {
            match (kind, key.as_str()) {
                (_, "disabled") => wanted = !truth(value)?,
                ("sbom", "generator") => return Err(AttestError::Generator),
                ("provenance", "mode") => {
                    detail.everything = match value.as_str() {
                        "min" => false,
                        "max" => true,
                        mode => {
                            let mode = mode.to_owned();
                            return Err(AttestError::Mode { mode });
                        }
                    }
                }
                ("provenance", "inline-only") => is_optional = truth(value)?,
                ("provenance", "builder-id") => detail.builder = Some(value.clone()),
                ("provenance", "version") if value == "v1" => {}
                ("provenance", "version") => {
                    let version = value.clone();
                    return Err(AttestError::Version { version });
                }
                (kind, _) => {
                    return Err(AttestError::Field {
                        kind: kind.to_owned(),
                        field: key.clone(),
                    });
                }
            }
        }
        Ok(match kind {
            "sbom" => One::Bill(wanted),
            _ => One::Provenance(wanted.then_some(detail), is_optional),
        })
    }
}

/// `--sbom=true` is `--attest type=sbom,disabled=false`.
fn written_out(kind: &str, text: &str) -> String {
    match truth(text) {
        Ok(wanted) => format!("type={kind},disabled={}", !wanted),
        Err(_) => format!("type={kind},{text}"),
    }
}

impl Wanted {
    /// What these flags come to; the short ones go before the long one.
    pub fn of(args: &Args) -> Result<Wanted, CliError> {
        let mut wanted = Wanted::default();
        let short = [
            ("--sbom", "sbom", &args.shared.sbom),
            ("--provenance", "provenance", &args.shared.provenance),
        ];
        let short = short
            .into_iter()
            .filter_map(|(flag, kind, text)| Some((flag, written_out(kind, text.as_deref()?))));
        let long = args.attest.iter().map(|text| ("--attest", text.clone()));
        for (flag, text) in long.chain(short) {
            match value::<One>(flag, &text)? {
                One::Bill(bill) => wanted.bill = bill,
                One::Provenance(detail, is_optional) => {
                    wanted.provenance = detail;
                    wanted.is_optional = is_optional;
                }
            }
        }
        Ok(wanted)
    }

    pub fn is_some(&self) -> bool {
        self.bill || self.provenance.is_some()
    }

    /// What is left of it where nothing has a place for it. None: that would be too little.
    pub fn without_place(&self) -> Option<Wanted> {
        let is_needed = self.bill || (self.provenance.is_some() && !self.is_optional);
        (!is_needed).then(Wanted::default)
    }

    /// What is said of one image.
    pub fn say(
        &self,
        engine: &Engine,
        request: &BuildRequest,
        built: &Built,
        given: &[Reference],
        began: jiff::Timestamp,
    ) -> Result<Said, CliError> {
        let mut said = Said {
            predicates: Vec::new(),
            names: given
                .iter()
                .map(|name| package_url(name, request))
                .collect(),
        };
        let ended = jiff::Timestamp::now();
        let of_epoch = request
            .epoch
            .and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
        let written = |time: jiff::Timestamp| {
            let whole = jiff::Timestamp::from_second(time.as_second()).unwrap_or(time);
            whole.to_string()
        };
        if self.bill {
            let inventory = engine.inventory(&built.image.id);
            let inventory = inventory.map_err(|error| CliError::engine(Kind::Failed, &error))?;
            let name = given.first().map(Reference::familiar);
            let name = name.unwrap_or_else(|| built.image.id.to_string());
            let created = written(of_epoch.unwrap_or(ended));
            said.predicates.push(bill(&inventory, &name, &created));
        }
        if let Some(detail) = &self.provenance {
            let (began, ended) = (written(began), written(ended));
            let predicate = provenance(request, built, detail, &began, &ended);
            said.predicates.push(predicate);
        }
        Ok(said)
    }
}

/// As BuildKit calls an image.
fn package_url(name: &Reference, request: &BuildRequest) -> String {
    let platform = request.platform.clone().unwrap_or_else(Platform::host);
    let platform = platform.to_string().replace('/', "%2F");
    let tag = name.tag().map(|tag| format!("@{tag}")).unwrap_or_default();
    format!(
        "pkg:docker/{}{tag}?platform={platform}",
        name.familiar_name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attestation_is_a_type_with_fields() {
        let detail = |everything| Detail {
            everything,
            builder: None,
        };
        let parsed = |text: &str| text.parse::<One>();
        assert_eq!(parsed("type=sbom"), Ok(One::Bill(true)));
        assert_eq!(parsed("type=sbom,disabled=true"), Ok(One::Bill(false)));
        for (text, wanted) in [("True", true), ("t", true), ("TRUE", true), ("F", false)] {
            assert_eq!(parsed(&written_out("sbom", text)), Ok(One::Bill(wanted)));
        }
        assert_eq!(
            parsed("type=provenance,mode=max"),
            Ok(One::Provenance(Some(detail(true)), false))
        );
        assert_eq!(
            parsed(&written_out("provenance", "mode=min,inline-only=true")),
            Ok(One::Provenance(Some(detail(false)), true))
        );
        assert_eq!(
            parsed(&written_out("provenance", "false")),
            Ok(One::Provenance(None, false))
        );
        assert_eq!(parsed("mode=max"), Err(AttestError::Type));
        assert_eq!(parsed("type=sbom,generator=x"), Err(AttestError::Generator));
        let version = "v0.2".to_owned();
        assert_eq!(
            parsed("type=provenance,version=v0.2"),
            Err(AttestError::Version { version })
        );
    }
}
