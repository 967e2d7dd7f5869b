//! What was typed of who this is, for a server that asks, and of the commands about logins.

use std::fs;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use throughline::auth::ScopeSet;
use tracing_subscriber::EnvFilter;

use super::args::{LogFormat, Secret};
use super::client::Output;
use super::secret;
use super::target::check_address;
use crate::Stop;

/// Who this is.
#[derive(Debug, ClapArgs)]
pub(super) struct WhoArgs {
    /// Send this access token or key, or the one in @FILE, instead of logging in.
    #[arg(long, value_name = "TOKEN", env = "THROUGHLINE_BEARER", hide_env_values = true)]
    bearer: Option<Secret>,

    /// Neither log in where the server asks for it, nor use a login that is kept.
    #[arg(long, env = "THROUGHLINE_NO_LOGIN", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    no_login: bool,

    #[command(flatten)]
    how: HowArgs,

    #[command(flatten)]
    account: AccountArgs,
}

/// How to log in.
#[derive(Debug, Default, ClapArgs)]
struct HowArgs {
    /// How to log in.
    #[arg(
        long,
        value_name = "WAY",
        env = "THROUGHLINE_LOGIN_BY",
        hide_env_values = true,
        default_value = "browser"
    )]
    login_by: Way,

    /// Show the address of the page to log in at, and open no browser. The variable BROWSER names another browser than the
    /// system's.
    #[arg(long, env = "THROUGHLINE_NO_BROWSER", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    no_browser: bool,

    /// Log in as this client, which is known to the authorization server or, if it is an https address, described there
    /// [default: one that registers itself].
    #[arg(long, value_name = "ID", env = "THROUGHLINE_CLIENT_ID", hide_env_values = true)]
    client_id: Option<String>,

    /// The secret of that client, or @FILE that holds it.
    #[arg(long, value_name = "SECRET", env = "THROUGHLINE_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<Secret>,

    /// Where that client is sent back to, such as http://127.0.0.1:8765/callback [default: any free port].
    #[arg(long, value_name = "URL", env = "THROUGHLINE_REDIRECT_URI", hide_env_values = true)]
    redirect_uri: Option<String>,

    /// Ask for this scope when logging in; may be repeated [default: as the server says].
    #[arg(
        long,
        value_name = "SCOPE",
        env = "THROUGHLINE_SCOPE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    scope: Vec<String>,
}

/// By what somebody logs in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Way {
    /// A person, with a browser that can reach this machine.
    #[default]
    Browser,
    /// A person, who enters a code in a browser on any device.
    Device,
    /// The client itself, by its secret: nobody is asked.
    Client,
}

#[derive(Debug, ClapArgs)]
struct AccountArgs {
    /// Tells several logins at one server apart.
    #[arg(long, value_name = "NAME", env = "THROUGHLINE_ACCOUNT", hide_env_values = true)]
    account: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct LoginArgs {
    #[command(flatten)]
    at: AtArgs,

    #[command(flatten)]
    how: HowArgs,
}

/// Of which server, and how it is said.
#[derive(Debug, ClapArgs)]
pub(super) struct AtArgs {
    /// Address of the server, such as https://mcp.example.com/mcp.
    #[arg(value_name = "URL")]
    url: String,

    /// What is printed to standard output.
    #[arg(
        long,
        short,
        value_name = "FORMAT",
        env = "THROUGHLINE_OUTPUT",
        hide_env_values = true,
        default_value = "text"
    )]
    output: Output,

    #[command(flatten)]
    account: AccountArgs,

    /// Trust the certificates in this PEM file too; may be repeated.
    #[arg(long, value_name = "FILE")]
    root_cert: Vec<PathBuf>,

    /// What is logged to standard error: a level, or a filter such as warn,throughline=debug.
    #[arg(
        long,
        value_name = "FILTER",
        env = "THROUGHLINE_LOG",
        hide_env_values = true,
        default_value = "warn"
    )]
    log: String,

    /// How it is logged.
    #[arg(
        long,
        value_name = "FORMAT",
        env = "THROUGHLINE_LOG_FORMAT",
        hide_env_values = true,
        default_value = "human"
    )]
    log_format: LogFormat,
}

