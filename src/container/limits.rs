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

impl Limits {
    /// These, but for what `change` asks for.
    pub fn with(&self, change: &Limits) -> Limits {
        fn one<T: Clone + Default + PartialEq>(before: &T, change: &T) -> T {
            match *change == T::default() {
                true => before.clone(),
                false => change.clone(),
            }
        }
        Limits {
            memory: one(&self.memory, &change.memory),
            memory_reservation: one(&self.memory_reservation, &change.memory_reservation),
            memory_swap: one(&self.memory_swap, &change.memory_swap),
            nano_cpus: one(&self.nano_cpus, &change.nano_cpus),
            cpu_period: one(&self.cpu_period, &change.cpu_period),
            cpu_quota: one(&self.cpu_quota, &change.cpu_quota),
            cpu_shares: one(&self.cpu_shares, &change.cpu_shares),
            cpuset_cpus: one(&self.cpuset_cpus, &change.cpuset_cpus),
            cpuset_mems: one(&self.cpuset_mems, &change.cpuset_mems),
            pids: one(&self.pids, &change.pids),
            blkio_weight: one(&self.blkio_weight, &change.blkio_weight),
            blkio_weight_device: one(&self.blkio_weight_device, &change.blkio_weight_device),
            device_read_bps: one(&self.device_read_bps, &change.device_read_bps),
            device_write_bps: one(&self.device_write_bps, &change.device_write_bps),
            device_read_iops: one(&self.device_read_iops, &change.device_read_iops),
            device_write_iops: one(&self.device_write_iops, &change.device_write_iops),
        }
    }
}

/// A number for one block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLimit {
    /// The device's node, `/dev/sda`.
    pub path: String,
    pub value: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_asked_for_stays() {
        let before = Limits {
            memory: 64,
            memory_swap: 128,
            cpuset_cpus: "0-1".to_owned(),
            pids: 20,
            ..Limits::default()
        };
        let change = Limits {
            memory: 32,
            pids: -1,
            cpu_shares: 2,
            ..Limits::default()
        };
        let after = Limits {
            memory: 32,
            pids: -1,
            cpu_shares: 2,
            ..before.clone()
        };
        assert_eq!(before.with(&change), after);
        assert_eq!(before.with(&Limits::default()), before);
    }
}
