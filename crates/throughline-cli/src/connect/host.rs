//! The host's side: what it sends, message by message.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use throughline::Client;
use throughline::jsonrpc::{
    self, ErrorCode, ErrorObject, Frame, LineTooLong, Malformed, Message, MetaOutline, Notification,
    ParseLimits, Raw, Request, Response,
};
use throughline::revision::{Revision, is_modern, is_modern_call};

use super::between::settle;
use super::calls::{Calls, fail, refuse};
use super::notes::Notes;
use super::open::unsupported;
use super::out::{Out, Reply};
use super::questions::Questions;
use super::work::Work;
use crate::Stop;
use crate::flags::Target;

/// The program that started this one.
pub(super) struct Host {
    pub(super) target: Target,
    pub(super) out: Out,
    pub(super) questions: Questions,
    calls: Calls,
    notes: Notes,
    work: Work,
    /// What the host opened with `initialize`.
    session: OnceLock<Session>,
    /// For its requests of the era without sessions.
    modern: OnceLock<Client>,
}

/// A session of the host's, whatever the server has.
pub(super) struct Session {
    pub(super) client: Client,
    /// The revision that the host speaks.
    pub(super) revision: Revision,
}

impl Host {
    pub(super) fn new(target: Target, out: Out) -> Self {
        let work = Work::new();
        Self {
            target,
            questions: Questions::new(out.clone()),
            calls: Calls::new(out.clone(), work.clone()),
            notes: Notes::new(work.clone()),
            out,
            work,
            session: OnceLock::new(),
            modern: OnceLock::new(),
        }
    }

    /// Takes a line in, once the host has read what it was sent.
    pub(super) async fn take(self: &Arc<Self>, line: Result<Bytes, LineTooLong>) -> Result<(), Stop> {
        self.out.room().await;
        let reply = Reply::Line(self.out.clone());
        let frame = match line {
            Ok(line) => jsonrpc::parse(&line, &ParseLimits::default()),
            Err(error) => {
                let error = ErrorObject::new(ErrorCode::INVALID_REQUEST, error.to_string());
                fail(&reply, None, &error);
                return Ok(());
            }
        };
        match frame {
            Ok(Frame::Single(message)) => self.take_message(message, reply).await?,
            Ok(Frame::Batch(entries)) => self.take_batch(entries).await?,
            Err(malformed) => self.refuse_malformed(&reply, malformed),
        }
        Ok(())
    }

    /// A batch (2025-03-26 only): its answers are one line
    /// ([batching](https://modelcontextprotocol.io/specification/2025-03-26/basic#batching)).
    async fn take_batch(self: &Arc<Self>, entries: Vec<Result<Message, Malformed>>) -> Result<(), Stop> {
        let why = match self.session.get() {
            _ if entries.iter().flatten().any(is_modern) => NO_BATCHES,
            Some(session) if session.revision.has_batches() => {
                let reply = Reply::to_batch(&self.out);
                for entry in entries {
                    match entry {
                        Ok(message) => self.take_message(message, reply.clone()).await?,
                        Err(malformed) => self.refuse_malformed(&reply, malformed),
                    }
                }
                return Ok(());
            }
            Some(_) => NO_BATCHES,
            None => NOT_INITIALIZED,
        };
        // Whoever waits for an answer gets one, on a line of its own: an array would be a batch again.
        let reply = Reply::Line(self.out.clone());
        let mut answered = false;
        for entry in &entries {
            if let Ok(Message::Request(Request { id, .. })) | Err(Malformed { id: Some(id), .. }) = entry {
                refuse(&reply, Some(id), why);
                answered = true;
            }
        }
        if !answered {
            refuse(&reply, None, why);
        }
        Ok(())
    }

    async fn take_message(self: &Arc<Self>, message: Message, reply: Reply) -> Result<(), Stop> {
        match message {
            Message::Request(request) => return self.take_request(request, reply).await,
            Message::Notification(notification) => self.take_notification(notification),
            Message::Response(response) => {
                if !self.questions.answer(response) {
                    tracing::debug!("the host answered what nobody waits for");
                }
            }
        }
        Ok(())
    }

