//! The built-in demo: something of everything that a client can use, to try one with.
//!
//! Each tool bounds what it takes: see [`bounded`].

mod bounded;
mod echo;
mod guide;
mod metrics;
mod permission;
mod plan;
mod research;
mod roots;
mod slow;
mod summary;
mod trip;

use throughline::Server;
use throughline::model::Implementation;

pub(crate) use metrics::announce as announce_metrics;

/// The demo.
pub(crate) fn server() -> Server {
    let info =
        Implementation::new("throughline-demo", env!("CARGO_PKG_VERSION")).with_title("throughline demo");
    Server::describe(info)
        .instructions(
            "A demonstration server. `research` and `slow` run long and report progress; `ask_permission`, `summarize`, \
             `list_project_roots` and `plan_trip` ask the client something. The resources metrics://cpu and metrics://memory change every \
             second: subscribe to them. guide://tools/{name} tells more about a tool.",
        )
        .tool(research::tool())
        .tool(echo::tool())
        .tool(slow::tool())
        .tool(permission::tool())
        .tool(summary::tool())
        .tool(roots::tool())
        .tool(trip::tool())
        .resource(metrics::cpu())
        .resource(metrics::memory())
        .template(guide::template())
        .prompt(plan::prompt())
}
