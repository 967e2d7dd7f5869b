use form_urlencoded::Serializer;

/// Writes `application/x-www-form-urlencoded`
/// ([RFC 6749, appendix B](https://www.rfc-editor.org/rfc/rfc6749#appendix-B)): the body of a token request, and the query
/// of an authorization request.
pub(super) struct Form(Serializer<'static, String>);

impl Form {
    pub(super) fn new() -> Form {
        Form(Serializer::new(String::new()))
    }

    /// One more parameter. A name comes once
    /// ([RFC 6749, 3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)), which the caller sees to.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.0.append_pair(name, value);
    }

    /// One more parameter, if there is a value.
    pub(super) fn add_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.0.finish()
    }
}

/// One value, encoded as a form has it.
pub(super) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// `address` with these parameters behind its own query, which stays as it is
/// ([RFC 6749, 3.1](https://www.rfc-editor.org/rfc/rfc6749#section-3.1)). Parameters of the address that have a name of ours
/// are dropped: none may come twice.
pub(super) fn with_query(address: &str, parameters: &[(&str, &str)]) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let is_ours = |part: &&str| {
        form_urlencoded::parse(part.as_bytes())
            .any(|(name, _)| parameters.iter().any(|(ours, _)| *ours == name))
    };
    let mut form = Form::new();
    for (name, value) in parameters {
        form.add(name, value);
    }
    let ours = form.finish();
    let all: Vec<&str> =
        query.split('&').filter(|part| !part.is_empty() && !is_ours(part)).chain([ours.as_str()]).collect();
    format!("{path}?{}", all.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded() {
        let mut form = Form::new();
        form.add("scope", "files:read files:write");
        form.add_some("resource", Some("https://example.com/mcp?a=b&c"));
        form.add_some("none", None);
        assert_eq!(
            form.finish(),
            "scope=files%3Aread+files%3Awrite&resource=https%3A%2F%2Fexample.com%2Fmcp%3Fa%3Db%26c"
        );
        assert_eq!(encoded("a b:ü"), "a+b%3A%C3%BC");
    }

    #[test]
    fn a_query_that_an_address_has_stays_without_what_is_ours() {
        assert_eq!(with_query("https://a.example/x", &[("state", "s&")]), "https://a.example/x?state=s%26");
        assert_eq!(
            with_query("https://a.example/x?tenant=1&client%5Fid=evil&&flag", &[("client_id", "me")]),
            "https://a.example/x?tenant=1&flag&client_id=me"
        );
    }
}
