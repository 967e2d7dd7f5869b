//! The guide: one page for each thing that people do, with programs that run.
//!
//! | page | when you want to |
//! |---|---|
//! | [Your first server](first_server) | make tools, prompts and resources of functions |
//! | [Asking the user](asking) | ask the client's user, its model, or for its roots while a tool runs |
//! | [Long work](long_work) | run for minutes: progress, logs, cancellation, timeouts |
//! | [Dashboards](dashboards) | tell clients what changed: subscriptions, lists, broadcasts |
//! | [The two streams](streams) | know which stream carries which message |
//! | [What the flags take away](flags) | use `json_response` or `stateless_http` |
//! | [Both eras](eras) | serve clients with and without sessions, and know what differs |
//! | [Older clients](older_clients) | serve clients of the HTTP+SSE transport on the same port |
//! | [Resuming](resuming) | know what a client gets that comes back, and for how long |
//! | [Restarting](restarting) | let sessions outlive the process, and say what becomes of calls that it cut short |
//! | [Mounting in axum](mounting) | make the endpoint a route of an application |
//! | [Composing](composing) | mount servers in servers, hide tools from some, add methods of your own, put layers around calls |
//! | [Testing](testing) | test a server without a socket |
//! | [The client](client) | call servers: timeouts, progress, answering what they ask, errors, cuts and restarts |
//! | [Authorization](authorization) | put a lock in front of a server, and log in as a client |
//! | [Deploying](deploying) | run it behind a proxy, in several instances, and stop it in good order |
//! | [Observing](observing) | see calls as spans, and numbers in Prometheus |
//! | [The command line](command_line) | speak with a server from a shell: call, list, read, prompt, ping; log in; bridge stdio to it: connect; serve behind a lock |
//! | [Coming from rmcp](from_rmcp) | move a server over from the official Rust SDK |
//!
//! The pages are the files in `docs/guide` of the crate; the code in them is compiled and run with the doc tests.

/// A page. What it links to is defined twice: for rustdoc in `links.md`, because the first definition wins, and at its own
/// end for those who read the file by itself. Doc tests do without, so that they are named after their page.
macro_rules! page {
    ($name:ident, $file:literal) => {
        #[cfg_attr(not(doctest), doc = include_str!("../docs/guide/links.md"))]
        #[doc = include_str!(concat!("../docs/guide/", $file))]
        pub mod $name {}
    };
}

page!(first_server, "first-server.md");
page!(asking, "asking.md");
page!(long_work, "long-work.md");
page!(dashboards, "dashboards.md");
page!(streams, "streams.md");
page!(flags, "flags.md");
page!(eras, "eras.md");
page!(older_clients, "older-clients.md");
page!(resuming, "resuming.md");
page!(restarting, "restarting.md");
page!(mounting, "mounting.md");
page!(composing, "composing.md");
// Its code needs the feature, which the doc tests of the whole workspace have.
#[cfg(any(not(doctest), feature = "testing"))]
page!(testing, "testing.md");
// As above.
#[cfg(any(not(doctest), feature = "client"))]
page!(client, "client.md");
// As above.
#[cfg(any(not(doctest), feature = "auth"))]
page!(authorization, "authorization.md");
// As above.
#[cfg(any(not(doctest), all(feature = "tls", feature = "auth")))]
page!(deploying, "deploying.md");
page!(observing, "observing.md");
page!(command_line, "command-line.md");
page!(from_rmcp, "from-rmcp.md");

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// rustdoc checks the links that it resolves; these are the ones for who reads the files.
    #[test]
    fn every_page_is_linked_and_its_links_lead_somewhere() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| fs::read_to_string(here.join(path)).unwrap_or_else(|_| panic!("{path}"));
        let (front, readme, mounted) = (read("src/lib.rs"), read("../../README.md"), read("src/guide.rs"));
        let folder = here.join("docs/guide");
        let mut pages = 0;
        for page in
            fs::read_dir(&folder).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap())
        {
            if page == "links.md" {
                continue;
            }
            pages += 1;
            let module = page.trim_end_matches(".md").replace('-', "_");
            assert!(mounted.contains(&format!("page!({module}, \"{page}\")")), "{page} is not mounted");
            assert!(front.contains(&format!("(guide::{module})")), "{page} is not on the crate's front page");
            assert!(readme.contains(&format!("docs/guide/{page})")), "{page} is not in the README");
            let text = read(&format!("docs/guide/{page}"));
            let targets =
                text.lines().filter(|line| line.starts_with('[')).filter_map(|line| line.split_once("]: "));
            for (label, target) in targets.filter(|(_, target)| !target.starts_with("https://")) {
                assert!(folder.join(target).is_file(), "{page}: {label}] leads nowhere: {target}");
            }
        }
        assert!(pages > 10, "the pages are where they are looked for");
    }
}
