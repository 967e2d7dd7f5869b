//! What a host with a session asks for, and a server without sessions has no method for.

use throughline::Client;
use throughline::jsonrpc::{self, ErrorCode, ErrorObject, Raw, Request};
use throughline::model::{ResourceParams, SetLevelParams};

use super::calls::{fail, to_object};
use super::out::Reply;
use super::work::Work;

/// Does it in the server's way, and answers; gives the request back when it is the server's to answer.
pub(super) fn settle(client: &Client, request: Request, reply: &Reply, work: &Work) -> Option<Request> {
    if !matches!(
        &*request.method,
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe"
    ) {
        return Some(request);
    }
    let (client, reply, work) = (client.clone(), reply.clone(), work.begin());
    tokio::spawn(async move {
        let params = request.params.unwrap_or_else(Raw::empty_object);
        let settled = match &*request.method {
            "logging/setLevel" => set_level(&client, &params).await,
            "resources/subscribe" => subscribe(&client, &params, true).await,
            "resources/unsubscribe" => subscribe(&client, &params, false).await,
            _ => Ok(()),
        };
        match settled {
            Ok(()) => reply.send(|out| jsonrpc::write_raw_result(out, &request.id, &Raw::empty_object())),
            Err(error) => fail(&reply, Some(&request.id), &error),
        }
        drop(work);
    });
    None
}

async fn set_level(client: &Client, params: &Raw) -> Result<(), ErrorObject> {
    let params: SetLevelParams = params.parse().map_err(|error| misfit(&error))?;
    client.set_log_level(params.level).await.map_err(|error| to_object(&error))
}

async fn subscribe(client: &Client, params: &Raw, wanted: bool) -> Result<(), ErrorObject> {
    let params: ResourceParams = params.parse().map_err(|error| misfit(&error))?;
    let settled = match wanted {
        true => client.subscribe(&params.uri).await,
        false => client.unsubscribe(&params.uri).await,
    };
    settled.map_err(|error| to_object(&error))
}

fn misfit(error: &serde_json::Error) -> ErrorObject {
    let why = format!("The params cannot be read: {}", jsonrpc::reason(error));
    ErrorObject::new(ErrorCode::INVALID_PARAMS, why)
}
