//! Registries: transport (TLS, retry, limits, auth), endpoints, pull. Never unpacks; bytes go to a sink its caller gives.
