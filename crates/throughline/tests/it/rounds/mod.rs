//! Handlers that ask more than once: the same functions in a session and without one.

mod modern;
mod processes;
mod session;

use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use throughline::{
    Context, Elicit, Error, InputRequired, Json, Result, Server, prompt, resource, template, tool,
};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Approval {
    approved: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Greeting {
    greeting: String,
}

/// What the handlers did, in all processes of a test.
#[derive(Clone, Default)]
struct Deeds(Arc<AtomicUsize>);

impl Deeds {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn again(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn server(deeds: &Deeds) -> Server {
    Server::new("it", "1")
        .state(deeds.clone())
        .tool(tool("ask", ask))
        .tool(tool("trip", trip))
        .tool(tool("both", both))
        .tool(tool("heralded", heralded))
        .tool(tool("own", own))
        .tool(tool("late", late))
        .tool(tool("count", count))
        .tool(tool("aside", aside))
        .method("it/ask", |cx: Context| async move { ask(cx).await.map(Json) })
        .tool(tool("endless", |_: Context| async { InputRequired::new().state(&1) }))
        .prompt(prompt("greet", |greeting: Greeting, cx: Context| async move {
            let name = answered(&cx)?;
            Ok::<_, Error>(format!("{} {name}!", greeting.greeting))
        }))
        .resource(resource("it://name", "name", |cx: Context| async move { answered(&cx) }))
        .template(template("it://{greeting}/name", "hello", |greeting: Greeting, cx: Context| async move {
            let name = answered(&cx)?;
            Ok::<_, Error>(format!("{} {name}!", greeting.greeting))
        }))
}

/// One question.
async fn ask(cx: Context) -> Result<String> {
    Ok(cx.elicit::<Name>("Who?").key("who").await?.name)
}

/// Three questions one after another, and something that is done once.
async fn trip(cx: Context) -> Result<String> {
    let from = cx.elicit::<Name>("From?").key("from").await?.name;
    let deeds: Deeds = cx.state().ok_or_else(|| Error::msg("no state"))?;
    let ticket = cx.once("ticket", || async { Ok(deeds.again()) }).await?;
    let to = cx.elicit::<Name>("To?").key("to").await?.name;
    let Approval { approved } = cx.elicit(format!("Ticket {ticket}?")).await?;
    let same = cx.once("ticket", || async { Ok(deeds.again()) }).await?;
    Ok(format!("{from} {to} {approved} {ticket} {same}"))
}

/// Two questions at once.
async fn both(cx: Context) -> Result<String> {
    let (name, roots) = cx.ask_all((cx.elicit::<Name>("Who?").key("who"), cx.roots().key("roots"))).await?;
    Ok(format!("{} {}", name.name, roots.len()))
}

/// Two questions at once, one of them announced.
async fn heralded(cx: Context) -> Result<String> {
    let roots = async { Ok(cx.roots().key("roots").await?) };
    let name = async {
        cx.notify("it/herald", &serde_json::json!({})).await?;
        Ok(cx.elicit::<Name>("Who?").key("who").await?)
    };
    let (roots, name) = tokio::try_join!(roots, name).map_err(|error: Error| error)?;
    Ok(format!("{} {}", name.name, roots.len()))
}

/// Rounds of its own making, with a state.
async fn own(cx: Context) -> Result<String> {
    let mut names: Vec<String> = cx.request_state()?.unwrap_or_default();
    if let Some(answer) = cx.input_responses().get::<Elicit<Name>>("name") {
        names.push(answer?.name);
    }
    if names.len() < 2 {
        let ask = Elicit::<Name>::new(format!("Name {}?", names.len() + 1));
        return Err(InputRequired::new().ask("name", ask).state(&names).into());
    }
    Ok(names.join(" and "))
}

/// Asks after it said something.
async fn late(cx: Context) -> Result<String> {
    cx.progress(1.0).await?;
    Ok(cx.elicit::<Name>("Who?").key("who").await?.name)
}

/// Has a task of its own ask, a while after it last did anything itself.
async fn aside(cx: Context) -> Result<String> {
    let asking = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ask(cx).await
    });
    asking.await?
}

/// Counts its runs, and asks.
async fn count(cx: Context) -> Result<String> {
    let deeds: Deeds = cx.state().ok_or_else(|| Error::msg("no state"))?;
    deeds.again();
    ask(cx).await
}

/// The name that was answered, or the question for it.
fn answered(cx: &Context) -> Result<String> {
    match cx.input_responses().get::<Elicit<Name>>("name") {
        Some(answer) => Ok(answer?.name),
        None => Err(InputRequired::new().ask("name", Elicit::<Name>::new("Who?")).into()),
    }
}
