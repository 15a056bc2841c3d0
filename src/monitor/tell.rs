//! What the monitor adds to the event log.

use super::protocol::ExecOrders;
use super::supervise::Monitor;
use crate::container::{Containers, Event, EventLog, Record, VolumePlace};

impl Monitor {
    pub(super) fn emit(&self, action: &str, attributes: &[(&str, String)]) {
        if self.orders.is_step {
            return;
        }
        let mut event = self.orders.identity.again(action);
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
        self.emit_volumes(|place| Event::volume(&place.name, "unmount"));
    }

    pub(super) fn emit_start(&self) {
        self.emit_volumes(|place| {
            Event::volume(&place.name, "mount")
                .with("destination", place.target.as_str())
                .with("propagation", "")
                .with("read/write", (!place.read_only).to_string())
        });
        self.emit("start", &[]);
    }

    /// An event of each of its volumes.
    fn emit_volumes(&self, event: impl Fn(&VolumePlace) -> Event) {
        if self.orders.is_step {
            return;
        }
        let log = EventLog::new(&self.orders.paths);
        for place in &self.orders.volumes {
            log.append(&event(place).with("container", self.orders.id.as_str()));
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
