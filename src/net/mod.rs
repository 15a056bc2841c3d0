//! Network drivers as pairs (host side and namespace side), published ports, the hosts and resolver files. Never reads containers' records.
