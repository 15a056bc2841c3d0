//! A container's limits by the keys of docker's `HostConfig`.

use serde_json::{Map, Value, json};

use crate::container::{DeviceLimit, Limits};

/// What goes in among the other keys.
pub fn document(limits: &Limits) -> Map<String, Value> {
    let devices = |list: &[DeviceLimit], key: &str| -> Value {
        let one = |limit: &DeviceLimit| json!({"Path": limit.path, key: limit.value});
        list.iter().map(one).collect()
    };
    // Docker fills this in, and leaves the others as they were typed.
    let swap = match (limits.memory, limits.memory_swap) {
        (memory @ 1.., 0) => memory as i64 * 2,
        (_, swap) => swap,
    };
    let document = json!({
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": devices(&limits.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": devices(&limits.device_read_bps, "Rate"),
        "BlkioDeviceWriteBps": devices(&limits.device_write_bps, "Rate"),
        "BlkioDeviceReadIOps": devices(&limits.device_read_iops, "Rate"),
        "BlkioDeviceWriteIOps": devices(&limits.device_write_iops, "Rate"),
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": swap,
        "MemorySwappiness": null,
        "OomKillDisable": null,
        "DeviceCgroupRules": null,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "PidsLimit": match limits.pids {
            0 => Value::Null,
            pids => pids.into(),
        },
    });
    match document {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
