//! `config.toml`: one typed struct, where each value came from, and errors with file, line, column and the nearest key.
