//! A service as the request for one of its containers. Pure: values in, values out; whether things exist is the engine's to find.

mod error;
mod files;
mod identity;
mod limits;
mod mounts;
mod network;
mod process;

use super::model::{Project, Service};
use crate::engine::request::CreateRequest;

use error::Of;
pub use error::ServiceError;

/// One container that is to be.
#[derive(Clone, Copy)]
pub struct Container<'a> {
    pub project: &'a Project,
    pub service: &'a Service,
    pub name: &'a str,
    /// Which of its service's it is.
    pub number: u32,
    /// What tells one of `run`'s from others; None: it is one of the service's.
    pub slug: Option<&'a str>,
    pub hash: &'a str,
    /// The name of the image.
    pub image: &'a str,
    pub image_id: &'a str,
    /// It is found by its service's name, and has the addresses that the file says.
    pub with_aliases: bool,
    /// What it is to replace.
    pub replaces: Option<&'a str>,
    /// The containers of a service of the project, by number.
    pub members: &'a dyn Fn(&str) -> Vec<String>,
}

impl Container<'_> {
    fn of(&self) -> Of<'_> {
        Of(&self.service.name)
    }

    /// The first container of another service, whose namespace it has.
    fn first_of(&self, other: &str) -> Result<String, ServiceError> {
        let first = (self.members)(other).into_iter().next();
        first.ok_or_else(|| ServiceError::NoContainer {
            service: self.service.name.clone(),
            other: other.to_owned(),
        })
    }

    /// `service:NAME` as the container that is meant.
    fn mode(&self, text: &str) -> Result<String, ServiceError> {
        match text.strip_prefix("service:") {
            Some(other) => Ok(format!("container:{}", self.first_of(other)?)),
            None => Ok(text.to_owned()),
        }
    }

    /// What is said of it that has no effect, or not the one that it seems to have, is told to `warn`.
    pub fn request(&self, warn: &mut dyn FnMut(String)) -> Result<CreateRequest, ServiceError> {
        self.refuse()?;
        let mut request = CreateRequest {
            image: self.image.to_owned(),
            name: Some(self.name.to_owned()),
            platform: text(&self.service.platform),
            ..CreateRequest::default()
        };
        self.identify(&mut request)?;
        self.run(&mut request)?;
        self.guard(&mut request)?;
        self.limit(&mut request)?;
        self.mount(&mut request, warn)?;
        self.connect(&mut request, warn)?;
        Ok(request)
    }

    /// What no engine without root can do, or this one does not.
    fn refuse(&self) -> Result<(), ServiceError> {
        let service = self.service;
        const V1: &str = "the kernel has no such limit in cgroup v2";
        let refusals = [
            (service.cpu_count != 0, "cpu_count", "it is for Windows"),
            (
                service.cpu_percent != 0.0,
                "cpu_percent",
                "it is for Windows",
            ),
            (service.cpu_rt_period != 0, "cpu_rt_period", V1),
            (service.cpu_rt_runtime != 0, "cpu_rt_runtime", V1),
            (service.mem_swappiness.0 != 0, "mem_swappiness", V1),
            (service.oom_kill_disable, "oom_kill_disable", V1),
            (
                service.credential_spec.is_some(),
                "credential_spec",
                "it is for Windows",
            ),
            (
                !service.device_cgroup_rules.is_empty(),
                "device_cgroup_rules",
                "without root no devices controller can be given a rule",
            ),
            (
                !service.storage_opt.is_empty(),
                "storage_opt",
                "without root no file system quota can be set",
            ),
            (
                !matches!(service.isolation.as_str(), "" | "default"),
                "isolation",
                "only `default` exists on Linux",
            ),
            (
                !matches!(service.runtime.as_str(), "" | "bryo"),
                "runtime",
                "bryo is its own runtime, and no other can be chosen",
            ),
            (
                service.use_api_socket,
                "use_api_socket",
                "there is no daemon that would have a socket",
            ),
            (
                service.provider.is_some(),
                "provider",
                "programs that make a service are not run",
            ),
            (!service.models.is_empty(), "models", "it runs no models"),
        ];
        match refusals.into_iter().find(|(is_said, ..)| *is_said) {
            Some((_, key, reason)) => Err(self.of().refused(key, reason)),
            None => Ok(()),
        }
    }
}

/// Empty texts say nothing.
fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
