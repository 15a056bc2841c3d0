//! What the monitor adds to the event log.

use super::protocol::ExecOrders;
use super::supervise::Monitor;
use crate::container::{Containers, Event, EventLog, Record, VolumePlace};

impl Monitor {
    pub(super) fn emit(&self, action: &str, attributes: &[(&str, String)]) {
        if self.orders.is_step {
            return;
        }
        let template = &self.orders.identity;
        let mut event = Event::new(template.kind, template.id.clone(), action);
        event.attributes.clone_from(&template.attributes);
        event = event.with("name", self.present_name());
        for (key, value) in attributes {
            event = event.with(key, value.clone());
        }
        EventLog::new(&self.orders.paths).append(&event);
    }

    pub(super) fn emit_die(&self, code: i32) {
        let seconds = self.begun.elapsed().as_secs();
        let attributes = [
            ("exitCode", code.to_string()),
            ("execDuration", seconds.to_string()),
        ];
        self.emit("die", &attributes);
        self.emit_volumes("unmount", |_| Vec::new());
    }

    pub(super) fn emit_start(&self) {
        self.emit_volumes("mount", |place| {
            vec![
                ("destination", place.target.clone()),
                ("propagation", String::new()),
                ("read/write", (!place.read_only).to_string()),
            ]
        });
        self.emit("start", &[]);
    }

    /// An event of each of its volumes.
    fn emit_volumes(
        &self,
        action: &str,
        more: impl Fn(&VolumePlace) -> Vec<(&'static str, String)>,
    ) {
        if self.orders.is_step {
            return;
        }
        let log = EventLog::new(&self.orders.paths);
        for place in &self.orders.volumes {
            let mut event = Event::volume(&place.name, action);
            event = event.with("container", self.orders.id.as_str());
            for (key, value) in more(place) {
                event = event.with(key, value);
            }
            log.append(&event);
        }
    }

    pub(super) fn emit_exec(&self, action: &str, orders: &ExecOrders) {
        let words = orders.program.args.join(" ");
        self.emit(
            &format!("{action}: {words}"),
            &[("execID", orders.id.clone())],
        );
    }

    /// It may have been renamed.
    fn present_name(&self) -> String {
        let record = Record {
            id: self.orders.id.clone(),
            directory: self.orders.directory.clone(),
        };
        Containers::new(&self.orders.paths).name_after(&record, &self.orders.name)
    }
}
