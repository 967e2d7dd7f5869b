//! Where a client may resume.

use super::*;
use crate::http::RefusalKind;
use crate::model::ServerNotification;

fn tell(pair: &mut Pair) {
    pair.tell(None, MessageKind::Related, ServerNotification::ToolListChanged(Default::default()));
}

#[test]
fn only_places_of_this_session_are_cursors() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    pair.progress(call, 1.0);
    let session = pair.server.session();
    let stream = session.stream_of(call).unwrap();
    let own = session.cursor(stream, 1);
    assert_eq!(session.resume(&own.to_string()), Some(own));
    assert_eq!(
        session.resume(&session.cursor(StreamNo::STANDALONE, 0).to_string()).unwrap().stream,
        StreamNo::STANDALONE
    );

    let foreign = Cursor { tag: own.tag ^ 1, ..own }.to_string();
    let future = Cursor { stream: StreamNo(stream.0 + 1), ..own }.to_string();
    let far = Cursor { stream: StreamNo(u64::MAX), ..own }.to_string();
    let upper = own.to_string().to_uppercase();
    for text in
        [&*foreign, &*future, &*far, &*upper, "", "1", "nonsense", "0badcafe", "0badcafe-1", "0badcafe--1"]
    {
        assert_eq!(pair.server.session().resume(text), None, "{text:?}");
        pair.get(Some(text));
        pair.settle();
        assert_eq!(pair.client.refused.pop().unwrap().kind(), RefusalKind::CursorInvalid, "{text:?}");
    }
}

#[test]
fn a_place_that_the_stream_has_not_reached_is_no_cursor() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    pair.progress(call, 1.0);
    let session = pair.server.session();
    let ahead = session.cursor(session.stream_of(call).unwrap(), 2).to_string();
    pair.get(Some(&ahead));
    pair.settle();
    assert_eq!(pair.client.refused[0].kind(), RefusalKind::CursorInvalid);
}

#[test]
fn at_the_end_of_an_ended_stream_there_is_nothing_to_resume() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    let (_, call) = started(&mut pair);
    let source = pair.client.sources.len() - 1;
    pair.finish(call);
    pair.settle();
    let end = pair.client.sources[source].last_id().unwrap();
    pair.get(Some(&end));
    pair.settle();
    assert_eq!(pair.client.refused[0].kind(), RefusalKind::CursorAtEnd);
}

#[test]
fn who_comes_back_too_late_is_told_what_is_lost_and_gets_the_rest() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    tell(&mut pair);
    pair.settle();
    pair.link.delay = SECOND;
    let source = pair.client.sources.iter().position(|source| source.is_standalone).unwrap();
    pair.cut(source, 0);
    for _ in 0..4 {
        tell(&mut pair);
    }
    pair.trim(StreamNo::STANDALONE, 2);
    pair.settle();
    assert_eq!(pair.client.sources[source].lost, 2);
    let seqs: Vec<_> =
        pair.client.arrived.iter().filter(|event| !event.text.is_empty()).map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 4, 5]);
    assert_sound(&pair);
}

#[test]
fn what_is_held_before_a_hole_is_delivered_and_then_the_loss_is_told() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    pair.settle();
    let source = pair.client.sources.iter().position(|source| source.is_standalone).unwrap();
    pair.link.delay = SECOND;
    pair.link.drop_next = 1;
    pair.cut(source, 0);
    // A request, which is kept, and notifications after it, most of which are dropped.
    pair.server.most_events = 3;
    pair.server.lose_readers();
    pair.ping(None, MINUTE).unwrap();
    for _ in 0..5 {
        tell(&mut pair);
    }
    pair.settle();
    let seqs: Vec<_> =
        pair.client.arrived.iter().filter(|event| !event.text.is_empty()).map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 5, 6]);
    assert_eq!(pair.client.sources[source].lost, 3);
    assert_sound(&pair);
}

#[test]
fn the_newest_reader_of_a_stream_takes_over() {
    let mut pair = Pair::new(Revision::V2025_11_25);
    pair.listen();
    tell(&mut pair);
    pair.settle();
    let before = pair.client.sources.len() - 1;
    let cursor = pair.client.sources[before].last_id().unwrap();
    // The older connection ends, so its source asks again: for this test it is over.
    pair.client.sources[before].is_standalone = false;
    let after = pair.get(Some(&cursor));
    pair.settle();
    tell(&mut pair);
    pair.settle();
    assert_eq!(pair.client.place(before).unwrap().seq, 1);
    assert_eq!(pair.client.place(after).unwrap().seq, 2);
}

#[test]
fn every_event_arrives_once_wherever_a_connection_is_cut() {
    let frames = 3 * 120;
    for kept in (0..frames).step_by(7) {
        let mut pair = Pair::new(Revision::V2025_11_25);
        let (id, call) = started(&mut pair);
        let source = pair.client.sources.len() - 1;
        pair.link.delay = SECOND;
        pair.progress(call, 1.0);
        pair.progress(call, 2.0);
        pair.finish(call);
        pair.cut(source, kept);
        pair.settle();
        assert!(matches!(pair.outcome(&id), Some(Outcome::Result(_))), "{kept}");
        let stream = pair.client.place(source).unwrap().stream;
        assert_eq!(pair.client.messages_on(stream), pair.server.sent[&stream], "{kept}");
        assert_sound(&pair);
    }
}
