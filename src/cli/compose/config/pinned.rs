//! Images by their digests, as their registries have them now.

use crate::cli::Invocation;
use crate::cli::error::{CliError, Kind};
use crate::compose::{Project, Service};
use crate::engine::remote::RemoteParts;
use crate::image::{Reference, ReferenceError};

/// Every image of a project with its digest, which its registry is asked for.
pub fn pin(project: &mut Project, invocation: &Invocation) -> Result<(), CliError> {
    let engine = invocation.engine()?;
    for service in project.services.values_mut() {
        if service.image.is_empty() {
            continue;
        }
        let name: Reference = service
            .image
            .parse()
            .map_err(|error: ReferenceError| CliError::failed(&error))?;
        if name.digest().is_some() {
            continue;
        }
        let parts = RemoteParts {
            images: false,
            statements: false,
        };
        let remote = engine.remote_image(&name, parts);
        let remote = remote.map_err(|error| CliError::engine(Kind::Failed, &error))?;
        service.image = format!("{name}@{}", remote.digest.as_str());
    }
    Ok(())
}

/// A file that says nothing but which images services have.
pub fn images_only(project: &Project) -> Project {
    let services = project.services.iter().map(|(name, service)| {
        let service = Service {
            image: service.image.clone(),
            ..Service::default()
        };
        (name.clone(), service)
    });
    Project {
        services: services.collect(),
        ..Project::default()
    }
}
