//! Who a container is: its labels, which are how it is found again.

use super::{Container, ServiceError, text};
use crate::compose::labels;
use crate::compose::model::Condition;
use crate::compose::order::needs;
use crate::engine::request::CreateRequest;

impl Container<'_> {
    pub(super) fn identify(&self, request: &mut CreateRequest) -> Result<(), ServiceError> {
        let service = self.service;
        request.hostname = text(&service.hostname);
        request.domainname = text(&service.domainname);
        request.user = text(&service.user);
        request.groups.add.clone_from(&service.group_add);
        request.annotations = service.annotations.clone().into_iter().collect();
        request.labels = service.labels.clone().into_iter().collect();
        let project = self.project;
        let files = project.files.iter();
        let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
        let own = [
            (labels::PROJECT, project.name.clone()),
            (labels::SERVICE, service.name.clone()),
            (labels::NUMBER, self.number.to_string()),
            (labels::CONFIG_HASH, self.hash.to_owned()),
            (labels::IMAGE, self.image_id.to_owned()),
            (labels::DEPENDS_ON, self.depends_on()),
            (
                labels::WORKING_DIR,
                project.working_dir.display().to_string(),
            ),
            (labels::CONFIG_FILES, files.join(",")),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::ONEOFF, self.oneoff().to_owned()),
        ];
        let more = [
            self.slug.map(|slug| (labels::SLUG, slug.to_owned())),
            self.replaces.map(|name| (labels::REPLACE, name.to_owned())),
        ];
        let all = own.into_iter().chain(more.into_iter().flatten());
        request
            .labels
            .extend(all.map(|(key, value)| (key.to_owned(), value)));
        Ok(())
    }

    fn oneoff(&self) -> &'static str {
        match self.slug {
            Some(_) => "True",
            None => "False",
        }
    }

    /// So that it can be stopped in the right order when the file is gone.
    fn depends_on(&self) -> String {
        let needs = needs(self.service).into_iter().map(|need| {
            let condition = match need.condition {
                Condition::Started => "service_started",
                Condition::Healthy => "service_healthy",
                Condition::Completed => "service_completed_successfully",
            };
            format!("{}:{condition}:{}", need.service, need.restart)
        });
        needs.collect::<Vec<_>>().join(",")
    }
}
