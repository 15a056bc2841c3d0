//! `network create --route`: ways to other places over a machine of the network. Changes nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::subnet::Subnet;

/// podman's, of a route that says none.
const METRIC: u32 = 100;

/// `10.1.0.0/24,192.168.33.10[,100]`; every container of the network gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    pub to: Subnet,
    pub gateway: IpAddr,
    pub metric: u32,
}

/// In podman's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaticRouteError {
    #[error(
        "invalid route: {text}: it should be DESTINATION,GATEWAY[,METRIC], with the destination in CIDR notation"
    )]
    Form { text: String },
    #[error("invalid route destination {text}")]
    Destination { text: String },
    #[error("invalid route gateway {text}")]
    Gateway { text: String },
    #[error("invalid route metric {text}")]
    Metric { text: String },
    #[error("invalid route: {route}: destination and gateway are of different families")]
    Families { route: StaticRoute },
}

impl FromStr for StaticRoute {
    type Err = StaticRouteError;

    fn from_str(text: &str) -> Result<StaticRoute, StaticRouteError> {
        let parts: Vec<&str> = text.split(',').collect();
        let (to, gateway, metric) = match parts[..] {
            [to, gateway] => (to, gateway, None),
            [to, gateway, metric] => (to, gateway, Some(metric)),
            _ => {
                let text = text.to_owned();
                return Err(StaticRouteError::Form { text });
            }
        };
        let wrong = |text: &str| text.to_owned();
        let route = StaticRoute {
            to: to
                .parse()
                .map_err(|_| StaticRouteError::Destination { text: wrong(to) })?,
            gateway: gateway.parse().map_err(|_| StaticRouteError::Gateway {
                text: wrong(gateway),
            })?,
            metric: match metric {
                None => METRIC,
                Some(text) => text
                    .parse()
                    .map_err(|_| StaticRouteError::Metric { text: wrong(text) })?,
            },
        };
        match route.to.is_ipv4() == route.gateway.is_ipv4() {
            true => Ok(route),
            false => Err(StaticRouteError::Families { route }),
        }
    }
}

impl fmt::Display for StaticRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, gateway, metric) = (self.to, self.gateway, self.metric);
        write!(f, "{to},{gateway},{metric}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_a_destination_a_gateway_and_perhaps_a_metric() {
        let shown = |text: &str| text.parse::<StaticRoute>().unwrap().to_string();
        assert_eq!(shown("10.1.0.0/24,10.9.0.7"), "10.1.0.0/24,10.9.0.7,100");
        assert_eq!(shown("fd01::/64,fd00::7,5"), "fd01::/64,fd00::7,5");
        for (wrong, words) in [
            ("10.1.0.0/24", "invalid route: 10.1.0.0/24"),
            ("x,10.9.0.7", "invalid route destination x"),
            ("10.1.0.0/24,x", "invalid route gateway x"),
            ("10.1.0.0/24,10.9.0.7,x", "invalid route metric x"),
            ("10.1.0.0/24,fd00::7", "different families"),
            ("10.1.0.0/24,10.9.0.7,1,2", "invalid route: "),
        ] {
            let error = wrong.parse::<StaticRoute>().unwrap_err().to_string();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
