//! stdio: newline-delimited messages over standard input and output.
//!
//! Specification: [with sessions](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio),
//! [without](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/stdio).
//!
//! ```text
//!   stdin --> LineDecoder --> Desk --> calls, each a task when it takes time
//!                               |        |
//!                               v        v
//!   stdout <-- one task <------- Pipe (every message a line, in order)
//! ```

mod desk;
mod modern;
mod standard;

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use throughline_proto::jsonrpc::{LineDecoder, ParseLimits};
use throughline_proto::model::LoggingLevel;
use throughline_proto::session::SessionLimits;
use throughline_proto::stateless::KeyRing;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::era::Era;
use super::pipe::Pipe;
use crate::handler::{Handler, Principal, Server};
use crate::runtime;
use desk::Desk;

/// Serves a handler to the program that started this one, over standard input and output: `.await` it.
///
/// There is one session, from the client's `initialize` to the end of its input. Everything that a session over HTTP can do
/// works here too; only nothing can be resumed, because a lost process loses its session. A client of the modern era needs no
/// session: each of its requests is served by itself, and both eras may be spoken at the same time.
///
/// ```no_run
/// use throughline::{Server, tool};
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     Server::new("hello", "1.0.0").tool(tool("hello", || async { "Hello!" })).stdio().await
/// }
/// ```
///
/// Standard output belongs to the protocol: a `println!` of yours would break it. Write logs to standard error.
///
/// It ends, without an error, when the input ends, when [`shutdown_on`](Self::shutdown_on) says so, and when the client no
/// longer reads the output. Calls that run then may finish for a moment, see [`grace`](Self::grace), and are dropped after
/// it.
///
/// # Errors
///
/// When standard input cannot be read, or standard output not written, for another reason than that the client is gone; and
/// when the system gives no threads to do so.
///
/// # Cancel safety
///
/// Dropping it ends the session: calls that run are dropped, and what was not written is lost.
#[must_use = "nothing is served unless awaited"]
pub struct Stdio {
    handler: Arc<dyn Handler>,
    config: Config,
    ends: Option<(Reader, Writer)>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    grace: Duration,
    max_line: usize,
}

struct Config {
    parse: ParseLimits,
    session: SessionLimits,
    log_level: LoggingLevel,
    principal: Option<Principal>,
    era: Era,
    seal: Arc<KeyRing>,
}

type Reader = Pin<Box<dyn AsyncRead + Send>>;
type Writer = Pin<Box<dyn AsyncWrite + Send>>;

impl Server {
    /// Serves over standard input and output, for clients that start their servers as programs: `.await` it.
    pub fn stdio(self) -> Stdio {
        Stdio::new(self)
    }
}

impl Stdio {
    /// Serves this handler, with all defaults.
    pub fn new(handler: impl Handler) -> Self {
        Self {
            handler: Arc::new(handler),
            config: Config {
                parse: ParseLimits::default(),
                session: SessionLimits::default(),
                log_level: LoggingLevel::Warning,
                principal: None,
                era: Era::default(),
                seal: Arc::new(KeyRing::new(runtime::random())),
            },
            ends: None,
            stop: Box::pin(pending()),
            grace: GRACE,
            max_line: MAX_LINE,
        }
    }

    /// Serves over this reader and writer instead: both ends of a socket, or of a pipe in memory.
    ///
    /// ```
    /// use throughline::{Server, Stdio};
    /// use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex, split};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (client, server) = duplex(4096);
    /// let (reader, writer) = split(server);
    /// let serving = tokio::spawn(Stdio::new(Server::new("demo", "1.0.0")).over(reader, writer).into_future());
    ///
    /// let (reader, mut writer) = split(client);
    /// writer.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").await?;
    /// let answer = BufReader::new(reader).lines().next_line().await?;
    /// assert_eq!(answer.as_deref(), Some(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
    ///
    /// writer.shutdown().await?;
    /// serving.await.expect("it does not panic")
    /// # }
    /// ```
    pub fn over(
        mut self,
        reader: impl AsyncRead + Send + 'static,
        writer: impl AsyncWrite + Send + 'static,
    ) -> Self {
        self.ends = Some((Box::pin(reader), Box::pin(writer)));
        self
    }

    /// Stops when `stop` ends, as if the input had ended.
    pub fn shutdown_on(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stop = Box::pin(stop);
        self
    }

    /// How long running calls may take to finish at the end. Default: 1 s, because clients kill a server that has not ended
    /// two seconds after its input did.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The longest line in bytes; a longer one is answered with an error and skipped. Default: 4 MiB.
    pub fn max_line(mut self, bytes: usize) -> Self {
        self.max_line = bytes;
        self
    }

    /// Bounds of the session. Default: 64 requests in flight either way, 1,024 subscriptions. As many requests may be in flight
    /// beside it that belong to none, those that listen among them.
    pub fn session_limits(mut self, limits: SessionLimits) -> Self {
        self.config.session = limits;
        self
    }

