//! What was typed of who may come to a server, and over what.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args as ClapArgs, ValueEnum};
use http::Uri;

use super::args::Secret;
use super::secret;
use crate::Stop;

#[derive(Debug, ClapArgs)]
pub(super) struct GuardArgs {
    /// Who may come to the endpoint and to /metrics; /healthz and /readyz stay open.
    #[arg(
        long,
        value_name = "HOW",
        env = "THROUGHLINE_AUTH",
        hide_env_values = true,
        default_value = "none"
    )]
    auth: Auth,

    /// Address of the endpoint as clients know it, such as https://mcp.example.com/mcp: the tokens that they bring must be
    /// for it, and its host is answered to [default: the address that is listened at].
    #[arg(long, value_name = "URL", env = "THROUGHLINE_PUBLIC_URL", hide_env_values = true)]
    public_url: Option<String>,

    /// With --auth key: the keys that open the server, as `throughline key new` prints them for it: one on each line, its digest
    /// and then a name and scopes. The file is read at the start.
    #[arg(long, value_name = "FILE", env = "THROUGHLINE_AUTH_KEY_FILE", hide_env_values = true)]
    auth_key_file: Option<PathBuf>,

    /// With --auth jwt or introspect: address of the authorization server that gives out the tokens, exactly as it names itself.
    #[arg(long, value_name = "URL", env = "THROUGHLINE_AUTH_ISSUER", hide_env_values = true)]
    auth_issuer: Option<String>,

    /// With --auth jwt: address of the keys that tokens are signed with [default: as the issuer's metadata say].
    #[arg(long, value_name = "URL", env = "THROUGHLINE_AUTH_JWKS_URL", hide_env_values = true)]
    auth_jwks_url: Option<String>,

    /// Take tokens for this audience too; may be repeated [default: those for the public address alone].
    #[arg(
        long,
        value_name = "AUDIENCE",
        env = "THROUGHLINE_AUTH_AUDIENCE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    auth_audience: Vec<String>,

    /// With --auth introspect: address where tokens are asked about.
    #[arg(long, value_name = "URL", env = "THROUGHLINE_AUTH_INTROSPECTION_URL", hide_env_values = true)]
    auth_introspection_url: Option<String>,

    /// With --auth introspect: who this server is to the authorization server.
    #[arg(long, value_name = "ID", env = "THROUGHLINE_AUTH_CLIENT_ID", hide_env_values = true)]
    auth_client_id: Option<String>,

    /// With --auth introspect: its secret there, or @FILE that holds it.
    #[arg(long, value_name = "SECRET", env = "THROUGHLINE_AUTH_CLIENT_SECRET", hide_env_values = true)]
    auth_client_secret: Option<Secret>,

    /// With --auth proxy: an address or a network that the proxy connects from, such as 10.0.0.0/24; may be repeated.
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "THROUGHLINE_AUTH_PROXY",
        hide_env_values = true,
        value_delimiter = ','
    )]
    auth_proxy: Vec<String>,

    /// With --auth proxy: the header in which it names who sends a request.
    #[arg(
        long,
        value_name = "HEADER",
        env = "THROUGHLINE_AUTH_PROXY_HEADER",
        hide_env_values = true,
        default_value = "X-Forwarded-User"
    )]
    auth_proxy_header: String,

    /// Require this scope of whoever comes; may be repeated.
    #[arg(
        long,
        value_name = "SCOPE",
        env = "THROUGHLINE_AUTH_SCOPE",
        hide_env_values = true,
        value_delimiter = ','
    )]
    auth_scope: Vec<String>,

    /// Speak HTTPS with the certificate in this PEM file, the server's first and then those of its authorities. It is read again on
    /// SIGHUP and once a minute, so a renewed one needs no restart.
    #[arg(long, value_name = "FILE", env = "THROUGHLINE_TLS_CERT", hide_env_values = true)]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate, a PEM file without a passphrase.
    #[arg(long, value_name = "FILE", env = "THROUGHLINE_TLS_KEY", hide_env_values = true)]
    tls_key: Option<PathBuf>,

    /// Listen where other machines can reach the server although it asks nobody who they are: for a network, or a proxy, that
    /// decides who may come.
    #[arg(long, env = "THROUGHLINE_INSECURE_OPEN", hide_env_values = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    insecure_open: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Auth {
    /// Everybody.
    None,
    /// Those with a key of yours.
    Key,
    /// Those with a signed token (JWT) of an authorization server.
    Jwt,
    /// Those with a token that the authorization server says is good.
    Introspect,
    /// Those whom a proxy in front lets through.
    Proxy,
}

/// Who may come, and over what.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub(crate) lock: Option<Lock>,
    pub(crate) public_url: Option<String>,
    pub(crate) tls: Option<TlsFiles>,
    /// Everybody may, from other machines too.
    pub(crate) insecure_open: bool,
}

#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) by: By,
    pub(crate) audiences: Vec<String>,
    pub(crate) scopes: Vec<String>,
}

