//! What lies between client and server.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::http::Refusal;

/// One HTTP exchange: a request of the client and the server's response to it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Conn(u64);

/// What is on the way.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// To the server: a body.
    Post(Bytes),
    /// To the server: a stream is wanted, after this `Last-Event-ID` if there is one.
    Get(Option<String>),
    /// To the client: taken in, nothing follows.
    Accepted,
    /// To the client: an error instead of a stream.
    Refused(Box<Refusal>),
    /// To the client: the next bytes of an event stream.
    Bytes(Bytes),
    /// To the client: the response is complete.
    End,
    /// The client notices that the connection is lost.
    Broken,
}

/// Carries packets, each with a delay. Those of one connection never overtake each other.
#[derive(Debug, Default)]
pub(crate) struct Link {
    /// How long what is sent from now on is on the way.
    pub(crate) delay: Duration,
    /// How many of the client's next requests are lost. The client sees a connection that fails.
    pub(crate) drop_next: usize,
    /// How many of the client's next requests arrive twice, the second time on a connection that nobody reads.
    pub(crate) duplicate_next: usize,
    conns: u64,
    sent: u64,
    packets: BTreeMap<(Instant, u64), (Conn, Packet)>,
}

impl Link {
    /// Sends a request of the client.
    pub(crate) fn open(&mut self, now: Instant, request: Packet) -> Conn {
        let conn = self.new_conn();
        if self.drop_next > 0 {
            self.drop_next -= 1;
            self.send(now, conn, Packet::Broken);
            return conn;
        }
        self.send(now, conn, request.clone());
        if self.duplicate_next > 0 {
            self.duplicate_next -= 1;
            let copy = self.new_conn();
            self.send(now, copy, request);
        }
        conn
    }

    pub(crate) fn send(&mut self, now: Instant, conn: Conn, packet: Packet) {
        let before = self.packets.iter().rev().find(|(_, (of, _))| *of == conn).map(|((at, _), _)| *at);
        let at = before.map_or(now + self.delay, |before| before.max(now + self.delay));
        self.sent += 1;
        self.packets.insert((at, self.sent), (conn, packet));
    }

    /// When the next packet arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.packets.keys().next().map(|(at, _)| *at)
    }

    /// Takes out a packet that has arrived.
    pub(crate) fn arrive(&mut self, now: Instant) -> Option<(Conn, Packet)> {
        let first = self.packets.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Takes out all that is on the way on a connection.
    pub(crate) fn cut(&mut self, conn: Conn) -> Vec<Packet> {
        let keys: Vec<_> =
            self.packets.iter().filter(|(_, (of, _))| *of == conn).map(|(key, _)| *key).collect();
        keys.iter().filter_map(|key| self.packets.remove(key)).map(|(_, packet)| packet).collect()
    }

    fn new_conn(&mut self) -> Conn {
        self.conns += 1;
        Conn(self.conns)
    }
}
