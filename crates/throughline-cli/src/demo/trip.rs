//! `plan_trip`: asks its user three times, and does one thing once.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::Deserialize;
use throughline::model::ToolAnnotations;
use throughline::{AskError, Context, Result, ToolDef};

use super::bounded::{Text, Within};

#[derive(Deserialize, JsonSchema)]
struct Route {
    /// Where the trip begins.
    from: Text<100>,
    /// Where it goes.
    to: Text<100>,
}

#[derive(Deserialize, JsonSchema)]
struct Travel {
    /// How many people travel.
    people: Within<1, 20>,
    /// How they travel.
    by: Vehicle,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Vehicle {
    Train,
    Ship,
    Bicycle,
}

#[derive(Deserialize, JsonSchema)]
struct Booking {
    /// Whether to take the offer.
    book: bool,
}

pub(super) fn tool() -> ToolDef {
    throughline::tool("plan_trip", plan_trip)
        .description(
            "Plans a trip with the user in three questions (elicitation): the route, how to travel, and whether to take the \
             offer, which is made once. A demonstration: nothing is booked.",
        )
        .annotations(ToolAnnotations::new().with_read_only_hint(true))
}

async fn plan_trip(cx: Context) -> Result<String> {
    match plan(&cx).await {
        Err(error) if is_no(&error) => Ok("The user has no wish to travel.".into()),
        planned => planned,
    }
}

/// Without a session this runs from its start for each answer, wherever the round goes: the offer stays the same.
async fn plan(cx: &Context) -> Result<String> {
    let Route { from, to } = cx.elicit("Where does the trip go?").key("route").await?;
    let (from, to) = (from.as_str(), to.as_str());
    let Travel { people, by } =
        cx.elicit(format!("From {from} to {to}: who travels, and how?")).key("travel").await?;
    let (people, by) = (people.get(), by.name());
    let offer = cx.once("offer", || async { Ok(make_offer()) }).await?;
    let question = format!("Offer {offer}: {people} by {by} from {from} to {to}. Take it?");
    let Booking { book } = cx.elicit(question).key("booking").await?;
    let taken = if book { "is taken" } else { "is left" };
    Ok(format!("Offer {offer} ({people} by {by} from {from} to {to}) {taken}."))
}

/// Its number says which process made it, and as which of its offers.
fn make_offer() -> String {
    static OFFERS: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), OFFERS.fetch_add(1, Ordering::Relaxed) + 1)
}

fn is_no(error: &throughline::Error) -> bool {
    error.downcast_ref::<AskError>().is_some_and(|error| error.is_declined() || error.is_cancelled())
}

impl Vehicle {
    fn name(self) -> &'static str {
        match self {
            Vehicle::Train => "train",
            Vehicle::Ship => "ship",
            Vehicle::Bicycle => "bicycle",
        }
    }
}
