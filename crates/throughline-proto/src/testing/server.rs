//! The server's side: a session with a log per stream. It does what the shell does, without its waiting.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::http::{Refusal, RefusalKind};
use crate::jsonrpc::{
    ErrorObject, Frame, Malformed, Message, ParseLimits, Raw, Request, RequestId, Response, Str, outline,
    parse, write_error, write_notification,
};
use crate::log::{Budget, Event, Log, ReadBudget, ReadError};
use crate::model::{Answer, CancelledParams};
use crate::session::{
    AskNo, Begin, CallNo, Cursor, Effect, Expired, Finish, Offer, Refused, Roads, Route, Session,
    SessionLimits, StreamNo,
};
use crate::sse;

use super::link::{Conn, Link, Packet};

/// A call that a test has yet to answer.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) call: CallNo,
    pub(crate) id: RequestId,
    pub(crate) method: Str,
    pub(crate) stream: StreamNo,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(super) offer: Offer,
    pub(super) limits: SessionLimits,
    tag: u32,
    /// How many events the log of a stream may hold.
    pub(crate) most_events: usize,
    pub(crate) session: Option<Session>,
    /// What the transport knows, but for whether the standalone stream is read.
    pub(crate) roads: Roads,
    /// Calls without an answer, the oldest first.
    pub(crate) running: Vec<Running>,
    /// What the client's notifications meant.
    pub(crate) effects: Vec<Effect>,
    /// Answers to requests of ours.
    pub(crate) answers: Vec<(AskNo, Result<Raw, ErrorObject>)>,
    /// Responses that answer nothing.
    pub(crate) unexpected: usize,
    /// Requests of ours that were given up.
    pub(crate) given_up: Vec<Expired>,
    /// Every message of each stream: what a client that loses nothing reads.
    pub(crate) sent: BTreeMap<StreamNo, Vec<String>>,
    streams: BTreeMap<StreamNo, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    log: Log,
    /// The last sequence that was handed to a connection.
    written: u64,
    /// The newest connection, and what it was given.
    reader: Option<(Conn, u64)>,
}

/// What a message of the server is to its stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    pub(super) keep: bool,
    pub(super) ends: bool,
}

