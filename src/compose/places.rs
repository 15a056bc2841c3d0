//! Relative paths of a file → absolute ones.

use std::path::{Component, Path as FilePath, PathBuf};

use super::path::Path;
use super::short::is_path;
use super::yaml::{Map, Node, Yaml};

/// What paths of one file begin at.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    pub directory: &'a FilePath,
    pub home: Option<&'a str>,
}

impl Places<'_> {
    pub fn resolve(&self, node: &mut Node) {
        self.walk(node, &mut Path::default());
    }

    /// `./a` → `/directory/a`
    pub fn absolute(&self, path: &str) -> String {
        let path = match (path.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                format!("{home}{rest}")
            }
            _ => path.to_owned(),
        };
        match path.as_str() {
            "" => path,
            _ if path.starts_with('/') => path,
            _ => clean(&self.directory.join(path)),
        }
    }

    fn walk(&self, node: &mut Node, path: &mut Path) {
        match path.keys()[..] {
            ["services", _, "build", "context"]
            | ["services", _, "build", "additional_contexts", _] => self.context(node),
            ["services", _, "env_file", _, "path"]
            | ["services", _, "label_file", _]
            | ["services", _, "build", "ssh", _]
            | ["services", _, "extends", "file"]
            | ["services", _, "develop", "watch", _, "path"]
            | ["configs" | "secrets", _, "file"] => self.text(node),
            ["services", _, "volumes", _] => self.mount(node),
            ["volumes", _] => self.volume(node),
            _ => {}
        }
        path.each_below(node, |node, path| self.walk(node, path));
    }

    fn text(&self, node: &mut Node) {
        if let Yaml::Text(text) = &mut node.value {
            *text = self.absolute(text);
        }
    }

    fn context(&self, node: &mut Node) {
        if let Yaml::Text(text) = &mut node.value
            && !is_remote(text)
        {
            *text = self.absolute(text);
        }
    }

    fn mount(&self, node: &mut Node) {
        if node.text_at("type") != Some("bind") {
            return;
        }
        let source = node.map_mut().and_then(|map| map.get_mut("source"));
        if let Some(source) = source
            && let Yaml::Text(text) = &mut source.value
            // A drive's letter begins an absolute path, too.
            && (!is_path(text) || text.starts_with(['.', '/', '~']))
        {
            *text = self.absolute(text);
        }
    }

    /// A volume that is a bind of `local`'s.
    fn volume(&self, node: &mut Node) {
        let Some(map) = node.map_mut() else { return };
        let is_local = map.get("driver").and_then(Node::text).unwrap_or("local") == "local";
        let options = map.get_mut("driver_opts").and_then(Node::map_mut);
        let Some(options) = options.filter(|_| is_local) else {
            return;
        };
        let is_bind = |options: &Map| options.get("o").and_then(Node::text) == Some("bind");
        if is_bind(options)
            && let Some(device) = options.get_mut("device")
        {
            self.text(device);
        }
    }
}

/// What is no directory of this host.
pub fn is_remote(context: &str) -> bool {
    let prefixes = [
        "https://",
        "http://",
        "git://",
        "ssh://",
        "git@",
        "github.com/",
        "docker-image:",
        "service:",
        "target:",
        "oci-layout:",
    ];
    context.contains("://") || prefixes.iter().any(|prefix| context.starts_with(prefix))
}

/// Without `.` and `..`, by the words alone.
pub fn clean(path: &FilePath) -> String {
    let mut made = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if made.parent().is_some() => drop(made.pop()),
            Component::ParentDir if made.has_root() => {}
            part => made.push(part),
        }
    }
    match made.as_os_str().is_empty() {
        true => ".".to_owned(),
        false => crate::sys::text::from_os(made.as_os_str()),
    }
}
