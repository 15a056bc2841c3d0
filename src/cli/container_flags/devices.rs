//! Devices of the host. Looks none of them up.

use super::value;
use crate::cli::error::CliError;
use crate::engine::request::{CreateRequest, parse_gpus};

#[derive(clap::Args, Debug)]
pub struct DeviceFlags {
    /// Give the container a device (SOURCE[:TARGET], or VENDOR/CLASS=NAME of the Container Device Interface)
    #[arg(long, value_name = "DEVICE")]
    device: Vec<String>,
    /// Give the container GPUs: all, a number, or device=ID[,ID...]
    #[arg(long, value_name = "GPUS")]
    gpus: Option<String>,
}

impl DeviceFlags {
    pub fn apply(self, request: &mut CreateRequest) -> Result<(), CliError> {
        let devices = self.device.iter().map(|text| value("--device", text));
        request.devices = devices.collect::<Result<_, _>>()?;
        if let Some(gpus) = &self.gpus {
            let gpus = parse_gpus(gpus).map_err(|error| CliError::usage(error.to_string()))?;
            request.devices.extend(gpus);
        }
        Ok(())
    }
}
