//! What a container may use of the host, in the service's own words or those of `deploy`.

use super::{Container, ServiceError};
use crate::compose::model::{DeviceRequest as Reserved, Resource, Ulimit};
use crate::container::{DeviceLimit, Limits};
use crate::engine::request::{CreateRequest, DeviceRequest, parse_gpus};

impl Container<'_> {
    pub(super) fn limit(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        request.limits = self.limits()?;
        request.oom_score_adj = match service.oom_score_adj {
            0 => None,
            score @ -1000..=1000 => Some(score as i32),
            score => {
                let of = self.of();
                return Err(of.wrong("oom_score_adj", &score.to_string(), "it is -1000 to 1000"));
            }
        };
        request.shm_size = u64::try_from(service.shm_size.0)
            .ok()
            .filter(|size| *size > 0);
        for (name, limit) in &service.ulimits {
            let text = match limit {
                Ulimit::Single(both) => format!("{name}={both}"),
                Ulimit::Both { soft, hard } => format!("{name}={soft}:{hard}"),
            };
            request.ulimits.push(self.of().parse("ulimits", &text)?);
        }
        self.devices(request)
    }

    fn limits(&self) -> Result<Limits, ServiceError> {
        let service = self.service;
        let resources = service.deploy.as_ref().map(|deploy| &deploy.resources);
        let none = Resource::default();
        let most = resources.and_then(|r| r.limits.as_ref()).unwrap_or(&none);
        let least = resources
            .and_then(|r| r.reservations.as_ref())
            .unwrap_or(&none);
        let bytes = |own: i64, of_deploy: i64| {
            let said = if own != 0 { own } else { of_deploy };
            u64::try_from(said).unwrap_or(0)
        };
        let cpus = if service.cpus != 0.0 {
            service.cpus
        } else {
            most.cpus
        };
        let pids = match service.pids_limit {
            0 => most.pids,
            pids => pids,
        };
        let mut limits = Limits {
            memory: bytes(service.mem_limit.0, most.memory.0),
            memory_reservation: bytes(service.mem_reservation.0, least.memory.0),
            memory_swap: service.memswap_limit.0,
            // Three digits are what the number has.
            nano_cpus: (f64::from(cpus) * 1000.0).round().max(0.0) as u64 * 1_000_000,
            cpu_period: u64::try_from(service.cpu_period).unwrap_or(0),
            cpu_quota: service.cpu_quota,
            cpu_shares: u64::try_from(service.cpu_shares).unwrap_or(0),
            cpuset_cpus: service.cpuset.clone(),
            pids,
            ..Limits::default()
        };
        if let Some(blkio) = &service.blkio_config {
            let device = |path: &str, value: u64| DeviceLimit {
                path: path.to_owned(),
                value,
            };
            let rates = |rates: &[crate::compose::model::Rate]| {
                let rates = rates.iter();
                let rates =
                    rates.map(|rate| device(&rate.path, u64::try_from(rate.rate.0).unwrap_or(0)));
                rates.collect::<Vec<_>>()
            };
            limits.blkio_weight = blkio.weight;
            let weights = blkio.weight_device.iter();
            limits.blkio_weight_device = weights
                .map(|weight| device(&weight.path, u64::from(weight.weight)))
                .collect();
            limits.device_read_bps = rates(&blkio.device_read_bps);
            limits.device_write_bps = rates(&blkio.device_write_bps);
            limits.device_read_iops = rates(&blkio.device_read_iops);
            limits.device_write_iops = rates(&blkio.device_write_iops);
        }
        Ok(limits)
    }

    fn devices(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        for device in &service.devices {
            let parts = [&device.source, &device.target, &device.permissions];
            let said = parts.into_iter().filter(|part| !part.is_empty());
            let mut text = said.cloned().collect::<Vec<_>>().join(":");
            // A device of the Container Device Interface is its own target.
            if !device.source.starts_with('/') {
                text.clone_from(&device.source);
            }
            request.devices.push(self.of().parse("devices", &text)?);
        }
        let deploy = service.deploy.as_ref();
        let reserved = deploy.and_then(|deploy| deploy.resources.reservations.as_ref());
        let reserved = reserved.map_or(&[][..], |reserved| &reserved.devices);
        for wanted in service.gpus.iter().chain(reserved) {
            request.devices.extend(self.reserved(wanted)?);
        }
        Ok(())
    }

    /// Of a driver, what its devices are called; there is nobody to ask what else can do the same.
    fn reserved(&self, wanted: &Reserved) -> Result<Vec<DeviceRequest>, ServiceError> {
        match wanted.driver.as_str() {
            "cdi" => {
                let named = wanted.device_ids.iter();
                named.map(|name| self.of().parse("devices", name)).collect()
            }
            "" | "nvidia" => {
                let text = match (wanted.device_ids.as_slice(), wanted.count) {
                    ([], -1 | 0) => "all".to_owned(),
                    ([], count) => count.to_string(),
                    (ids, _) => format!("device={}", ids.join(",")),
                };
                parse_gpus(&text).map_err(self.of().value("devices", &text))
            }
            _ => {
                let reason = "bryo knows the devices of nvidia, and by driver: cdi those of the Container Device Interface";
                Err(self.of().wrong("devices.driver", &wanted.driver, reason))
            }
        }
    }
}
