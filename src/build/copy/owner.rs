//! Who owns what is copied: `--chown` and `USER` by the image's own account files.

use std::io::Read;
use std::path::PathBuf;

use super::{CopyError, io};
use crate::image::{Merged, Shown};
use crate::runtime::user::resolve_in;

/// Account files of an image are a few kilobytes.
const ACCOUNT_FILE_MAX: u64 = 4 << 20;

/// `user[:group]` of the layers' account files; a number without a group is the group's too, as docker has it.
pub(super) fn owner(below: &[PathBuf], text: &str) -> Result<(u32, u32), CopyError> {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = match (is_number(user), group.is_empty()) {
        (true, true) => format!("{user}:{user}"),
        _ => text.to_owned(),
    };
    let (passwd, groups) = match is_number(user) && (group.is_empty() || is_number(group)) {
        true => (String::new(), String::new()),
        false => {
            let view = Merged::of_layers(below).map_err(io("open the layers below"))?;
            (
                account_file(&view, "etc/passwd")?,
                account_file(&view, "etc/group")?,
            )
        }
    };
    let account = resolve_in(&passwd, &groups, &wanted)?;
    Ok((account.uid, account.gid))
}

fn account_file(view: &Merged, path: &'static str) -> Result<String, CopyError> {
    let failed = |source| CopyError::Io {
        operation: "read the image's accounts",
        source,
    };
    let resolved = view.resolve(path.as_bytes(), true).map_err(failed)?;
    let Some((directory, Some(Shown::Other { part, .. }))) = resolved.shown else {
        return Ok(String::new());
    };
    let name = resolved.path.last().cloned().unwrap_or_default();
    let file = directory.open_file(part, &name).map_err(failed)?;
    let mut text = Vec::new();
    std::fs::File::from(file)
        .take(ACCOUNT_FILE_MAX)
        .read_to_end(&mut text)
        .map_err(failed)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