impl Server {
    /// `tag` marks the session's cursors.
    pub(super) fn new(offer: Offer, limits: SessionLimits, tag: u32) -> Self {
        Self {
            offer,
            limits,
            tag,
            most_events: usize::MAX,
            session: None,
            roads: Roads::default(),
            running: Vec::new(),
            effects: Vec::new(),
            answers: Vec::new(),
            unexpected: 0,
            given_up: Vec::new(),
            sent: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("`initialize` was answered")
    }

    /// The last sequence of a stream.
    pub(crate) fn head(&self, stream: StreamNo) -> u64 {
        self.streams.get(&stream).map_or(0, |stream| stream.log.head())
    }

    /// The server notices that its connections are lost.
    pub(crate) fn lose_readers(&mut self) {
        self.streams.values_mut().for_each(|stream| stream.reader = None);
    }

    /// How many events the log of the fullest stream holds.
    pub(crate) fn most_held(&self) -> usize {
        self.streams.values().map(|stream| stream.log.len()).max().unwrap_or(0)
    }

    pub(crate) fn is_ended(&self, stream: StreamNo) -> bool {
        self.streams.get(&stream).is_some_and(|stream| stream.log.ended().is_some())
    }

    pub(super) fn roads(&self) -> Roads {
        let standalone = self.streams.get(&StreamNo::STANDALONE);
        Roads { standalone_open: standalone.is_some_and(|stream| stream.reader.is_some()), ..self.roads }
    }

    pub(super) fn handle(&mut self, now: Instant, link: &mut Link, conn: Conn, packet: Packet) {
        let refused = match packet {
            Packet::Post(body) => self.handle_post(now, link, conn, &body),
            Packet::Get(cursor) => self.handle_get(now, link, conn, cursor.as_deref()),
            _ => unreachable!("these go to the client"),
        };
        if let Err(refusal) = refused {
            link.send(now, conn, Packet::Refused(Box::new(refusal)));
        }
    }

    fn handle_post(
        &mut self,
        now: Instant,
        link: &mut Link,
        conn: Conn,
        body: &Bytes,
    ) -> Result<(), Refusal> {
        let frame = parse(body, &ParseLimits::default())?;
        let (entries, is_batch) = match frame {
            Frame::Single(message) => (vec![Ok(message)], false),
            Frame::Batch(entries) => (entries, true),
        };
        if let [Ok(Message::Request(request))] = &entries[..]
            && self.session.is_none()
        {
            return self.initialize(now, link, conn, request);
        }
        let Some(session) = &mut self.session else { return Err(Refusal::new(RefusalKind::UnknownSession)) };
        if is_batch && !session.revision().has_batches() {
            return Err(Refusal::new(RefusalKind::InvalidRequest));
        }
        if !entries.iter().any(|entry| matches!(entry, Ok(Message::Request(_)) | Err(_))) {
            entries.into_iter().flatten().for_each(|message| self.accept(now, message));
            link.send(now, conn, Packet::Accepted);
            return Ok(());
        }
        let stream = session.open_stream();
        for entry in entries {
            match entry {
                Ok(Message::Request(request)) => {
                    if let Err(refusal) = self.begin(now, link, stream, &request) {
                        if !is_batch {
                            return Err(refusal.with_id(request.id));
                        }
                        self.answer(now, link, stream, &request.id, Err(refusal.error()), false);
                    }
                }
                Ok(message) => self.accept(now, message),
                Err(Malformed { id, error, .. }) => {
                    let mut out = BytesMut::new();
                    write_error(&mut out, id.as_ref(), &error);
                    self.send(now, link, stream, &out, Weight { keep: true, ends: false });
                }
            }
        }
        if !self.running.iter().any(|running| running.stream == stream) {
            self.end(now, link, stream);
        }
        self.attach(now, link, stream, conn, 0);
        Ok(())
    }

    fn initialize(
        &mut self,
        now: Instant,
        link: &mut Link,
        conn: Conn,
        request: &Request,
    ) -> Result<(), Refusal> {
        if request.method != "initialize" {
            return Err(Refusal::new(RefusalKind::MissingSession));
        }
        let opened = Session::open(request.params.as_ref(), &self.offer, self.tag, self.limits);
        let (session, result) = opened.map_err(|error| {
            Refusal::new(RefusalKind::InvalidParams).with_message(error.message).with_id(request.id.clone())
        })?;
        let stream = self.session.insert(session).open_first_stream();
        self.attach(now, link, stream, conn, 0);
        self.answer(now, link, stream, &request.id, Ok(result.into()), true);
        Ok(())
    }

    fn begin(
        &mut self,
        now: Instant,
        link: &mut Link,
        stream: StreamNo,
        request: &Request,
    ) -> Result<(), Refusal> {
        let begun = match outline(request.params.as_ref()) {
            Ok(outline) => self.session().handle_request(stream, request, &outline),
            Err(error) => Begin::Fail(error),
        };
        match begun {
            Begin::Run(call) => {
                self.running.push(Running {
                    call,
                    id: request.id.clone(),
                    method: request.method.clone(),
                    stream,
                });
            }
            Begin::Answer(answer) => self.answer(now, link, stream, &request.id, Ok(answer), false),
            Begin::Fail(error) => self.answer(now, link, stream, &request.id, Err(error), false),
            Begin::Refuse(Refused::DuplicateId) => return Err(Refusal::new(RefusalKind::DuplicateRequestId)),
            Begin::Refuse(Refused::TooManyCalls { .. }) => {
                return Err(Refusal::new(RefusalKind::RequestsFull));
            }
        }
        Ok(())
    }

    fn accept(&mut self, now: Instant, message: Message) {
        match message {
            Message::Notification(notification) => {
                let effect = self.session().handle_notification(now, &notification);
                self.effects.push(effect);
            }
            Message::Response(response) => self.handle_response(response),
            Message::Request(_) => unreachable!("a request is begun"),
        }
    }

    fn handle_response(&mut self, response: Response) {
        match self.session().handle_response(&response) {
            Some(ask) => self.answers.push((ask, response.outcome)),
            None => self.unexpected += 1,
        }
    }

    fn handle_get(
        &mut self,
        now: Instant,
        link: &mut Link,
        conn: Conn,
        cursor: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(session) = &self.session else { return Err(Refusal::new(RefusalKind::UnknownSession)) };
        let Some(cursor) = cursor else {
            let stream = self.streams.entry(StreamNo::STANDALONE).or_default();
            let written = match stream.log.first_gap(stream.written) {
                // It has no cursor that could be refused: it begins with the oldest event held.
                Ok(Some(gap)) if gap.first() == stream.written + 1 => gap.oldest - 1,
                _ => stream.written,
            };
            self.attach(now, link, StreamNo::STANDALONE, conn, written);
            return Ok(());
        };
        let invalid = || Refusal::new(RefusalKind::CursorInvalid);
        let cursor = session.resume(cursor).ok_or_else(invalid)?;
        let stream = self.streams.get(&cursor.stream).ok_or_else(invalid)?;
        match stream.log.first_gap(cursor.seq) {
            Err(_) => return Err(invalid()),
            Ok(Some(gap)) if gap.first() == cursor.seq + 1 => {
                let oldest = Cursor { seq: gap.oldest - 1, ..cursor };
                return Err(Refusal::cursor_gone(&oldest.to_string(), gap.count));
            }
            // What is held before a hole is delivered first.
            Ok(_) => {}
        }
        if stream.log.ended().is_some() && cursor.seq == stream.log.head() {
            return Err(Refusal::new(RefusalKind::CursorAtEnd));
        }
        self.take_over(now, link, cursor.stream, conn, cursor.seq);
        self.flush(now, link, cursor.stream);
        Ok(())
    }

    /// A connection that came without a cursor: it is primed, where the revision primes.
    fn attach(&mut self, now: Instant, link: &mut Link, stream: StreamNo, conn: Conn, after: u64) {
        let session = self.session();
        if session.revision().primes() {
            let mut out = BytesMut::new();
            sse::write_prime(&mut out, session.cursor(stream, after).text(), None);
            link.send(now, conn, Packet::Bytes(out.freeze()));
        }
        self.take_over(now, link, stream, conn, after);
        self.flush(now, link, stream);
    }

    /// The newest connection reads on; the one before it ends.
    fn take_over(&mut self, now: Instant, link: &mut Link, stream: StreamNo, conn: Conn, after: u64) {
        let stream = self.streams.entry(stream).or_default();
        if let Some((before, _)) = stream.reader.replace((conn, after)) {
            link.send(now, before, Packet::End);
        }
    }

    /// Answers a request; the response ends its stream when it is the `last`.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        link: &mut Link,
        stream: StreamNo,
        id: &RequestId,
        outcome: Result<Answer, ErrorObject>,
        last: bool,
    ) {
        let mut out = BytesMut::new();
        match outcome {
            Ok(mut answer) => self.session().revision().write_answer(&mut out, id, &mut answer).unwrap(),
            Err(error) => write_error(&mut out, Some(id), &error),
        }
        self.send(now, link, stream, &out, Weight { keep: true, ends: last });
    }

