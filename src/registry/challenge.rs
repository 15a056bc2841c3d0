//! The `WWW-Authenticate` header: text to typed challenges. Asks nobody, decides nothing.

/// What a 401 asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Every challenge known here, in the server's order (RFC 9110 section 11.6.1: several may share one header).
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (scheme, after) = split_scheme(rest);
        let (parameters, remaining) = parameters(after);
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            challenges.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = get("realm")
        {
            challenges.push(Challenge::Bearer {
                realm,
                service: get("service"),
                scope: get("scope").filter(|scope| !scope.is_empty()),
            });
        }
        if remaining.len() == rest.len() {
            break;
        }
        rest = remaining;
    }
    challenges
}

fn split_scheme(text: &str) -> (&str, &str) {
    let end = text.find([' ', ',']).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start_matches([' ', ',']))
}

/// `name=value` pairs up to the next scheme, which is a word without `=`.
fn parameters(mut text: &str) -> (Vec<(String, String)>, &str) {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches([' ', ',']);
        let word_end = text.find([' ', ',', '=']).unwrap_or(text.len());
        let name = &text[..word_end];
        let Some(after) = text[word_end..].trim_start().strip_prefix('=') else {
            return (found, text);
        };
        let (value, rest) = value(after.trim_start());
        found.push((name.to_ascii_lowercase(), value));
        text = rest;
    }
}

/// A token or a quoted string with backslash escapes; one that never ends takes the rest.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn docker_hubs_challenge_is_read() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/debian:pull,push""#;
        assert_eq!(
            parse(header),
            [Challenge::Bearer {
                realm: "https://auth.docker.io/token".to_owned(),
                service: Some("registry.docker.io".to_owned()),
                scope: Some("repository:library/debian:pull,push".to_owned()),
            }]
        );
    }

    #[test]
    fn several_challenges_may_share_a_header() {
        let header = r#"Negotiate, basic realm="a \"b\", c" , BEARER Realm=https://x/t"#;
        assert_eq!(
            parse(header),
            [
                Challenge::Basic,
                Challenge::Bearer {
                    realm: "https://x/t".to_owned(),
                    service: None,
                    scope: None
                }
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}") {
            parse(&text);
        }

        #[test]
        fn any_header_like_text_is_survived(text in "(Basic|Bearer|[ ,=\"\\\\]|realm|é){0,30}") {
            parse(&text);
        }
    }
}
