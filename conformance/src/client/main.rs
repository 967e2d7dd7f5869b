//! `conformance-client`: the client that the official conformance suite tries, one scenario a process.
//!
//! The suite starts it as `conformance-client URL`, says in the environment which scenario this is (see [`contract`]), and
//! judges what its own server at that URL saw. The names are the suite's; what each scenario wants is told by `list` and
//! the scenarios' descriptions in the suite.
//!
//! It exits with 0 when it did what the scenario wants, with 1 when that failed, and with 2 when it was started wrongly or
//! does not know the scenario.
#![allow(clippy::print_stderr, reason = "the suite shows what a client writes there")]

mod contract;
mod logins;
mod scenarios;
#[path = "../web.rs"]
mod web;

use contract::Contract;
use scenarios::{SCENARIOS, Scenario};
use std::process::ExitCode;

fn main() -> ExitCode {
    let contract = Contract::read(std::env::args().skip(1), |name| std::env::var(name).ok());
    let found = contract.and_then(|contract| find(&contract.scenario).map(|scenario| (contract, scenario)));
    let (contract, scenario) = match found {
        Ok(found) => found,
        Err(sentence) => {
            eprintln!("conformance-client: {sentence}");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the operating system gives a runtime what it needs");
    match runtime.block_on(scenario(&contract)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance-client: {}: {error}", contract.scenario);
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn find(name: &str) -> Result<Scenario, String> {
    let known = SCENARIOS.iter().find(|(known, _)| *known == name);
    known.map(|(_, scenario)| *scenario).ok_or_else(|| format!("the scenario `{name}` is not known here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scenario_is_named() {
        assert!(find("no-such-scenario").unwrap_err().contains("`no-such-scenario`"));
    }
}