/// How it is known who comes.
#[derive(Debug)]
pub(crate) enum By {
    Keys(PathBuf),
    Jwt { issuer: String, jwks: Option<String> },
    Introspection { issuer: String, address: String, client: String, secret: Secret },
    Proxy { networks: Vec<String>, header: String },
}

#[derive(Debug)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Guard {
    pub(super) fn check(args: GuardArgs) -> Result<Self, Stop> {
        // What a variable is set to that is set to nothing.
        let path = |file: Option<PathBuf>| file.filter(|file| !file.as_os_str().is_empty());
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        let list = |list: Vec<String>| list.into_iter().filter(|item| !item.is_empty()).collect::<Vec<_>>();
        let auth = args.auth;
        let name = auth.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let missing =
            |flag: &str, what: &str| Stop::usage(format!("error: --auth {name}: {what}, with {flag}."));

        let keys = path(args.auth_key_file);
        let issuer = text(args.auth_issuer);
        let jwks = text(args.auth_jwks_url);
        let address = text(args.auth_introspection_url);
        let client = text(args.auth_client_id);
        let networks = list(args.auth_proxy);
        let audiences = list(args.auth_audience);
        // A lock that somebody thinks is there must not be missing because of a word.
        for (given, flag, wants) in [
            (keys.is_some(), "--auth-key-file", &[Auth::Key][..]),
            (issuer.is_some(), "--auth-issuer", &[Auth::Jwt, Auth::Introspect]),
            (jwks.is_some(), "--auth-jwks-url", &[Auth::Jwt]),
            (address.is_some(), "--auth-introspection-url", &[Auth::Introspect]),
            (client.is_some(), "--auth-client-id", &[Auth::Introspect]),
            (!audiences.is_empty(), "--auth-audience", &[Auth::Jwt, Auth::Introspect]),
            (!networks.is_empty(), "--auth-proxy", &[Auth::Proxy]),
        ] {
            if given && !wants.contains(&auth) {
                let wants = wants.iter().filter_map(|auth| auth.to_possible_value());
                let wants = wants.map(|value| format!("--auth {}", value.get_name())).collect::<Vec<_>>();
                return Err(Stop::usage(format!(
                    "error: {flag}: it is for {}; give that, or leave it out.",
                    wants.join(" or ")
                )));
            }
        }
        let scopes = list(args.auth_scope);
        if auth == Auth::None && !scopes.is_empty() {
            return Err(Stop::usage(
                "error: --auth-scope: nobody is asked for scopes with --auth none; say how it is known who comes.",
            ));
        }
        let by = match auth {
            Auth::None => None,
            Auth::Key => Some(By::Keys(keys.ok_or_else(|| {
                missing("--auth-key-file", "name the file of the keys (`throughline key new` makes one)")
            })?)),
            Auth::Jwt => Some(By::Jwt {
                issuer: issuer.ok_or_else(|| {
                    missing("--auth-issuer", "say which authorization server gives out the tokens")
                })?,
                jwks,
            }),
            Auth::Introspect => Some(By::Introspection {
                issuer: issuer.ok_or_else(|| {
                    missing("--auth-issuer", "say which authorization server gives out the tokens")
                })?,
                address: address
                    .ok_or_else(|| missing("--auth-introspection-url", "say where tokens are asked about"))?,
                client: client.ok_or_else(|| {
                    missing("--auth-client-id", "say who this server is to the authorization server")
                })?,
                secret: match args.auth_client_secret {
                    Some(given) => secret::read("--auth-client-secret", given)?,
                    None => {
                        return Err(missing(
                            "--auth-client-secret @FILE or THROUGHLINE_AUTH_CLIENT_SECRET",
                            "give the secret of this server",
                        ));
                    }
                },
            }),
            Auth::Proxy => {
                if networks.is_empty() {
                    return Err(missing("--auth-proxy", "say from which addresses the proxy connects"));
                }
                Some(By::Proxy { networks, header: args.auth_proxy_header })
            }
        };
        let tls = match (path(args.tls_cert), path(args.tls_key)) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Stop::usage(
                    "error: --tls-cert: give the key of the certificate too, with --tls-key.",
                ));
            }
            (None, Some(_)) => {
                return Err(Stop::usage("error: --tls-key: give its certificate too, with --tls-cert."));
            }
        };
        Ok(Self {
            lock: by.map(|by| Lock { by, audiences, scopes }),
            public_url: text(args.public_url).map(check_url).transpose()?,
            tls,
            insecure_open: args.insecure_open,
        })
    }
}

impl Guard {
    /// The host of the public address.
    pub(crate) fn public_host(&self) -> Option<&str> {
        let (_, rest) = self.public_url.as_deref()?.split_once("://")?;
        rest.split('/').next()
    }
}

/// `http(s)://host[:port]/path`.
fn check_url(url: String) -> Result<String, Stop> {
    let parsed = url.parse::<Uri>().ok().filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
            && !url.contains('#')
    });
    match parsed {
        Some(_) => Ok(url),
        None => Err(Stop::usage(format!(
            "error: --public-url: \"{}\" is no address of an endpoint; write it like https://mcp.example.com/mcp.",
            url.escape_debug()
        ))),
    }
}