/// Who this is, for a server that asks.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// Whoever has this token.
    Bearer(Secret),
    /// Nobody.
    Nobody,
    /// Whoever logs in.
    Login(Login),
}

/// How to log in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) by: Way,
    pub(crate) browser: bool,
    pub(crate) client: Option<(String, Option<Secret>)>,
    pub(crate) redirect_uri: Option<String>,
    pub(crate) scopes: ScopeSet,
    pub(crate) account: Option<String>,
}

/// Something about the login at a server.
#[derive(Debug)]
pub(crate) struct At {
    pub(crate) url: String,
    pub(crate) what: What,
    pub(crate) output: Output,
    pub(crate) login: Login,
    /// PEM texts.
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) log: EnvFilter,
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum What {
    LogIn,
    LogOut,
    Tell,
}

impl Who {
    pub(super) fn check(args: WhoArgs) -> Result<Self, Stop> {
        // A variable that is set to nothing holds no token.
        if let Some(token) = args.bearer.filter(|given| !given.0.is_empty()) {
            return Ok(Self::Bearer(secret::read("--bearer", token)?));
        }
        Ok(if args.no_login { Self::Nobody } else { Self::Login(Login::check(args.how, args.account)?) })
    }
}

impl Login {
    fn check(args: HowArgs, account: AccountArgs) -> Result<Self, Stop> {
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let secret = args.client_secret.filter(|given| !given.0.is_empty());
        let secret = secret.map(|given| secret::read("--client-secret", given)).transpose()?;
        let client = match (text(args.client_id), secret) {
            (Some(id), secret) => Some((id, secret)),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(Stop::usage("error: --client-secret: say whose secret it is, with --client-id."));
            }
        };
        if args.login_by == Way::Client && !matches!(client, Some((_, Some(_)))) {
            return Err(Stop::usage(
                "error: --login-by client: say who the client is, with --client-id and --client-secret @FILE.",
            ));
        }
        let scopes = args.scope.iter().filter(|scope| !scope.is_empty());
        let scopes =
            ScopeSet::of(scopes).map_err(|error| Stop::usage(format!("error: --scope: {error}.")))?;
        Ok(Self {
            by: args.login_by,
            browser: !args.no_browser,
            client,
            redirect_uri: text(args.redirect_uri),
            scopes,
            account: text(account.account),
        })
    }
}

impl At {
    /// To log in.
    pub(super) fn login(args: LoginArgs) -> Result<Self, Stop> {
        Self::of(What::LogIn, args.at, args.how)
    }

    /// To do something with the login that is there.
    pub(super) fn kept(what: What, args: AtArgs) -> Result<Self, Stop> {
        Self::of(what, args, HowArgs::default())
    }

    fn of(what: What, args: AtArgs, how: HowArgs) -> Result<Self, Stop> {
        check_address(&args.url, "")?;
        Ok(Self {
            what,
            url: args.url,
            output: args.output,
            login: Login::check(how, args.account)?,
            roots: read_roots(&args.root_cert)?,
            log: check_log(&args.log)?,
            log_format: args.log_format,
        })
    }
}

/// The PEM texts in these files.
pub(super) fn read_roots(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, Stop> {
    let read = |file: &PathBuf| {
        fs::read(file).map_err(|error| {
            Stop::usage(format!("error: --root-cert: {} cannot be read: {error}", file.display()))
        })
    };
    files.iter().map(read).collect()
}

pub(super) fn check_log(filter: &str) -> Result<EnvFilter, Stop> {
    EnvFilter::try_new(filter)
        .map_err(|error| Stop::usage(format!("error: --log: `{filter}` is no filter: {error}")))
}
