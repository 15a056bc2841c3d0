//! Docker's limits as files of a cgroup, and whether this host can keep them. The translation looks nothing up but the numbers
//! of devices, through its caller.

use std::path::Path;

use super::request::{check_limits, parse_set};
use super::{Engine, EngineError};
use crate::container::{DeviceLimit, Limits};
use crate::runtime::cgroup::{NoCgroup, Parent, Place};
use crate::runtime::limits::Setting;

/// Microseconds: docker's, and the kernel's own.
const PERIOD: u64 = 100_000;

/// The numbers of a block device, `8:0`.
type DeviceNumbers<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Engine {
    /// What has to be written into the cgroup of a container that begins. Limits that docker would not accept, and those that can't
    /// be kept here, are refused: a container that was to be limited never runs without.
    pub fn limits(&self, limits: &Limits) -> Result<Vec<Setting>, EngineError> {
        // A new cgroup has no limits: there is nothing to lift.
        self.settings(limits, |setting| !setting.lifts())
    }

    /// What has to be written into the cgroup of a container that runs, which may have limits that are lifted now.
    pub(super) fn changed_limits(&self, limits: &Limits) -> Result<Vec<Setting>, EngineError> {
        self.settings(limits, |_| true)
    }

    /// Whether a container can have its cgroup below that one.
    pub fn check_cgroup_parent(&self, text: Option<&str>) -> Result<(), EngineError> {
        match text {
            Some(_) => cgroup_parent(text, &Place::find()).map(drop),
            None => Ok(()),
        }
    }

    fn settings(
        &self,
        limits: &Limits,
        keep: fn(&Setting) -> bool,
    ) -> Result<Vec<Setting>, EngineError> {
        if *limits == Limits::default() {
            return Ok(Vec::new());
        }
        check_limits(limits)?;
        let mut settings = settings(limits, &block_device)?;
        settings.retain(keep);
        let Some(first) = settings.first() else {
            return Ok(settings);
        };
        let flag = first.flag.clone();
        let place = Place::find().map_err(|reason| EngineError::NoLimits { flag, reason })?;
        let controllers = place.controllers();
        for setting in &settings {
            setting.check(&controllers, place.directory())?;
        }
        check_host(limits, place.directory())?;
        Ok(settings)
    }
}

/// The place that `--cgroup-parent` asks for.
pub(super) fn cgroup_parent(
    text: Option<&str>,
    place: &Result<Place, NoCgroup>,
) -> Result<Option<Parent>, EngineError> {
    let parent = text.map(|text| Parent::find(text, place)).transpose();
    parent.map_err(|reason| EngineError::CgroupParent { reason })
}

/// What the host has less of than was asked for.
fn check_host(limits: &Limits, directory: &Path) -> Result<(), EngineError> {
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    if limits.nano_cpus > processors as u64 * 1_000_000_000 {
        return Err(EngineError::FewProcessors { processors });
    }
    let sets = [
        ("CPUs", "cpuset.cpus.effective", &limits.cpuset_cpus),
        ("memory nodes", "cpuset.mems.effective", &limits.cpuset_mems),
    ];
    for (what, file, requested) in sets {
        let available = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
        let available = available.trim();
        if !requested.is_empty() && !is_within(requested, available) {
            return Err(EngineError::NotInSet {
                what,
                requested: requested.clone(),
                available: available.to_owned(),
            });
        }
    }
    Ok(())
}

fn is_within(requested: &str, available: &str) -> bool {
    let (Some(requested), Some(available)) = (parse_set(requested), parse_set(available)) else {
        return false;
    };
    requested.iter().all(|(from, to)| {
        let mut ranges = available.iter();
        // The kernel joins ranges that touch.
        ranges.any(|(first, last)| first <= from && to <= last)
    })
}

/// `/dev/sda` as `8:0`; `None` where there is no such block device.
fn block_device(path: &str) -> Option<String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::metadata(path).ok()?;
    let number = meta.rdev();
    let numbers = (rustix::fs::major(number), rustix::fs::minor(number));
    meta.file_type()
        .is_block_device()
        .then(|| format!("{}:{}", numbers.0, numbers.1))
}

