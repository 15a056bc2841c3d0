//! What a container may use of the host, as it was asked for: docker's numbers. What they are to the kernel is the engine's.

use serde::{Deserialize, Serialize};

/// 0 and empty: nothing was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    pub memory_reservation: u64,
    /// Bytes of memory and swap together; -1 is no limit.
    pub memory_swap: i64,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Microseconds.
    pub cpu_period: u64,
    /// Microseconds in each period; -1 is no limit.
    pub cpu_quota: i64,
    /// Relative to 1024.
    pub cpu_shares: u64,
    /// `0-3,7`.
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    /// -1 is no limit.
    pub pids: i64,
    /// 10 to 1000.
    pub blkio_weight: u16,
    pub blkio_weight_device: Vec<DeviceLimit>,
    /// Bytes a second.
    pub device_read_bps: Vec<DeviceLimit>,
    pub device_write_bps: Vec<DeviceLimit>,
    /// Operations a second.
    pub device_read_iops: Vec<DeviceLimit>,
    pub device_write_iops: Vec<DeviceLimit>,
}

/// A number for one block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLimit {
    /// The device's node, `/dev/sda`.
    pub path: String,
    pub value: u64,
}
