//! Each message goes to exactly one stream.

use super::*;
use crate::model::ServerNotification;

fn roads(one_json_body: bool, standalone_open: bool, progress: ProgressRoute) -> Roads {
    Roads { one_json_body, standalone_open, progress }
}

#[test]
fn a_calls_messages_go_to_its_stream_and_all_else_to_the_standalone_one() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    let (_, first) = started(&mut pair);
    let (_, second) = started(&mut pair);
    let Some(Route::Post(of_first)) = pair.progress(first, 1.0) else { panic!() };
    let Some(Route::Post(of_second)) = pair.log(second, LoggingLevel::Error, &Raw::null()) else { panic!() };
    assert_ne!(of_first, of_second);
    assert_eq!(pair.ping(Some(first), MINUTE).unwrap().route, Route::Post(of_first));
    assert_eq!(pair.ping(None, MINUTE).unwrap().route, Route::Standalone);
    let changed = ServerNotification::ToolListChanged(Default::default());
    assert_eq!(pair.tell(None, MessageKind::Related, changed), Route::Standalone);
    pair.settle();
    for stream in [StreamNo::STANDALONE, of_first, of_second] {
        assert_eq!(pair.client.messages_on(stream), pair.server.sent[&stream], "{stream:?}");
    }
    assert_sound(&pair);
}

#[test]
fn every_combination_of_roads_has_its_route() {
    use ProgressRoute::{Request, Standalone};
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    let session = pair.server.session();
    let own = Route::Post(session.stream_of(call).unwrap());
    let nowhere = Route::Nowhere(NoRoute::OneJsonBody);
    for (roads, progress, related) in [
        (roads(false, false, Request), own, own),
        (roads(false, true, Request), own, own),
        (roads(false, false, Standalone), own, own),
        (roads(false, true, Standalone), Route::Standalone, own),
        (roads(true, false, Request), nowhere, nowhere),
        (roads(true, true, Request), nowhere, nowhere),
        (roads(true, false, Standalone), nowhere, nowhere),
        (roads(true, true, Standalone), Route::Standalone, nowhere),
    ] {
        assert_eq!(session.route(Some(call), MessageKind::Progress, roads), progress, "{roads:?}");
        assert_eq!(session.route(Some(call), MessageKind::Related, roads), related, "{roads:?}");
        assert_eq!(session.route(None, MessageKind::Related, roads), Route::Standalone, "{roads:?}");
        let unknown = Some(CallNo(99));
        let over = Route::Nowhere(NoRoute::CallOver);
        assert_eq!(session.route(unknown, MessageKind::Progress, roads), over, "{roads:?}");
        assert_eq!(session.route(unknown, MessageKind::Related, roads), over, "{roads:?}");
    }
}

#[test]
fn progress_takes_the_standalone_stream_only_while_one_is_read() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.server.roads.progress = ProgressRoute::Standalone;
    let (_, call) = started(&mut pair);
    assert!(matches!(pair.progress(call, 1.0), Some(Route::Post(_))));
    pair.listen();
    pair.settle();
    assert_eq!(pair.progress(call, 2.0), Some(Route::Standalone));
    assert!(
        matches!(pair.log(call, LoggingLevel::Error, &Raw::null()), Some(Route::Post(_))),
        "nothing else does"
    );
}

#[test]
fn a_question_in_one_json_body_fails_at_once() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.server.roads.one_json_body = true;
    let (_, call) = started(&mut pair);
    assert_eq!(pair.ping(Some(call), MINUTE), Err(AskRefused::NoRoute(NoRoute::OneJsonBody)));
    assert_eq!(pair.ping(None, MINUTE).unwrap().route, Route::Standalone, "outside a call there is a way");
}

#[test]
fn what_is_sent_while_nobody_listens_waits() {
    for revision in Revision::LEGACY {
        let mut pair = Pair::new(revision);
        let changed = || ServerNotification::ToolListChanged(Default::default());
        pair.tell(None, MessageKind::Related, changed());
        pair.settle();
        pair.listen();
        pair.settle();
        pair.tell(None, MessageKind::Related, changed());
        pair.settle();
        assert_eq!(pair.client.messages_on(StreamNo::STANDALONE), pair.server.sent[&StreamNo::STANDALONE]);
        let primes = pair.client.arrived.iter().filter(|event| event.text.is_empty()).count();
        assert_eq!(primes, usize::from(revision.primes()), "{revision}");
    }
}