    /// The level below which log messages are not sent until the client sets one. Default: `warning`.
    pub fn log_level(mut self, level: LoggingLevel) -> Self {
        self.config.log_level = level;
        self
    }

    /// Whom the client is proven to be, where something proves it: whoever may start this program is trusted as this user.
    /// Default: nobody.
    pub fn principal(mut self, principal: Principal) -> Self {
        self.config.principal = Some(principal);
        self
    }

    /// Which clients are served: those that open a session with `initialize`, those that need none, or both by what each
    /// line is. Default: [`Era::Hybrid`].
    pub fn era(mut self, era: Era) -> Self {
        self.config.era = era;
        self
    }

    /// The keys that seal what a call carries from round to round, as over HTTP
    /// ([`Builder::seal_key`](crate::Builder::seal_key)): give it where a client may start the program anew between two.
    /// Default: a random key.
    pub fn seal_key(mut self, keys: KeyRing) -> Self {
        self.config.seal = Arc::new(keys);
        self
    }

    async fn run(self) -> io::Result<()> {
        let Self { handler, config, ends, mut stop, grace, max_line } = self;
        let (reader, writer) = match ends {
            Some(ends) => ends,
            None => standard::open()?,
        };
        let desk = Desk::open(handler, config);
        let (write_ended, mut written) = oneshot::channel();
        let pipe = Arc::clone(desk.pipe());
        let writing = runtime::spawn(async move {
            let ended = write_lines(&pipe, writer).await;
            pipe.break_off();
            let _ = write_ended.send(ended);
        });
        let guard = EndOnDrop { desk: Arc::clone(&desk), writing };

        let read = tokio::select! {
            read = read_lines(&desk, reader, max_line) => read,
            () = &mut stop => Ok(()),
            ended = &mut written => return unless_gone(ended.unwrap_or(Ok(()))),
        };
        // What is asked from now on nobody can answer.
        desk.fall_silent();
        if tokio::time::timeout(grace, desk.finished()).await.is_err() {
            tracing::warn!(
                in_flight = desk.in_flight(),
                "calls did not finish within the grace period and are dropped"
            );
        }
        desk.end();
        let farewell = async {
            // Those that were dropped are answered with an error.
            desk.finished().await;
            desk.listeners_told().await;
            desk.pipe().end();
            written.await
        };
        let ended = match tokio::time::timeout(FAREWELL, farewell).await {
            Ok(Ok(ended)) => ended,
            // The client does not read, or a call does not let go.
            Ok(Err(_)) | Err(_) => Ok(()),
        };
        drop(guard);
        read.and(unless_gone(ended))
    }
}

impl IntoFuture for Stdio {
    type Output = io::Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for Stdio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stdio")
            .field("grace", &self.grace)
            .field("max_line", &self.max_line)
            .finish_non_exhaustive()
    }
}

/// Ends the session when it is served no more, however that came.
struct EndOnDrop {
    desk: Arc<Desk>,
    writing: AbortHandle,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.desk.end();
        self.desk.pipe().break_off();
        self.writing.abort();
    }
}

/// Takes lines in until the input ends.
async fn read_lines(desk: &Arc<Desk>, mut reader: Reader, max_line: usize) -> io::Result<()> {
    let mut lines = LineDecoder::new(max_line);
    let mut chunk = vec![0; CHUNK];
    loop {
        while let Some(line) = lines.next_line() {
            desk.take_in(line).await;
            poll_fn(|cx| desk.pipe().poll_room(cx)).await;
            if desk.in_flight() > 0 {
                // What was begun gets on before more is begun.
                tokio::task::yield_now().await;
            }
        }
        let count = reader.read(&mut chunk).await?;
        if count == 0 {
            break;
        }
        lines.push(&chunk[..count]);
    }
    if let Some(line) = lines.finish() {
        desk.take_in(line).await;
    }
    Ok(())
}

/// Writes what is sent until its end: everything that is ready in one write.
async fn write_lines(pipe: &Pipe, mut writer: Writer) -> io::Result<()> {
    let mut lines = BytesMut::new();
    while poll_fn(|cx| pipe.poll_take(&mut lines, cx)).await {
        writer.write_all(&lines).await?;
        writer.flush().await?;
    }
    writer.shutdown().await
}

/// A client that is gone is no error: that is how it ends its server.
fn unless_gone(ended: io::Result<()>) -> io::Result<()> {
    ended.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::WriteZero => Ok(()),
        _ => Err(error),
    })
}

/// As long as a body over HTTP.
const MAX_LINE: usize = 4 * 1024 * 1024;
/// What a pipe holds on Linux: all that a client can have written at once.
const CHUNK: usize = 64 * 1024;
/// With [`FAREWELL`] it stays below the two seconds after which clients kill a server.
const GRACE: Duration = Duration::from_secs(1);
/// How long the last answers may take to be written.
const FAREWELL: Duration = Duration::from_millis(500);
