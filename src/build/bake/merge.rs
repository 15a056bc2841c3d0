//! How one target lies over another: what it inherits, and what later files say of it. Pure.

use super::target::{Entry, Target};

fn replace<T>(below: &mut Option<T>, above: Option<T>) {
    if above.is_some() {
        *below = above;
    }
}

fn replace_list<T>(below: &mut Vec<T>, above: Vec<T>) {
    if !above.is_empty() {
        *below = above;
    }
}

fn append<T: PartialEq>(below: &mut Vec<T>, above: Vec<T>) {
    for one in above {
        if !below.contains(&one) {
            below.push(one);
        }
    }
}

/// Of each kind there is one.
fn by_type(below: &mut Vec<Entry>, above: Vec<Entry>) {
    for one in above {
        let kind = one.0.get("type").cloned();
        below.retain(|other| other.0.get("type") != kind.as_ref());
        below.push(one);
    }
}

impl Target {
    /// What `above` says counts; arguments, labels and contexts each by their name.
    pub(super) fn lay_over(&mut self, above: Target) {
        replace(&mut self.description, above.description);
        replace(&mut self.context, above.context);
        replace(&mut self.dockerfile, above.dockerfile);
        replace(&mut self.dockerfile_inline, above.dockerfile_inline);
        replace(&mut self.target, above.target);
        replace(&mut self.pull, above.pull);
        replace(&mut self.no_cache, above.no_cache);
        replace(&mut self.network, above.network);
        replace(&mut self.shm_size, above.shm_size);
        replace(&mut self.call, above.call);
        self.contexts.extend(above.contexts);
        self.args.extend(above.args);
        self.labels.extend(above.labels);
        self.extra_hosts.extend(above.extra_hosts);
        replace_list(&mut self.inherits, above.inherits);
        replace_list(&mut self.tags, above.tags);
        replace_list(&mut self.cache_to, above.cache_to);
        replace_list(&mut self.secret, above.secret);
        replace_list(&mut self.ssh, above.ssh);
        replace_list(&mut self.platforms, above.platforms);
        replace_list(&mut self.output, above.output);
        replace_list(&mut self.no_cache_filter, above.no_cache_filter);
        append(&mut self.annotations, above.annotations);
        append(&mut self.cache_from, above.cache_from);
        append(&mut self.ulimits, above.ulimits);
        append(&mut self.entitlements, above.entitlements);
        by_type(&mut self.attest, above.attest);
    }
}
