//! Finding out what a server on a pipe speaks, however long it takes to start.

use std::future::IntoFuture;
use std::time::Duration;

use throughline::revision::Revision;

use super::scripted::{Over, discovered, initialized, scripted};

#[tokio::test(start_paused = true)]
async fn a_modern_server_that_is_slow_to_start_is_no_older_for_it() {
    let (mut server, connect) = scripted(Over::Pipe);
    let begun = tokio::time::Instant::now();
    let (client, ()) = tokio::join!(connect.into_future(), async {
        let probe = server.expect("server/discover").await;
        let initialize = server.expect("initialize").await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(15)).await;
        // It reads what it was sent in its order.
        probe.result(discovered());
        initialize.error(200, -32601);
    });
    assert_eq!(client.unwrap().revision(), Revision::LATEST);

    // Or in another.
    let (mut server, connect) = scripted(Over::Pipe);
    let (client, ()) = tokio::join!(connect.into_future(), async {
        let probe = server.expect("server/discover").await;
        server.expect("initialize").await.error(200, -32602);
        tokio::time::sleep(Duration::from_secs(1)).await;
        probe.result(discovered());
    });
    assert_eq!(client.unwrap().revision(), Revision::LATEST);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_opens_a_session_late_has_opened_it() {
    for answers_both in [false, true] {
        let (mut server, connect) = scripted(Over::Pipe);
        let (client, ()) = tokio::join!(connect.into_future(), async {
            let probe = server.expect("server/discover").await;
            let initialize = server.expect("initialize").await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            if answers_both {
                probe.result(discovered());
            }
            initialize.result(initialized());
            server.expect("notifications/initialized").await.accept();
        });
        assert_eq!(client.unwrap().revision(), Revision::LATEST_LEGACY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_no_late_has_said_no() {
    let (mut server, connect) = scripted(Over::Pipe);
    let (client, ()) = tokio::join!(connect.into_future(), async {
        let probe = server.expect("server/discover").await;
        let initialize = server.expect("initialize").await;
        probe.error(200, -32601);
        initialize.error(200, -32603);
    });
    assert_eq!(client.unwrap_err().error().unwrap().code.0, -32603);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_in_an_error() {
    // The question, and `initialize`; a short timeout is short for both.
    for (timeout, in_all) in [(30, 5 + 30), (2, 2 + 2)] {
        let (_server, connect) = scripted(Over::Pipe);
        let begun = tokio::time::Instant::now();
        assert!(connect.timeout(Duration::from_secs(timeout)).await.unwrap_err().is_timeout());
        assert_eq!(begun.elapsed(), Duration::from_secs(in_all));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_must_be_modern_may_take_its_time() {
    let (mut server, connect) = scripted(Over::Pipe);
    let (client, ()) = tokio::join!(connect.revision(Revision::LATEST).into_future(), async {
        let probe = server.expect("server/discover").await;
        tokio::time::sleep(Duration::from_secs(40)).await;
        probe.result(discovered());
    });
    assert_eq!(client.unwrap().revision(), Revision::LATEST);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_over_the_question_is_reported_at_once() {
    let (mut server, connect) = scripted(Over::Pipe);
    let begun = tokio::time::Instant::now();
    let (client, ()) = tokio::join!(connect.into_future(), async {
        server.expect("server/discover").await;
        server.hang_up();
    });
    let error = client.unwrap_err();
    assert!(error.is_connection_lost() && !error.is_outcome_unknown(), "{error}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}
