//! What the requests of a POST are, as it is kept until its stream ends.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use throughline_proto::jsonrpc::{Malformed, Message, Raw, Request, RequestId, Str};

/// The requests of a POST, so that a restart can answer them. Written only when the stream begins before its last answer is
/// there; until then it is made of references.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Noted {
    pub(crate) requests: Vec<NotedRequest>,
}

/// One of them. What it asks for is noted where the call may be run again.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct NotedRequest {
    pub(crate) id: RequestId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<Str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<Raw>,
}

impl Noted {
    /// One request; `whole` with what it asks for.
    pub(crate) fn one(request: &Request, whole: bool) -> Self {
        Self { requests: vec![NotedRequest::of(request, whole)] }
    }

    /// Everything in a batch that gets an answer under an id.
    pub(crate) fn batch(entries: &[Result<Message, Malformed>], whole: bool) -> Self {
        let noted = entries.iter().filter_map(|entry| match entry {
            Ok(Message::Request(request)) => Some(NotedRequest::of(request, whole)),
            Ok(_) => None,
            Err(malformed) => {
                let id = malformed.id.as_ref()?.clone();
                Some(NotedRequest { id, method: None, params: None })
            }
        });
        Self { requests: noted.collect() }
    }

    /// As it is kept. What is asked for is left out where it makes a note of more than `most` bytes.
    pub(crate) fn to_bytes(&self, most: usize) -> Bytes {
        let written = |noted: &Noted| serde_json::to_vec(noted).expect("texts and JSON are JSON");
        let whole = written(self);
        if whole.len() <= most {
            return whole.into();
        }
        let ids = self.requests.iter().map(|request| NotedRequest {
            id: request.id.clone(),
            method: None,
            params: None,
        });
        written(&Noted { requests: ids.collect() }).into()
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

impl NotedRequest {
    fn of(request: &Request, whole: bool) -> Self {
        Self {
            id: request.id.clone(),
            method: whole.then(|| request.method.clone()),
            params: request.params.clone().filter(|_| whole),
        }
    }

    /// The request, where it was noted as a whole.
    pub(crate) fn to_request(&self) -> Option<Request> {
        let method = self.method.clone()?;
        Some(Request { id: self.id.clone(), method, params: self.params.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let params = Some(Raw::from_json(r#"{"name":"echo","arguments":{"n":1e400}}"#).unwrap());
        Request { id: RequestId::from(4), method: "tools/call".into(), params }
    }

    #[test]
    fn a_whole_request_reads_back_as_it_came() {
        let noted = Noted::parse(&Noted::one(&request(), true).to_bytes(1 << 20)).unwrap();
        assert_eq!(noted.requests[0].to_request(), Some(request()));
    }

    #[test]
    fn only_the_id_is_kept_where_more_is_not_wanted_or_too_long() {
        for (whole, most) in [(false, 1 << 20), (true, 40)] {
            let noted = Noted::parse(&Noted::one(&request(), whole).to_bytes(most)).unwrap();
            assert_eq!(noted.requests[0].id, RequestId::from(4));
            assert!(noted.requests[0].to_request().is_none());
        }
    }
}
