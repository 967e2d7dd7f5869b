//! `throughline list`.

use serde_json::Value;

use super::{Here, shown};

#[tokio::test]
async fn everything_is_listed_for_people() {
    // On pages of one entry each.
    let here = Here::with(&["--page-size", "1"]).await;
    insta::assert_snapshot!(shown(here.run(&["list", "URL"]).await));
    let (_, old, _) = here.run(&["list", "--revision", "2025-06-18", "URL"]).await;
    let (_, new, _) = here.run(&["list", "URL"]).await;
    assert_eq!(old, new);
    let (_, prompts, _) = here.run(&["list", "URL", "prompts"]).await;
    assert!(new.ends_with(&prompts) && prompts.starts_with("prompts:\n"), "{prompts}");
}

#[tokio::test]
async fn lists_are_one_line_of_json_for_programs() {
    let here = Here::with(&[]).await;
    let (code, out, error) = here.run(&["list", "URL", "templates", "tools", "-o", "json"]).await;
    assert_eq!((code, error.as_str()), (0, ""));
    let lists: Value = serde_json::from_str(out.trim_end()).expect("one line of JSON");
    assert_eq!(lists["resourceTemplates"][0]["uriTemplate"], "guide://tools/{name}");
    assert!(lists["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "echo")));
    assert!(lists.get("prompts").is_none() && lists.get("resources").is_none(), "{out}");
}
