//! Arguments that fit and that do not.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throughline::{Server, tool};

use super::{call, client, listed};

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Item {
    sku: String,
    count: u32,
}

/// Orders things.
#[tool]
async fn order(
    /// What to order.
    #[arg(length = 1..=3)]
    items: Vec<Item>,
    #[arg(default = Size::Small)] size: Size,
    #[arg(default = "nobody", length = ..=10)] name: String,
    #[arg(range = 0.0..1.0)] discount: Option<f64>,
    #[arg(rename = "maxPrice", min = 1, max = LIMIT)] max_price: Option<i32>,
    #[arg(default)] gift: bool,
) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("{}x{}", item.count, item.sku)).collect();
    format!("{} {size:?} {name} {discount:?} {max_price:?} {gift}", items.join(","))
}

const LIMIT: i32 = 1000;

#[tokio::test]
async fn the_schema_says_what_fits() {
    let listed = listed(Server::new("demo", "1.0.0").tool(order)).await;
    let schema = &listed["inputSchema"];
    assert_eq!(schema["required"], json!(["items"]));
    let of = |name: &str| schema["properties"][name].clone();
    assert_eq!(of("items")["minItems"], 1);
    assert_eq!(of("items")["maxItems"], 3);
    assert_eq!(of("name")["maxLength"], 10);
    assert_eq!(of("name")["default"], "nobody");
    assert_eq!(of("discount")["minimum"], 0.0);
    assert_eq!(of("discount")["exclusiveMaximum"], 1.0);
    assert_eq!(of("maxPrice")["minimum"], 1);
    assert_eq!(of("maxPrice")["maximum"], 1000);
    assert_eq!(of("gift")["default"], false);
    assert_eq!(of("discount").get("default"), None);
    let validator = jsonschema::validator_for(schema).expect("a schema");
    assert!(validator.is_valid(&json!({"items": [{"sku": "a", "count": 1}], "size": "large"})));
    assert!(!validator.is_valid(&json!({"items": [], "size": "large"})));
}

#[tool]
async fn small(#[arg(range = 1..=10)] n: u8, m: Option<u8>) -> u8 {
    n + m.unwrap_or_default()
}

#[tokio::test]
async fn a_range_takes_the_place_of_the_types_own() {
    let listed = listed(Server::new("demo", "1.0.0").tool(small)).await;
    let properties = &listed["inputSchema"]["properties"];
    assert_eq!((&properties["n"]["minimum"], &properties["n"]["maximum"]), (&json!(1), &json!(10)));
    assert_eq!(properties["m"].get("default"), None);
}

#[tokio::test]
async fn arguments_are_named() {
    let client = client(Server::new("demo", "1.0.0").tool(small)).await;
    for arguments in [json!([1, 2]), json!([]), json!(7), json!("n")] {
        let error = super::refused_or_error(&client, "small", arguments).await;
        assert!(error.contains("object"), "{error}");
    }
}

#[tokio::test]
async fn what_is_left_out_gets_its_default() {
    let client = client(Server::new("demo", "1.0.0").tool(order)).await;
    let items = json!([{"sku": "a", "count": 1}]);
    assert_eq!(call(&client, "order", json!({"items": items})).await, "1xa Small nobody None None false");
    let all =
        json!({"items": items, "size": "large", "name": "me", "discount": 0.5, "maxPrice": 9, "gift": true});
    assert_eq!(call(&client, "order", all).await, "1xa Large me Some(0.5) Some(9) true");
    let null = json!({"items": items, "discount": null});
    assert_eq!(call(&client, "order", null).await, "1xa Small nobody None None false");
}

#[tokio::test]
async fn a_misfit_names_its_path_and_what_was_expected() {
    let client = client(Server::new("demo", "1.0.0").tool(order)).await;
    let mut said = String::new();
    for arguments in [
        json!({}),
        json!({"items": 1}),
        json!({"items": []}),
        json!({"items": [{"sku": "a", "count": 1}, {"sku": 2, "count": 1}]}),
        json!({"items": [{"sku": "a"}]}),
        json!({"items": [{"sku": "a", "count": -1}]}),
        json!({"items": [{"sku": "a", "count": 1}], "size": "huge"}),
        json!({"items": [{"sku": "a", "count": 1}], "discount": 1.0}),
        json!({"items": [{"sku": "a", "count": 1}], "maxPrice": 0}),
        json!({"items": [{"sku": "a", "count": 1}], "max_price": 5}),
        json!({"items": [{"sku": "a", "count": 1}], "name": "somebody long"}),
        json!({"items": [{"sku": "a", "count": 1}], "gift": "yes"}),
    ] {
        said += &call(&client, "order", arguments).await;
        said.push('\n');
    }
    insta::assert_snapshot!(said, @r#"
    error: the arguments do not fit: missing field `items`
    error: the argument `items` does not fit: invalid type: integer `1`, expected a sequence
    error: the argument `items` does not fit: a length of 0 items is out of range, expected at least 1 and at most 3
    error: the argument `items[1].sku` does not fit: invalid type: integer `2`, expected a string
    error: the argument `items[0]` does not fit: missing field `count`
    error: the argument `items[0].count` does not fit: invalid value: integer `-1`, expected u32
    error: the argument `size` does not fit: unknown variant `huge`, expected `small` or `large`
    error: the argument `discount` does not fit: 1 is out of range, expected at least 0 and less than 1
    error: the argument `maxPrice` does not fit: 0 is out of range, expected at least 1 and at most 1000
    error: the argument `max_price` does not fit: unknown field `max_price`, expected one of `items`, `size`, `name`, `discount`, `maxPrice`, `gift`
    error: the argument `name` does not fit: a length of 13 characters is out of range, expected at most 10
    error: the argument `gift` does not fit: invalid type: string "yes", expected a boolean
    "#);
}
