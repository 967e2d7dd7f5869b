//! Keys that the operator of a server gives out.

use throughline_proto::auth::{ApiKeyDigest, ScopeSet, TokenFault};

use super::BadAuthorization;
use crate::{Authorized, Principal};

/// The keys that an operator gave out, by their digests: who reads the settings of the server has no key.
///
/// A client sends its key as a token (`Authorization: Bearer tl_..`). The [principal](Principal) is the name of the key, and its
/// issuer is `api-keys`.
///
/// ```
/// use throughline::auth::{ApiKey, ApiKeys, Authorization};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Once, to be given to a client. The bytes come from the system's random source.
/// # let random_bytes = [7; 32];
/// let key = ApiKey::from_random(random_bytes);
/// let kept = key.digest().to_string();
///
/// let keys = ApiKeys::new().with("ci", kept.parse()?).with_scoped("reports", kept.parse()?, ["files:read"])?;
/// let lock = Authorization::builder("https://mcp.example.com/mcp").api_keys(keys);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<(ApiKeyDigest, Authorized)>);

impl ApiKeys {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, with its name, that has no scopes.
    #[must_use]
    pub fn with(mut self, name: &str, digest: ApiKeyDigest) -> Self {
        self.0.push((digest, Authorized::new(Principal::new(ISSUER, name))));
        self
    }

    /// One more, with its name and scopes.
    ///
    /// # Errors
    ///
    /// When one of the scopes is none.
    pub fn with_scoped<I>(
        mut self,
        name: &str,
        digest: ApiKeyDigest,
        scopes: I,
    ) -> Result<Self, BadAuthorization>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let scopes = ScopeSet::of(scopes).map_err(|error| BadAuthorization::new(error.to_string()))?;
        self.0.push((digest, Authorized::new(Principal::new(ISSUER, name)).with_scopes(scopes)));
        Ok(self)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The keys of a lock.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(Vec<(ApiKeyDigest, Authorized)>);

impl KnownKeys {
    pub(super) fn new(keys: Vec<ApiKeys>) -> Self {
        Self(keys.into_iter().flat_map(|keys| keys.0).collect())
    }

    /// Whose key this is. `None`: it is perhaps no key, but a token.
    ///
    /// It is held against every key, each in constant time, so that how long it takes tells nothing.
    pub(super) fn find(&self, token: &str) -> Result<Option<Authorized>, TokenFault> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let digest = ApiKeyDigest::of(token);
        let mut found = None;
        for (known, authorized) in &self.0 {
            if *known == digest {
                found = Some(authorized);
            }
        }
        match found {
            Some(authorized) => Ok(Some(authorized.clone())),
            None if token.starts_with("tl_") => Err(TokenFault::UnknownApiKey),
            None => Ok(None),
        }
    }
}

const ISSUER: &str = "api-keys";

#[cfg(test)]
mod tests {
    use throughline_proto::auth::ApiKey;

    use super::*;

    #[test]
    fn keys_are_told_apart_from_one_another_and_from_tokens() {
        let (ci, reports) = (ApiKey::from_random([1; 32]), ApiKey::from_random([2; 32]));
        let keys = ApiKeys::new().with("ci", ci.digest());
        let keys = keys.with_scoped("reports", reports.digest(), ["files:read"]).unwrap();
        assert_eq!(keys.len(), 2);
        let known = KnownKeys::new(vec![keys]);
        let found = known.find(reports.expose()).unwrap().unwrap();
        assert_eq!(*found.principal(), Principal::new("api-keys", "reports"));
        assert!(found.has_scope("files:read"));
        assert!(known.find(ci.expose()).unwrap().unwrap().scopes().is_empty());
        assert_eq!(known.find(ApiKey::from_random([3; 32]).expose()).unwrap_err(), TokenFault::UnknownApiKey);
        assert!(known.find("a.b.c").unwrap().is_none());
    }
}
