//! `${VARIABLE}`s in a file's texts.

use super::fault::Fault;
use super::path::Path;
use super::yaml::{Node, Yaml};
use crate::build::interpolate::{InterpolateError, Variables, interpolated};

/// Every text of a tree; keys are left alone.
pub fn replace(node: &mut Node, variables: Variables<'_>) -> Result<(), Fault> {
    replaced(node, variables, &mut Path::default())
}

fn replaced(node: &mut Node, variables: Variables<'_>, path: &mut Path) -> Result<(), Fault> {
    let at = node.at;
    match &mut node.value {
        Yaml::Text(text) if text.contains('$') => {
            *text = interpolated(text, variables).map_err(|error| {
                Fault::new(
                    at,
                    match error {
                        InterpolateError::Format { .. } => format!(
                            "invalid interpolation format for {path}: {text:?}; a dollar sign that is meant as one is written $$"
                        ),
                        other => format!("error while interpolating {path}: {other}"),
                    },
                )
            })?;
            Ok(())
        }
        Yaml::List(list) => {
            for (position, node) in list.iter_mut().enumerate() {
                let key = format!("[{position}]");
                path.under(&key, |path| replaced(node, variables, path))?;
            }
            Ok(())
        }
        Yaml::Map(map) => {
            for (key, node) in map {
                path.under(key, |path| replaced(node, variables, path))?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
