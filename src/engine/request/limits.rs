//! The values of the flags that limit resources, and which of them go together, in docker's words.

use std::str::FromStr;

use crate::config::{Size, SizeError};
use crate::container::{DeviceLimit, Limits};

/// The least that docker lets a container have.
const LEAST_MEMORY: u64 = 6 << 20;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LimitsError {
    #[error("strconv.ParseInt: parsing {text:?}: invalid syntax")]
    Number { text: String },
    #[error("failed to parse {text} as a rational number")]
    NotRational { text: String },
    #[error("value is too precise")]
    TooPrecise,
    #[error("bad format: {text}")]
    DeviceForm { text: String },
    #[error("bad format for device path: {text}")]
    DevicePath { text: String },
    #[error("invalid weight for device: {text}")]
    DeviceWeight { text: String },
    #[error(
        "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
    )]
    DeviceRate { text: String },
    #[error(
        "invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer"
    )]
    DeviceOperations { text: String },
    #[error("Minimum memory limit allowed is 6MB")]
    LittleMemory,
    #[error("Minimum memory reservation allowed is 6MB")]
    LittleReservation,
    #[error("Minimum memoryswap limit should be larger than memory limit, see usage")]
    SwapBelowMemory,
    #[error("You should always set the Memory limit when using Memoryswap limit, see usage")]
    SwapWithoutMemory,
    #[error("Minimum memory limit can not be less than memory reservation limit, see usage")]
    ReservationAboveMemory,
    #[error("Conflicting options: Nano CPUs and CPU Period cannot both be set")]
    CpusAndPeriod,
    #[error("Conflicting options: Nano CPUs and CPU Quota cannot both be set")]
    CpusAndQuota,
    #[error("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")]
    Period,
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000)")]
    Quota,
    #[error("Invalid value {text} for cpuset {what}")]
    Set { what: &'static str, text: String },
    #[error("Range of blkio weight is from 10 to 1000")]
    Weight,
}

/// Billionths of a processor, as in `--cpus 1.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus(pub u64);

impl FromStr for Cpus {
    type Err = LimitsError;

    fn from_str(text: &str) -> Result<Cpus, LimitsError> {
        let wrong = || LimitsError::NotRational {
            text: text.to_owned(),
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || !digits(whole) || !digits(part) {
            return Err(wrong());
        }
        let part = part.trim_end_matches('0');
        if part.len() > 9 {
            return Err(LimitsError::TooPrecise);
        }
        let number = format!("{whole}{part:0<9}");
        number.parse().map(Cpus).map_err(|_| wrong())
    }
}

/// Bytes, or -1 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwapSize(pub i64);

impl FromStr for SwapSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<SwapSize, Self::Err> {
        match text {
            "-1" => Ok(SwapSize(-1)),
            // a size is below i64::MAX
            _ => text.parse().map(|size: Size| SwapSize(size.0 as i64)),
        }
    }
}

/// A whole number, as docker reads one.
pub fn whole_number<T: FromStr>(text: &str) -> Result<T, LimitsError> {
    text.parse().map_err(|_| LimitsError::Number {
        text: text.to_owned(),
    })
}

/// `/dev/sda:500`.
pub fn device_weight(text: &str) -> Result<DeviceLimit, LimitsError> {
    let (path, value) = device(text)?;
    match value.parse() {
        Ok(weight @ (0 | 10..=1000)) => Ok(limit(path, weight)),
        _ => Err(LimitsError::DeviceWeight {
            text: text.to_owned(),
        }),
    }
}

/// `/dev/sda:10mb`.
pub fn device_rate(text: &str) -> Result<DeviceLimit, LimitsError> {
    let (path, value) = device(text)?;
    let rate = value.parse::<Size>();
    let rate = rate.map_err(|_| LimitsError::DeviceRate {
        text: text.to_owned(),
    })?;
    Ok(limit(path, rate.0))
}

/// `/dev/sda:1000`.
pub fn device_operations(text: &str) -> Result<DeviceLimit, LimitsError> {
    let (path, value) = device(text)?;
    let rate = value.parse();
    let rate = rate.map_err(|_| LimitsError::DeviceOperations {
        text: text.to_owned(),
    })?;
    Ok(limit(path, rate))
}

fn device(text: &str) -> Result<(&str, &str), LimitsError> {
    let parts = text.split_once(':').filter(|(path, _)| !path.is_empty());
    let (path, value) = parts.ok_or_else(|| LimitsError::DeviceForm {
        text: text.to_owned(),
    })?;
    match path.starts_with("/dev/") {
        true => Ok((path, value)),
        false => Err(LimitsError::DevicePath {
            text: text.to_owned(),
        }),
    }
}

fn limit(path: &str, value: u64) -> DeviceLimit {
    DeviceLimit {
        path: path.to_owned(),
        value,
    }
}

/// Whether the limits go together and are in docker's bounds; those of the host are not looked at.
pub fn check_limits(limits: &Limits) -> Result<(), LimitsError> {
    check_memory(limits)?;
    check_cpu(limits)?;
    let sets = [("cpus", &limits.cpuset_cpus), ("mems", &limits.cpuset_mems)];
    for (what, text) in sets {
        if !text.is_empty() && parse_set(text).is_none() {
            return Err(LimitsError::Set {
                what,
                text: text.clone(),
            });
        }
    }
    match limits.blkio_weight {
        0 | 10..=1000 => Ok(()),
        _ => Err(LimitsError::Weight),
    }
}

