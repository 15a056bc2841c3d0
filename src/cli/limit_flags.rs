//! The flags that limit what a container may use: how they are spelt, never what the kernel makes of them.

use clap::Args;

use super::container_flags::value;
use super::error::CliError;
use crate::config::Size;
use crate::container::{DeviceLimit, Limits};
use crate::engine::request::{
    Cpus, LimitsError, SwapSize, device_operations, device_rate, device_weight, whole_number,
};

// Those that a running container can be given anew.
#[derive(Args, Debug, Default)]
pub struct ResourceFlags {
    /// Memory that the container may use
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory that is not taken from it while others have more
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// Memory and swap together (-1: as much swap as there is)
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Processors that it may use (1.5)
    #[arg(long, value_name = "NUMBER")]
    cpus: Option<String>,
    /// Length of a period of the processor quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_period: Option<String>,
    /// Processor time in each period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_quota: Option<String>,
    /// Share of the processors where they are all in use (default 1024)
    #[arg(short, long, value_name = "SHARES", allow_hyphen_values = true)]
    cpu_shares: Option<String>,
    /// Processors that it runs on (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes that it uses (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Processes and threads that it may have (-1: any number)
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pids_limit: Option<String>,
    /// Share of the disks where they are busy (10 to 1000)
    #[arg(long, value_name = "WEIGHT", allow_hyphen_values = true)]
    blkio_weight: Option<String>,
}

// Those that are for one block device.
#[derive(Args, Debug, Default)]
pub struct DeviceLimitFlags {
    /// Share of one disk (DEVICE:WEIGHT)
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    blkio_weight_device: Vec<String>,
    /// Bytes a second read from a device (DEVICE:BYTES)
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_read_bps: Vec<String>,
    /// Bytes a second written to a device (DEVICE:BYTES)
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_write_bps: Vec<String>,
    /// Reads a second from a device (DEVICE:NUMBER)
    #[arg(long, value_name = "DEVICE:NUMBER")]
    device_read_iops: Vec<String>,
    /// Writes a second to a device (DEVICE:NUMBER)
    #[arg(long, value_name = "DEVICE:NUMBER")]
    device_write_iops: Vec<String>,
}

impl ResourceFlags {
    pub fn limits(&self) -> Result<Limits, CliError> {
        Ok(Limits {
            memory: size("-m, --memory", self.memory.as_deref())?,
            memory_reservation: size("--memory-reservation", self.memory_reservation.as_deref())?,
            memory_swap: self.memory_swap.as_deref().map_or(Ok(0), |text| {
                value::<SwapSize>("--memory-swap", text).map(|swap| swap.0)
            })?,
            nano_cpus: self.cpus.as_deref().map_or(Ok(0), |text| {
                value::<Cpus>("--cpus", text).map(|cpus| cpus.0)
            })?,
            cpu_period: number("--cpu-period", self.cpu_period.as_deref())?,
            cpu_quota: number("--cpu-quota", self.cpu_quota.as_deref())?,
            cpu_shares: number("-c, --cpu-shares", self.cpu_shares.as_deref())?,
            cpuset_cpus: self.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: self.cpuset_mems.clone().unwrap_or_default(),
            pids: number("--pids-limit", self.pids_limit.as_deref())?,
            blkio_weight: number("--blkio-weight", self.blkio_weight.as_deref())?,
            ..Limits::default()
        })
    }
}

impl DeviceLimitFlags {
    /// Adds them to the others.
    pub fn add_to(&self, limits: &mut Limits) -> Result<(), CliError> {
        let weight = &self.blkio_weight_device;
        limits.blkio_weight_device = devices("--blkio-weight-device", weight, device_weight)?;
        limits.device_read_bps = devices("--device-read-bps", &self.device_read_bps, device_rate)?;
        limits.device_write_bps =
            devices("--device-write-bps", &self.device_write_bps, device_rate)?;
        let (read, write) = (&self.device_read_iops, &self.device_write_iops);
        limits.device_read_iops = devices("--device-read-iops", read, device_operations)?;
        limits.device_write_iops = devices("--device-write-iops", write, device_operations)?;
        Ok(())
    }
}

fn size(flag: &str, text: Option<&str>) -> Result<u64, CliError> {
    text.map_or(Ok(0), |text| value::<Size>(flag, text).map(|size| size.0))
}

fn number<T: std::str::FromStr + Default>(flag: &str, text: Option<&str>) -> Result<T, CliError> {
    text.map_or(Ok(T::default()), |text| {
        whole_number(text).map_err(|error| CliError::argument(flag, text, &error))
    })
}

fn devices(
    flag: &str,
    texts: &[String],
    parse: fn(&str) -> Result<DeviceLimit, LimitsError>,
) -> Result<Vec<DeviceLimit>, CliError> {
    let parsed = texts
        .iter()
        .map(|text| parse(text).map_err(|error| CliError::argument(flag, text, &error)));
    parsed.collect()
}