    async fn take_request(self: &Arc<Self>, request: Request, reply: Reply) -> Result<(), Stop> {
        let (_, meta) = jsonrpc::outlines(request.params.as_ref());
        let meta = meta.unwrap_or_default();
        if is_modern_call(&request.method, &meta) {
            if let Some(client) = self.modern_client(&request, &meta, &reply).await {
                self.calls.begin(&client, request, reply, true);
            }
            return Ok(());
        }
        let session = self.session.get();
        match (&*request.method, session) {
            ("initialize", None) => self.open(&request, &reply).await?,
            ("initialize", Some(_)) => refuse(&reply, Some(&request.id), INITIALIZED),
            ("ping", None) => {
                reply.send(|out| jsonrpc::write_raw_result(out, &request.id, &Raw::empty_object()));
            }
            (_, None) => refuse(&reply, Some(&request.id), NOT_INITIALIZED),
            (method, Some(Session { client, .. })) => {
                if method != "ping" {
                    // Some hosts never say that they are ready.
                    self.out.release();
                }
                // The server may have been replaced by one of the other era since.
                let request = match client.revision().is_modern() {
                    true => settle(client, request, &reply, &self.work),
                    false => Some(request),
                };
                if let Some(request) = request {
                    self.calls.begin(client, request, reply, false);
                }
            }
        }
        Ok(())
    }

    /// The way of a request without a session. `None`: it was answered.
    async fn modern_client(
        self: &Arc<Self>,
        request: &Request,
        meta: &MetaOutline<'_>,
        reply: &Reply,
    ) -> Option<Client> {
        let said = request.params.as_ref().zip(meta.protocol_version);
        if let Some(said) = said.and_then(|(params, part)| params.text_of(part))
            && !Revision::parse(&said).is_some_and(Revision::is_modern)
        {
            fail(reply, Some(&request.id), &unsupported(&said));
            return None;
        }
        if let Some(client) = self.modern.get() {
            return Some(client.clone());
        }
        let client = self.open_modern(request, meta, reply).await?;
        Some(self.modern.get_or_init(|| client).clone())
    }

    fn take_notification(&self, notification: Notification) {
        match (&*notification.method, self.session.get()) {
            ("notifications/cancelled", _) => self.calls.cancel(notification.params.as_ref()),
            // The client sends its own.
            ("notifications/initialized", _) => self.out.release(),
            // A server without sessions takes none.
            (_, Some(Session { client, .. })) if !client.revision().is_modern() => {
                self.notes.pass(client, notification);
            }
            (method, _) => tracing::debug!(method, "a notification of the host has nowhere to go"),
        }
    }

    fn refuse_malformed(&self, reply: &Reply, malformed: Malformed) {
        match malformed.answers {
            // An answer is not answered, but who asked hears of it.
            Some(id) => {
                let why = format!("the host's answer is no message: {}", malformed.error.message);
                let outcome = Err(ErrorObject::new(ErrorCode::INTERNAL_ERROR, why));
                let _asked = self.questions.answer(Response { id: Some(*id), outcome });
            }
            None => fail(reply, malformed.id.as_ref(), &malformed.error),
        }
    }

    pub(super) fn set_session(&self, session: Session) {
        // Lines are taken in one after the other, so there was none.
        let _ = self.session.set(session);
    }

    /// Waits until every call has its answer, and every notification was sent.
    pub(super) async fn done(&self) {
        self.work.done().await;
    }

    /// Takes all calls back, and ends the session with the server.
    pub(super) async fn close(&self) {
        self.calls.give_up().await;
        let session = self.session.get().map(|session| &session.client);
        for client in session.into_iter().chain(self.modern.get()) {
            if let Err(error) = client.close().await {
                tracing::debug!(%error, "the session could not be ended");
            }
        }
    }
}

const NOT_INITIALIZED: &str = "There is no session yet. Send initialize first.";
const INITIALIZED: &str = "The session is initialized already. Start the program anew to open another.";
const NO_BATCHES: &str = "This revision has no batches. Send each message on a line of its own.";