    /// A call is finished.
    pub(super) fn done(
        &mut self,
        now: Instant,
        link: &mut Link,
        call: CallNo,
        outcome: Result<Answer, ErrorObject>,
    ) -> Option<Finish> {
        self.running.retain(|running| running.call != call);
        let finish = self.session().handle_done(call)?;
        for ask in &finish.given_up {
            self.take_back(now, link, ask.clone());
        }
        match &finish.answer {
            Some(id) => self.answer(now, link, finish.stream, id, outcome, finish.last),
            None if finish.last => self.end(now, link, finish.stream),
            None => {}
        }
        Some(finish)
    }

    /// Tells the client that a request of ours needs no answer any more.
    pub(super) fn take_back(&mut self, now: Instant, link: &mut Link, ask: Expired) {
        let params = CancelledParams::new(ask.ask.request_id());
        let mut out = BytesMut::new();
        write_notification(&mut out, "notifications/cancelled", Some(&params)).unwrap();
        self.send_by(now, link, ask.route, &out, Weight { keep: false, ends: false });
        self.given_up.push(ask);
    }

    pub(super) fn send_by(
        &mut self,
        now: Instant,
        link: &mut Link,
        route: Route,
        message: &[u8],
        weight: Weight,
    ) {
        match route {
            Route::Post(stream) => self.send(now, link, stream, message, weight),
            Route::Standalone => self.send(now, link, StreamNo::STANDALONE, message, weight),
            Route::Nowhere(_) => {}
        }
    }

    fn send(&mut self, now: Instant, link: &mut Link, number: StreamNo, message: &[u8], weight: Weight) {
        let seq = self.head(number) + 1;
        let id = self.session().cursor(number, seq).text();
        let mut frame = BytesMut::new();
        sse::write_event(&mut frame, Some(&id), message);
        let stream = self.streams.entry(number).or_default();
        let event = Event { seq, keep: weight.keep, frame: frame.freeze() };
        stream.log.append(&[event]).expect("nothing is sent on a stream that has ended");
        if weight.ends {
            stream.log.end(now);
        }
        let message = String::from_utf8(message.to_vec()).expect("JSON is UTF-8");
        self.sent.entry(number).or_default().push(message);
        self.flush(now, link, number);
        self.trim(number, self.most_events);
    }

    fn end(&mut self, now: Instant, link: &mut Link, number: StreamNo) {
        self.streams.entry(number).or_default().log.end(now);
        self.flush(now, link, number);
    }

    /// Gives the reader of a stream all that is there.
    fn flush(&mut self, now: Instant, link: &mut Link, number: StreamNo) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let Some((conn, after)) = &mut stream.reader else { return };
        loop {
            let page = match stream.log.read(*after, ReadBudget { events: 2, bytes: usize::MAX }) {
                Ok(page) => page,
                // It is behind what is held: it comes back and is told.
                Err(ReadError::Dropped(_)) => {
                    link.send(now, *conn, Packet::End);
                    stream.reader = None;
                    return;
                }
                Err(error) => panic!("{error}"),
            };
            for event in &page.events {
                link.send(now, *conn, Packet::Bytes(event.frame.clone()));
                *after = event.seq;
            }
            stream.written = stream.written.max(*after);
            if page.ended {
                link.send(now, *conn, Packet::End);
                stream.reader = None;
                return;
            }
            if page.events.is_empty() {
                return;
            }
        }
    }

    /// Has a stream drop events down to `events`.
    pub(super) fn trim(&mut self, number: StreamNo, events: usize) {
        let stream = self.streams.get_mut(&number).expect("the stream has events");
        stream.log.trim(Budget { events, bytes: usize::MAX }, stream.written);
    }
}
