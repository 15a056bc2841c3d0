//! The process that supervises one container: its protocol, logs and exit record. Never threads, HTTP or image names.