/// Docker's limits as what the kernel is told, those that lift a limit included.
pub fn settings(limits: &Limits, device: DeviceNumbers<'_>) -> Result<Vec<Setting>, EngineError> {
    let mut settings = memory(limits);
    settings.extend(cpu(limits));
    if limits.pids != 0 {
        let most = no_limit_or(limits.pids);
        settings.push(Setting::new("--pids-limit", "pids.max", most));
    }
    settings.extend(block_io(limits, device)?);
    Ok(settings)
}

fn no_limit_or(value: i64) -> String {
    match value {
        ..0 => "max".to_owned(),
        value => value.to_string(),
    }
}

fn memory(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |flag, file, value: String| settings.push(Setting::new(flag, file, value));
    if limits.memory > 0 {
        set("--memory", "memory.max", limits.memory.to_string());
    }
    if limits.memory_reservation > 0 {
        let bytes = limits.memory_reservation.to_string();
        set("--memory-reservation", "memory.low", bytes);
    }
    // Docker's number is the sum of both, and without one there is as much swap as memory.
    let memory = limits.memory as i64;
    match limits.memory_swap {
        0 if memory > 0 => settings.push(Setting {
            may_lack: true,
            ..Setting::new("--memory", "memory.swap.max", memory)
        }),
        0 => {}
        swap => {
            let swap = no_limit_or(if swap < 0 { swap } else { swap - memory });
            settings.push(Setting::new("--memory-swap", "memory.swap.max", swap));
        }
    }
    settings
}

fn cpu(limits: &Limits) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut set = |flag, file, value: String| settings.push(Setting::new(flag, file, value));
    let period = match limits.cpu_period {
        0 => PERIOD,
        period => period,
    };
    if limits.nano_cpus > 0 {
        // The kernel has no quota below a millisecond.
        let quota = (limits.nano_cpus * PERIOD / 1_000_000_000).max(1000);
        set("--cpus", "cpu.max", format!("{quota} {PERIOD}"));
    } else if limits.cpu_quota != 0 {
        let quota = no_limit_or(limits.cpu_quota);
        set("--cpu-quota", "cpu.max", format!("{quota} {period}"));
    } else if limits.cpu_period > 0 {
        set("--cpu-period", "cpu.max", format!("max {period}"));
    }
    if limits.cpu_shares > 0 {
        let weight = weight_of_shares(limits.cpu_shares);
        set("--cpu-shares", "cpu.weight", weight.to_string());
    }
    for (flag, file, value) in [
        ("--cpuset-cpus", "cpuset.cpus", &limits.cpuset_cpus),
        ("--cpuset-mems", "cpuset.mems", &limits.cpuset_mems),
    ] {
        if !value.is_empty() {
            set(flag, file, value.clone());
        }
    }
    settings
}

/// The conversion that runc and crun use: a curve through (2, 1), (1024, 100) and (262144, 10000), so that the default of one is
/// the default of the other.
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        shares => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

