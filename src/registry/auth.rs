//! Authentication: from a 401 to a request that is let in. Tokens go to the registry that asked for them, credentials
//! to it and to the https realm it names, and neither anywhere else.

use std::sync::{Mutex, PoisonError};

use reqwest::blocking::Response;
use reqwest::header::WWW_AUTHENTICATE;
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use super::challenge::{self, Challenge};
use super::credentials::{self, Credentials, Found};
use super::endpoint::Endpoint;
use super::error::RegistryError;
use super::exchange::{
    Body, Exchange, Method, Request, host_of, is_loopback, printable, read_bounded,
};
use super::progress::Progress;
use super::retry;
use super::secret::Secret;
use crate::image::Reference;

/// Requests to one repository of one registry, or to the registry itself; what it learnt about letting in is shared by its
/// threads.
pub(super) struct Session<'a> {
    exchange: Exchange<'a>,
    progress: &'a dyn Progress,
    host: String,
    plain: bool,
    subject: Subject,
    found: Found,
    authorization: Mutex<Option<Secret>>,
    /// A refresh token that came with a token, for a login that asked for one.
    identity: Mutex<Option<Secret>>,
}

/// What a session is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// What tokens are for, as `repository:library/debian:pull`, with names as the endpoint has them.
    pub scopes: Vec<String>,
    /// What the user calls it, for messages.
    pub name: String,
    /// `pull` or `push`, for messages.
    pub verb: &'static str,
    /// A login, which wants an identity token and has messages of its own.
    pub is_login: bool,
}

impl Subject {
    pub fn pull(endpoint: &Endpoint, reference: &Reference) -> Subject {
        let repository = endpoint.repository(reference.repository());
        Subject {
            scopes: vec![format!("repository:{repository}:pull")],
            name: reference.familiar_name(),
            verb: "pull",
            is_login: false,
        }
    }
}

#[derive(Deserialize)]
struct TokenDocument {
    token: Option<String>,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

impl<'a> Session<'a> {
    pub fn new(
        exchange: Exchange<'a>,
        endpoint: &Endpoint,
        reference: &Reference,
        subject: Subject,
        progress: &'a dyn Progress,
    ) -> Result<Session<'a>, RegistryError> {
        let repository = endpoint.repository(reference.repository());
        let found = credentials::find(exchange.config(), &endpoint.host(), Some(&repository))?;
        Ok(Session::with(exchange, endpoint, subject, found, progress))
    }

