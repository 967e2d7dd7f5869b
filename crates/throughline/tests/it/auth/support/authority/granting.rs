//! Grants without a browser, keys in the place of secrets, and proofs that one has a key.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, Request};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{Books, Family, Fields, No};

pub(super) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Books {
    /// A grant that needs nothing from before; the login that it makes.
    pub(super) fn grant(&mut self, client: String, fields: &Fields) -> Result<usize, No> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        match &*field("grant_type") {
            "client_credentials" => {
                let known = &self.clients[&client];
                if known.secret.is_none() && known.key.is_none() {
                    return Err(No(400, "unauthorized_client", "it has nothing to show".into()));
                }
                self.log.push("client".into());
            }
            JWT_BEARER => {
                let assertion = field("assertion");
                let of_provider = assertion == format!("jag-for-{}", self.issuer);
                if !of_provider && self.rules.vouched.as_ref() != Some(&assertion) {
                    // It repeats what it was sent, as some do.
                    return Err(No(400, "invalid_grant", format!("not taken: {assertion}")));
                }
                self.log.push("assertion".into());
            }
            other => return Err(No(400, "unsupported_grant_type", other.to_owned())),
        }
        let refresh = self.next("refresh");
        self.families.push(Family {
            client,
            scope: field("scope"),
            resource: field("resource"),
            refresh,
            spent: BTreeSet::new(),
            revoked: false,
        });
        Ok(self.families.len() - 1)
    }

    /// As an identity provider: vouches for Ann.
    pub(super) fn exchange(&mut self, fields: &Fields) -> Result<Value, No> {
        if fields["subject_token"] != "id-token-of-ann" {
            return Err(No(400, "invalid_grant", "nobody of ours".into()));
        }
        self.log.push(format!("exchange for {}", fields["audience"]));
        Ok(json!({
            "access_token": format!("jag-for-{}", fields["audience"]),
            "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "token_type": "N_A",
        }))
    }

    /// The key that a token is to be bound to, by the proof of its request.
    pub(super) fn key(&self, request: &Request<Bytes>) -> Result<Option<Value>, No> {
        let Some(nonce) = self.rules.nonce else { return Ok(None) };
        let (key, claims) = checked_proof(request.headers());
        assert_eq!(
            (&claims["htm"], &claims["htu"]),
            (&json!("POST"), &json!(format!("{}/token", self.issuer)))
        );
        if claims["nonce"] != nonce {
            return Err(No(400, "use_dpop_nonce", "with a nonce".into()));
        }
        Ok(Some(key))
    }
}

/// Whether the client with this id has signed that it is it, for this issuer.
pub(super) fn is_signed(fields: &Fields, key: &str, id: &str, issuer: &str) -> bool {
    let mut rules = Validation::new(Algorithm::ES256);
    rules.set_audience(&[issuer]);
    rules.set_issuer(&[id]);
    rules.sub = Some(id.to_owned());
    let key = DecodingKey::from_ec_pem(key.as_bytes()).unwrap();
    let assertion = fields.get("client_assertion").cloned().unwrap_or_default();
    jsonwebtoken::decode::<Value>(assertion, &key, &rules).is_ok()
}

/// The key and the claims of the one proof among these headers, whose signature is good.
pub(crate) fn checked_proof(headers: &HeaderMap) -> (Value, Value) {
    let mut proofs = headers.get_all("dpop").iter();
    let proof = proofs.next().expect("a proof").to_str().unwrap();
    assert!(proofs.next().is_none());
    let header = jsonwebtoken::decode_header(proof).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("dpop+jwt"), Algorithm::ES256));
    let jwk = header.jwk.expect("a key");
    let mut rules = Validation::new(Algorithm::ES256);
    rules.required_spec_claims.clear();
    rules.validate_exp = false;
    let proof = jsonwebtoken::decode::<Value>(proof, &DecodingKey::from_jwk(&jwk).unwrap(), &rules).unwrap();
    (serde_json::to_value(&jwk).unwrap(), proof.claims)
}