fn check_memory(limits: &Limits) -> Result<(), LimitsError> {
    let Limits {
        memory,
        memory_reservation: reservation,
        memory_swap: swap,
        ..
    } = *limits;
    let faults = [
        (1..LEAST_MEMORY)
            .contains(&memory)
            .then_some(LimitsError::LittleMemory),
        (memory > 0 && swap > 0 && (swap as u64) < memory).then_some(LimitsError::SwapBelowMemory),
        (memory == 0 && swap > 0).then_some(LimitsError::SwapWithoutMemory),
        (1..LEAST_MEMORY)
            .contains(&reservation)
            .then_some(LimitsError::LittleReservation),
        (memory > 0 && reservation > memory).then_some(LimitsError::ReservationAboveMemory),
    ];
    faults.into_iter().flatten().next().map_or(Ok(()), Err)
}

fn check_cpu(limits: &Limits) -> Result<(), LimitsError> {
    let cpus = limits.nano_cpus > 0;
    let (period, quota) = (limits.cpu_period, limits.cpu_quota);
    let faults = [
        (cpus && period > 0).then_some(LimitsError::CpusAndPeriod),
        (cpus && quota != 0).then_some(LimitsError::CpusAndQuota),
        (period > 0 && !(1000..=1_000_000).contains(&period)).then_some(LimitsError::Period),
        (1..1000).contains(&quota).then_some(LimitsError::Quota),
    ];
    faults.into_iter().flatten().next().map_or(Ok(()), Err)
}

/// The ranges of `0-3,7`.
pub fn parse_set(text: &str) -> Option<Vec<(u32, u32)>> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (from <= to).then_some((from, to))
    };
    text.split(',').map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_exact() {
        let nano = |text: &str| text.parse::<Cpus>().map(|cpus| cpus.0);
        assert_eq!(nano("1.5"), Ok(1_500_000_000));
        assert_eq!(nano("2"), Ok(2_000_000_000));
        assert_eq!(nano(".5"), Ok(500_000_000));
        assert_eq!(nano("0.000000001"), Ok(1));
        assert_eq!(nano("0.1000000000"), Ok(100_000_000));
        assert_eq!(nano("0.0000000001"), Err(LimitsError::TooPrecise));
        for text in ["", ".", "x", "-1", "1.5.5", "1e3", "99999999999999"] {
            assert!(
                matches!(nano(text), Err(LimitsError::NotRational { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn devices_are_below_dev() {
        assert_eq!(
            device_rate("/dev/sda:10mb"),
            Ok(limit("/dev/sda", 10 << 20))
        );
        assert_eq!(device_operations("/dev/sda:7"), Ok(limit("/dev/sda", 7)));
        assert_eq!(device_weight("/dev/sda:10"), Ok(limit("/dev/sda", 10)));
        for text in [
            "/dev/sda",
            ":1",
            "sda:1",
            "/dev/sda:x",
            "/dev/sda:-1",
            "/dev/sda:",
        ] {
            assert!(device_rate(text).is_err(), "{text}");
            assert!(device_operations(text).is_err(), "{text}");
            assert!(device_weight(text).is_err(), "{text}");
        }
        assert!(device_operations("/dev/sda:10mb").is_err());
        assert!(device_weight("/dev/sda:9").is_err());
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused_in_dockers_words() {
        let memory = |memory, memory_swap, memory_reservation| Limits {
            memory,
            memory_swap,
            memory_reservation,
            ..Limits::default()
        };
        let cpu = |nano_cpus, cpu_period, cpu_quota| Limits {
            nano_cpus,
            cpu_period,
            cpu_quota,
            ..Limits::default()
        };
        let set = |text: &str| Limits {
            cpuset_cpus: text.to_owned(),
            ..Limits::default()
        };
        for fine in [
            Limits::default(),
            memory(6 << 20, -1, 0),
            memory(8 << 20, 8 << 20, 7 << 20),
            memory(0, -1, 7 << 20),
            cpu(1, 0, 0),
            cpu(0, 1000, -1),
            set("0-1,3"),
        ] {
            assert_eq!(check_limits(&fine), Ok(()), "{fine:?}");
        }
        for (wrong, why) in [
            (memory(5 << 20, 0, 0), LimitsError::LittleMemory),
            (memory(8 << 20, 7 << 20, 0), LimitsError::SwapBelowMemory),
            (memory(0, 7 << 20, 0), LimitsError::SwapWithoutMemory),
            (
                memory(8 << 20, 0, 9 << 20),
                LimitsError::ReservationAboveMemory,
            ),
            (memory(0, 0, 1), LimitsError::LittleReservation),
            (cpu(1, 1000, 0), LimitsError::CpusAndPeriod),
            (cpu(1, 0, -1), LimitsError::CpusAndQuota),
            (cpu(0, 999, 0), LimitsError::Period),
            (cpu(0, 1_000_001, 0), LimitsError::Period),
            (cpu(0, 0, 999), LimitsError::Quota),
            (
                set("3-1"),
                LimitsError::Set {
                    what: "cpus",
                    text: "3-1".to_owned(),
                },
            ),
        ] {
            assert_eq!(check_limits(&wrong), Err(why), "{wrong:?}");
        }
    }
}