    /// With credentials that are given, not looked up.
    pub fn with(
        exchange: Exchange<'a>,
        endpoint: &Endpoint,
        subject: Subject,
        found: Found,
        progress: &'a dyn Progress,
    ) -> Session<'a> {
        Session {
            exchange,
            progress,
            plain: endpoint.is_plain(),
            host: endpoint.host(),
            subject,
            found,
            authorization: Mutex::new(None),
            identity: Mutex::new(None),
        }
    }

    pub fn exchange(&self) -> &Exchange<'a> {
        &self.exchange
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// What it is about, for messages.
    pub fn name(&self) -> &str {
        &self.subject.name
    }

    /// The refresh token that a login was given.
    pub fn identity(&self) -> Option<Secret> {
        let identity = self.identity.lock();
        identity.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a request for this repository, authenticating when asked to. Only our own host gets the authorization.
    pub fn send(&self, mut request: Request) -> Result<Response, RegistryError> {
        let ours = host_of(&request.url) == self.host;
        request.authorization = self.current().filter(|_| ours);
        let response = retry::send(&self.exchange, &request, self.progress)?;
        if response.status().as_u16() != 401 {
            return self.unless_denied(response);
        }
        if self.is_elsewhere(&response) {
            return Err(self.denied_elsewhere(response));
        }
        // Another thread may have been let in since this request went out.
        let now = self.current();
        request.authorization = if now != request.authorization {
            now
        } else {
            Some(self.authorize(response)?)
        };
        let response = retry::send(&self.exchange, &request, self.progress)?;
        self.unless_denied(response)
    }

    fn current(&self) -> Option<Secret> {
        let authorization = self.authorization.lock();
        authorization
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn unless_denied(&self, response: Response) -> Result<Response, RegistryError> {
        match response.status().as_u16() {
            401 | 403 if self.is_elsewhere(&response) => Err(self.denied_elsewhere(response)),
            401 | 403 => Err(self.denied(response)),
            _ => Ok(response),
        }
    }

    /// The answer is a redirect's target's, which did not get our credentials and must not: only our own host's
    /// challenge counts.
    fn is_elsewhere(&self, response: &Response) -> bool {
        host_of(response.url()) != self.host
    }

    fn denied_elsewhere(&self, mut response: Response) -> RegistryError {
        RegistryError::Status {
            operation: format!("follow a redirect for {}", self.subject.name),
            host: host_of(response.url()),
            status: response.status().as_u16(),
            message: retry::server_message(&mut response),
        }
    }

    fn denied(&self, mut response: Response) -> RegistryError {
        if self.subject.is_login {
            // Without the query, which a token server's address may have.
            let mut url = response.url().clone();
            url.set_query(None);
            return RegistryError::Login {
                url: printable(url.as_str(), 200),
                status: response.status().to_string(),
                message: retry::server_message(&mut response),
            };
        }
        RegistryError::Denied {
            verb: self.subject.verb,
            repository: self.subject.name.clone(),
            host: self.host.clone(),
            had_credentials: self.found.credentials.is_some(),
            helper_fault: self.found.helper_fault.clone(),
            message: retry::server_message(&mut response),
        }
    }

    /// Answers a 401 and remembers what let us in.
    fn authorize(&self, response: Response) -> Result<Secret, RegistryError> {
        let mut challenges: Vec<Challenge> = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(challenge::parse)
            .collect();
        // A token says less than a password: a server that offers both gets the token.
        challenges.sort_by_key(|challenge| matches!(challenge, Challenge::Basic));
        let basic = || self.found.credentials.as_ref()?.basic();
        let authorization = match challenges.into_iter().next() {
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => self.token(&realm, service.as_deref(), scope.as_deref())?,
            Some(Challenge::Basic) => basic().ok_or_else(|| self.denied(response))?,
            None => return Err(self.denied(response)),
        };
        let mut slot = self.authorization.lock();
        let slot = slot.as_deref_mut();
        if let Ok(slot) = slot {
            *slot = Some(authorization.clone());
        }
        Ok(authorization)
    }

    /// The token flow of the distribution spec; with an identity token, docker's OAuth2 variant of it.
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<Secret, RegistryError> {
        let url = self.realm(realm)?;
        let scopes = self.scopes(scope);
        let request = self.token_request(url.clone(), service, &scopes);
        let mut response = retry::send(&self.exchange, &request, self.progress)?;
        let fault = |reason: String| RegistryError::Token {
            host: self.host.clone(),
            realm_host: host_of(&url),
            reason,
        };
        match response.status().as_u16() {
            200 => {}
            400 | 401 | 403 | 404 => return Err(self.denied(response)),
            status => {
                let message = retry::server_message(&mut response);
                return Err(fault(format!("answered {status}{message}")));
            }
        }
        let body = read_bounded(&mut response, 1 << 20)
            .map_err(|error| fault(error.to_string()))?
            .ok_or_else(|| fault("its answer is larger than 1 MiB".to_owned()))?;
        // serde's message could quote the token.
        let document: TokenDocument = serde_json::from_slice(&body)
            .map_err(|_| fault("its answer is no token document".to_owned()))?;
        if let Some(identity) = document.refresh_token.filter(|token| !token.is_empty()) {
            let mut slot = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
            *slot = Some(Secret::new(identity));
        }
        let token = document.token.filter(|token| !token.is_empty());
        let token = token
            .or(document.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| fault("its answer holds no token".to_owned()))?;
        let authorization = Secret::new(format!("Bearer {token}"));
        match authorization.header() {
            Some(_) => Ok(authorization),
            None => Err(fault("its token fits no HTTP header".to_owned())),
        }
    }

    /// Secrets travel to a realm, so it is https; a plain HTTP registry (loopback, or listed) may name its like.
    fn realm(&self, realm: &str) -> Result<Url, RegistryError> {
        let refused = || RegistryError::Realm {
            host: self.host.clone(),
            realm: printable(realm, 200),
        };
        let url = Url::parse(realm).map_err(|_| refused())?;
        let listed = || self.exchange.config().is_insecure(&host_of(&url));
        let trusted = match url.scheme() {
            "https" => true,
            "http" => self.plain && (is_loopback(&url) || listed()),
            _ => false,
        };
        let clean = url.username().is_empty() && url.password().is_none() && url.host().is_some();
        if trusted && clean {
            Ok(url)
        } else {
            Err(refused())
        }
    }

    /// What a challenge asks for, and what it did not think of: it knows of one request, a push makes several kinds.
    fn scopes(&self, asked: Option<&str>) -> Vec<String> {
        let asked = asked.unwrap_or_default().split_whitespace();
        let mut scopes: Vec<String> = asked.map(str::to_owned).collect();
        if scopes.is_empty() || self.subject.verb != "pull" {
            for own in &self.subject.scopes {
                if !scopes.contains(own) {
                    scopes.push(own.clone());
                }
            }
        }
        scopes
    }

    fn token_request(&self, mut url: Url, service: Option<&str>, scopes: &[String]) -> Request {
        if let Some(Credentials::Identity { token, .. }) = &self.found.credentials {
            let mut form = Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("client_id", "bryo")
                .append_pair("service", service.unwrap_or_default())
                .append_pair("scope", &scopes.join(" "))
                .append_pair("refresh_token", token.expose());
            return Request {
                body: Body::Form(Secret::new(form.finish())),
                ..Request::new(Method::Post, url)
            };
        }
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", scope);
            }
            if self.subject.is_login {
                query.append_pair("offline_token", "true");
                query.append_pair("client_id", "bryo");
            }
        }
        Request {
            authorization: self.found.credentials.as_ref().and_then(Credentials::basic),
            ..Request::get(url)
        }
    }
}
