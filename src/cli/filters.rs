//! The values of `--filter` put together; what each means is the request's.

use super::error::CliError;
use crate::engine::request::FilterError;

/// All of them, each added by `add` to what the others came to.
pub fn filtered<F: Default>(
    flag: &str,
    texts: &[String],
    mut add: impl FnMut(&mut F, &str) -> Result<(), FilterError>,
) -> Result<F, CliError> {
    let mut filters = F::default();
    for text in texts {
        let added = add(&mut filters, text);
        added.map_err(|error| CliError::filter(flag, text, &error))?;
    }
    Ok(filters)
}