fn block_io(limits: &Limits, device: DeviceNumbers<'_>) -> Result<Vec<Setting>, EngineError> {
    let mut settings = Vec::new();
    // Only the scheduler bfq takes docker's numbers; the other file's go from 1 to 10000.
    let weighted = |flag: &'static str, value: u64, prefix: &str| Setting {
        flag: flag.into(),
        choices: vec![
            ("io.bfq.weight".into(), format!("{prefix}{value}")),
            (
                "io.weight".into(),
                format!("{prefix}{}", 1 + value.saturating_sub(10) * 9999 / 990),
            ),
        ],
        may_lack: false,
    };
    let number = |flag, limit: &DeviceLimit| {
        device(&limit.path).ok_or_else(|| EngineError::NoBlockDevice {
            flag,
            path: limit.path.clone(),
        })
    };
    if limits.blkio_weight > 0 {
        settings.push(weighted(
            "--blkio-weight",
            limits.blkio_weight.into(),
            "default ",
        ));
    }
    let flag = "--blkio-weight-device";
    for limit in limits
        .blkio_weight_device
        .iter()
        .filter(|limit| limit.value > 0)
    {
        settings.push(weighted(
            flag,
            limit.value,
            &format!("{} ", number(flag, limit)?),
        ));
    }
    for (flag, key, all) in [
        ("--device-read-bps", "rbps", &limits.device_read_bps),
        ("--device-write-bps", "wbps", &limits.device_write_bps),
        ("--device-read-iops", "riops", &limits.device_read_iops),
        ("--device-write-iops", "wiops", &limits.device_write_iops),
    ] {
        for limit in all {
            let value = match limit.value {
                0 => "max".to_owned(),
                value => value.to_string(),
            };
            let text = format!("{} {key}={value}", number(flag, limit)?);
            settings.push(Setting::new(flag, "io.max", text));
        }
    }
    Ok(settings)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    /// `file value` of each.
    fn written(limits: Limits) -> Vec<String> {
        let device = |path: &str| (path == "/dev/sda").then(|| "8:0".to_owned());
        let settings = settings(&limits, &device).unwrap();
        let text = |(file, value): &(Cow<'_, str>, String)| format!("{file} {value}");
        settings
            .iter()
            .map(|one| {
                one.choices
                    .iter()
                    .map(text)
                    .collect::<Vec<_>>()
                    .join(" or ")
            })
            .collect()
    }

    #[test]
    fn nothing_asked_for_is_nothing_written() {
        assert_eq!(written(Limits::default()), Vec::<String>::new());
    }

    #[test]
    fn memory_and_swap_are_apart_for_the_kernel() {
        let limits = |memory, memory_swap| Limits {
            memory,
            memory_swap,
            ..Limits::default()
        };
        assert_eq!(
            written(limits(100, 0)),
            ["memory.max 100", "memory.swap.max 100"]
        );
        assert_eq!(
            written(limits(100, 100)),
            ["memory.max 100", "memory.swap.max 0"]
        );
        assert_eq!(
            written(limits(100, 150)),
            ["memory.max 100", "memory.swap.max 50"]
        );
        assert_eq!(
            written(limits(100, -1)),
            ["memory.max 100", "memory.swap.max max"]
        );
        let reservation = Limits {
            memory_reservation: 7,
            ..Limits::default()
        };
        assert_eq!(written(reservation), ["memory.low 7"]);
    }

    #[test]
    fn processors_are_a_quota_of_a_period() {
        let limits = |nano_cpus, cpu_period, cpu_quota| Limits {
            nano_cpus,
            cpu_period,
            cpu_quota,
            ..Limits::default()
        };
        assert_eq!(written(limits(500_000_000, 0, 0)), ["cpu.max 50000 100000"]);
        assert_eq!(written(limits(1, 0, 0)), ["cpu.max 1000 100000"]);
        assert_eq!(written(limits(0, 50_000, 25_000)), ["cpu.max 25000 50000"]);
        assert_eq!(written(limits(0, 0, 25_000)), ["cpu.max 25000 100000"]);
        assert_eq!(written(limits(0, 50_000, 0)), ["cpu.max max 50000"]);
        assert_eq!(written(limits(0, 0, -1)), ["cpu.max max 100000"]);
    }

    #[test]
    fn shares_become_weights_and_the_defaults_are_each_others() {
        let weights = [0, 2, 1024, 2048, 262_144, u64::MAX].map(weight_of_shares);
        assert_eq!(weights, [1, 1, 100, 174, 10_000, 10_000]);
    }

    #[test]
    fn the_rest_is_written_as_it_is() {
        let sda = |value| {
            vec![DeviceLimit {
                path: "/dev/sda".to_owned(),
                value,
            }]
        };
        let limits = Limits {
            cpuset_cpus: "0-1".to_owned(),
            cpuset_mems: "0".to_owned(),
            pids: -1,
            blkio_weight: 1000,
            blkio_weight_device: sda(10),
            device_read_bps: sda(1024),
            device_write_iops: sda(0),
            ..Limits::default()
        };
        assert_eq!(
            written(limits),
            [
                "cpuset.cpus 0-1",
                "cpuset.mems 0",
                "pids.max max",
                "io.bfq.weight default 1000 or io.weight default 10000",
                "io.bfq.weight 8:0 10 or io.weight 8:0 1",
                "io.max 8:0 rbps=1024",
                "io.max 8:0 wiops=max",
            ]
        );
        let unknown = Limits {
            device_read_bps: vec![DeviceLimit {
                path: "/dev/none".to_owned(),
                value: 1,
            }],
            ..Limits::default()
        };
        assert!(settings(&unknown, &|_| None).is_err());
    }

    #[test]
    fn a_set_is_within_another_range_by_range() {
        assert!(is_within("0,2-3", "0-3"));
        assert!(is_within("5", "0-3,5"));
        assert!(!is_within("4", "0-3,5"));
        assert!(!is_within("0-4", "0-3,5"));
        assert!(!is_within("0", ""));
    }
}
