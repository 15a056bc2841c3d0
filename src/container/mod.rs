//! Container records on disk: id, name, config, status, lock. Never starts or signals a process.
