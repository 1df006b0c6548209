//! The one table of settings. A row is a key, its type, its default, its form and its
//! documentation; the typed sections, the reading of them, `check` and the README's
//! reference are all made from it.

use std::{net::SocketAddr, path::PathBuf, sync::LazyLock, time::Duration};

use super::{
    base_url::BaseUrl,
    choice::{
        AuditFsync, AuditSink, ClientAuthentication, CredentialsMode, LogFormat, OnAuditFailure,
        ReconciliationMode,
    },
    form::{
        DAY, Form, HOUR, MS, base_url, caller, choice, duration, flag, id, issuer, list,
        listen_address, log_filter, loopback_address, optional, path, secret, tenant, whole,
    },
    given::Given,
};
use crate::{caller::Pattern, listen_address::ListenAddress, secret::Secret};

/// What is known of a key besides its type.
#[derive(Debug)]
pub(super) struct Setting {
    /// Dotted: `section.key`.
    pub(super) key: &'static str,
    /// The default, written as a user would write it.
    pub(super) default: &'static str,
    /// The default under `--sandbox`, where it differs.
    pub(super) sandbox: Option<&'static str>,
    /// The expected form, in words.
    pub(super) expected: String,
    /// Whether TOML writes the value without quotes.
    pub(super) bare: bool,
    /// Whether the value must never be shown, and comes from the environment only.
    pub(super) secret: bool,
    /// One paragraph.
    pub(super) doc: &'static str,
}

/// `key: Type = "default" [sandbox "other default"], form;` under a documented section.
macro_rules! settings {
    ($(
        $(#[doc = $about:literal])+
        $section:ident: $Section:ident {$(
            $(#[doc = $doc:literal])+
            $key:ident: $Value:ty = $default:literal $(sandbox $sandbox:literal)?, $form:expr;
        )+}
    )+) => {
        /// The validated configuration, one field per section.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Config {$(
            $(#[doc = $about])+
            pub $section: $Section,
        )+}

        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, PartialEq, Eq)]
            pub struct $Section {$(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nDefault: `\"", $default, "\"`.")]
                pub $key: $Value,
            )+}
        )+

        impl Config {
            /// Reads every key. `None` only when a default does not parse, which is then
            /// a mistake like any other.
            pub(super) fn read(given: &mut Given) -> Option<Self> {
                Some(Self {$(
                    $section: $Section {$(
                        $key: given.read::<$Value>(name!($section, $key), &$form)?,
                    )+},
                )+})
            }
        }

        /// Every setting, in the order of the documentation.
        pub(super) static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| vec![$($({
            let form: Form<$Value> = $form;
            Setting {
                key: name!($section, $key),
                default: $default,
                sandbox: [$($sandbox)?].first().copied(),
                expected: form.expected,
                bare: form.bare,
                secret: form.secret,
                doc: concat!($($doc),+).trim_ascii(),
            }
        }),+),+]);
    };
}

/// The dotted key of a row.
macro_rules! name {
    ($section:ident, $key:ident) => {
        concat!(stringify!($section), ".", stringify!($key))
    };
}

settings! {
    /// The gRPC listener, its connections and their limits.
    server: Server {
        /// Where the gRPC listener is. A unix socket has the mode 0660.
        listen: ListenAddress = "127.0.0.1:50051", listen_address();
        /// Connections open at the same time. When there is one more, the one that has been
        /// without a call for longest gives way; where all have calls, it waits.
        max_connections: usize = "10000", whole(1, 1_000_000);
        /// Calls open at the same time on one connection.
        max_concurrent_streams: u32 = "256", whole(1, 100_000);
        /// Bytes of request headers that are accepted, counted as HTTP/2 counts them.
        /// Access tokens with many groups are large.
        max_header_list_size: u32 = "65536", whole(4096, 1_048_576);
        /// Calls open at the same time over all connections, those included whose message
        /// has not arrived yet; further ones are refused at once. It bounds the memory.
        max_open: usize = "32768", whole(1, 10_000_000);
        /// Calls in flight at the same time over all connections; further ones wait for
        /// a place, or are refused, not started.
        max_in_flight: usize = "4096", whole(1, 1_000_000);
        /// Calls that wait for a place at the same time, in order of arrival; further ones
        /// are refused at once. 0: nobody waits.
        max_waiting: usize = "1024", whole(0, 1_000_000);
        /// Longest wait for a place; then the call is refused, not started. Its own
        /// deadline may end it earlier.
        max_wait: Duration = "1s", duration(Duration::ZERO, HOUR);
        /// Time for the TLS handshake and the HTTP/2 preface.
        handshake_timeout: Duration = "10s", duration(MS, HOUR);
        /// A connection without calls is closed after this time.
        idle_timeout: Duration = "15m", duration(MS, DAY);
        /// A connection is asked to close after this time, give or take 10 %, so that
        /// clients spread over new instances.
        max_connection_age: Duration = "30m", duration(MS, 7 * DAY);
        /// Time for the calls in flight on a connection that has reached its age. At
        /// least `deadline.max`, so that age cuts no call.
        max_connection_age_grace: Duration = "2m10s", duration(MS, DAY);
        /// A silent connection is probed with an HTTP/2 ping this often.
        keepalive_interval: Duration = "30s", duration(MS, HOUR);
        /// A connection that does not answer the ping in this time is closed.
        keepalive_timeout: Duration = "20s", duration(MS, HOUR);
        /// Whether the service describes itself to tools such as grpcurl.
        reflection: bool = "true", flag();
    }

    /// TLS of the gRPC listener. All files are read again when they change.
    tls: Tls {
        /// PEM file with the certificate of the listener and its chain. Without one it speaks
        /// plain HTTP/2.
        certificate_file: Option<PathBuf> = "", optional(path());
        /// PEM file with the private key of that certificate.
        key_file: Option<PathBuf> = "", optional(path());
        /// PEM bundle of the authorities whose client certificates prove who calls. A
        /// certificate that is presented must be valid; whether one is needed, `policy`
        /// says.
        client_ca_file: Option<PathBuf> = "", optional(path());
        /// How often these files, and those of `graph`, are looked at for a change.
        reload_interval: Duration = "10s", duration(MS, DAY);
    }

    /// How long a call may take.
    deadline: DeadlineLimits {
        /// Deadline of a call that brings no `grpc-timeout`. At most `deadline.max`.
        default: Duration = "30s", duration(MS, HOUR);
        /// Longest deadline that a caller can ask for; a longer one is shortened to it.
        max: Duration = "2m", duration(MS, HOUR);
    }

    /// The way to Microsoft Graph.
    graph: Graph {
        /// Base URL, with the version and without a trailing slash. Absent only under
        /// `--sandbox`, which brings its own.
        url: Option<BaseUrl> = "https://graph.microsoft.com/beta" sandbox "", optional(base_url("https://graph.microsoft.com/beta"));
        /// Time for a new connection, TLS handshake included.
        connect_timeout: Duration = "5s", duration(MS, HOUR);
        /// Time for one attempt, from sending to the end of the answer. The call's own
        /// deadline may end it earlier.
        attempt_timeout: Duration = "1m", duration(MS, HOUR);
        /// An unused connection to Graph is closed after this time.
        pool_idle_timeout: Duration = "90s", duration(MS, DAY);
        /// PEM bundle of certificate authorities to trust in addition to the system's.
        ca_file: Option<PathBuf> = "", optional(path());
        /// PEM file with a certificate that is shown to the server, and its chain, where a
        /// proxy on the way asks for one.
        client_certificate_file: Option<PathBuf> = "", optional(path());
        /// PEM file with the private key of that certificate.
        client_key_file: Option<PathBuf> = "", optional(path());
        /// Speak HTTP/2 without negotiation. Only for a plain-http `graph.url`, where
        /// there is no TLS to negotiate it.
        http2_prior_knowledge: bool = "false", flag();
        /// Requests at the same time on one HTTP/2 connection to Graph; for further ones
        /// there are further connections. Not more than the server admits
        /// (`SETTINGS_MAX_CONCURRENT_STREAMS`), or they wait.
        max_concurrent_streams: usize = "100", whole(1, 100_000);
    }

    /// When a POST is sent again for the same call. Only what was certainly not started is.
    retry: Retry {
        /// Requests for one call at most, one that finds no connection included; 1 turns
        /// retries off.
        max_attempts: u32 = "3", whole(1, 10);
        /// Longest wait before the second attempt; it doubles with each further one. The
        /// wait is a random part of this, on top of what Graph asks for by `Retry-After`.
        initial_backoff: Duration = "200ms", duration(MS, HOUR);
        /// The wait does not grow beyond this, unless Graph asks for more.
        max_backoff: Duration = "5s", duration(MS, HOUR);
        /// Retry budget of the whole process (`maxTokens` of gRFC A6): a failed attempt
        /// takes a token, a success gives a tenth back, and while half of them are gone
        /// nothing is sent again. Readings and updates have one of their own.
        max_tokens: u32 = "100", whole(1, 1000);
    }

    /// What happens when Graph asks to wait.
    throttle: Throttle {
        /// Whether Graph's `Retry-After` on 429 and 503 holds back every call with the same
        /// credential: until then they are refused here, and then let through one by one.
        gate: bool = "true", flag();
    }

    /// What happens when nobody knows whether a POST has started the action.
    reconciliation: Reconciliation {
        /// `off` answers UNKNOWN; `observe` reads the task and answers what it shows;
        /// `resend` does the same, and sends the POST once more where the task shows that
        /// nothing was started.
        mode: ReconciliationMode = "resend", choice(ReconciliationMode::CHOICES);
        /// Time for one reading. A POST that is not answered this long before the call's
        /// deadline (a quarter of the whole time at most) is checked beside it.
        timeout: Duration = "2s", duration(MS, HOUR);
    }

    /// Following tasks to their end (`WatchIncidentTask`). A task is read once for all who
    /// follow it with the same identity at Graph.
    watch: Watch {
        /// Calls at the same time that follow a task; further ones are refused at once.
        max_watchers: usize = "4096", whole(1, 1_000_000);
        /// Time from one reading of a task to the next, when it has just changed.
        min_interval: Duration = "1s", duration(MS, HOUR);
        /// Longest time between two readings of a task: each is half as long again as the
        /// one before, while nothing changes.
        max_interval: Duration = "15s", duration(MS, HOUR);
        /// Readings in a minute for all followed tasks together; with more tasks each is read
        /// less often. The readings with which watches begin are aside: as many at once,
        /// and six times as many a minute. Graph documents no limit for tasks; for their
        /// neighbours it is 100.
        max_polls_per_minute: u32 = "100", whole(1, 1_000_000);
        /// How long a task may not be readable before its watches end. One that Graph asks to
        /// wait for longer than this ends at once.
        max_silence: Duration = "2m", duration(MS, DAY);
    }

    /// As whom the gateway calls Graph.
    credentials: Credentials {
        /// Whose token goes to Graph: `passthrough` sends on the caller's own
        /// `authorization`; `application` is the gateway's own; `on_behalf_of` exchanges the
        /// caller's token, which is for this gateway, for one for Graph.
        mode: CredentialsMode = "passthrough" sandbox "application", choice(CredentialsMode::CHOICES);
        /// How the gateway proves to Entra which application it is.
        client_authentication: ClientAuthentication = "secret", choice(ClientAuthentication::CHOICES);
        /// The Entra tenant.
        tenant: Option<String> = "", optional(tenant());
        /// The gateway's application (client) id. With `managed_identity`: the user-assigned
        /// identity's; none for the system-assigned one.
        client_id: Option<String> = "", optional(id("an application (client) id"));
        /// The client secret. Only by its environment variable; better is
        /// `credentials.client_secret_file`.
        client_secret: Option<Secret> = "", secret();
        /// File with the client secret and nothing else; read for each token.
        client_secret_file: Option<PathBuf> = "", optional(path());
        /// PEM file with the certificate and the private key that prove the application;
        /// read for each token.
        certificate_file: Option<PathBuf> = "", optional(path());
        /// File with the platform's token for `workload_identity`; read for each token.
        federated_token_file: Option<PathBuf> = "", optional(path());
        /// Entra's root. National clouds have their own, as they have for `graph.url`.
        authority: BaseUrl = "https://login.microsoftonline.com", base_url("https://login.microsoftonline.us");
        /// What the token is for. None: the root of `graph.url` and `/.default`.
        scope: Option<String> = "", optional(id("a scope such as `https://graph.microsoft.com/.default`"));
        /// Time for one request to Entra.
        timeout: Duration = "5s", duration(MS, HOUR);
        /// PEM bundle of certificate authorities to trust for Entra in addition to the
        /// system's.
        ca_file: Option<PathBuf> = "", optional(path());
        /// Exchanged tokens kept for `on_behalf_of`; the one that was not used for longest
        /// gives way.
        max_users: u64 = "10000", whole(1, 1_000_000);
    }

    /// Who may call. Client certificates count where `tls.client_ca_file` is set.
    callers: Callers {
        /// Whose tokens prove who calls: the issuer, exactly as its tokens and its discovery
        /// document (`OpenID` Connect) name it. None: no tokens are asked for.
        jwt_issuer: Option<String> = "", optional(issuer());
        /// For whom a caller's token must be (`aud`, one of these): this gateway's
        /// application id or its URI.
        jwt_audience: Vec<String> = "", list(id("an audience"));
        /// How far the issuer's clock may be off.
        jwt_clock_skew: Duration = "1m", duration(Duration::ZERO, HOUR);
        /// Time for one request to the issuer, for its discovery document or its keys.
        jwt_timeout: Duration = "5s", duration(MS, HOUR);
        /// PEM bundle of certificate authorities to trust for the issuer in addition to the
        /// system's.
        jwt_ca_file: Option<PathBuf> = "", optional(path());
        /// Whether a sidecar's `x-forwarded-client-cert` proves who calls. Only where
        /// `server.listen` is a loopback address or a unix socket, and the sidecar alone
        /// can reach it.
        forwarded_certificates: bool = "false", flag();
    }

    /// Which callers may do what. Applies as soon as callers are asked to prove who they are.
    policy: Policy {
        /// Who may start actions.
        execute_response_action: Vec<Pattern> = "" sandbox "*", list(caller());
        /// Who may read a task.
        get_incident_task: Vec<Pattern> = "" sandbox "*", list(caller());
        /// Who may list tasks.
        list_incident_tasks: Vec<Pattern> = "" sandbox "*", list(caller());
        /// Who may set the status of tasks.
        update_incident_task: Vec<Pattern> = "" sandbox "*", list(caller());
        /// Who may follow tasks.
        watch_incident_task: Vec<Pattern> = "" sandbox "*", list(caller());
        /// Who may use reflection.
        reflection: Vec<Pattern> = "*", list(caller());
    }

    /// The audit log: who started which action, and whether it was started.
    audit: Audit {
        /// Where it goes. `stdout` is for a platform that keeps what a container prints.
        sink: AuditSink = "stdout" sandbox "off", choice(AuditSink::CHOICES);
        /// The file for `audit.sink = "file"`; made if it is missing. After rotation has
        /// renamed it, a new one is begun.
        file: Option<PathBuf> = "", optional(path());
        /// When records are made durable: `always` before the POST leaves, `interval` now
        /// and then, so that a power failure, though no crash, loses the last ones. On a
        /// pipe there is nothing to make durable.
        fsync: AuditFsync = "always", choice(AuditFsync::CHOICES);
        /// The longest time until a record is durable, for `audit.fsync = "interval"`.
        fsync_interval: Duration = "200ms", duration(MS, HOUR);
        /// What happens to a call that cannot be recorded, on a full disk for example:
        /// `refuse` answers that it was not started, `proceed` starts it unrecorded.
        on_failure: OnAuditFailure = "refuse", choice(OnAuditFailure::CHOICES);
    }

    /// How the gateway stops.
    drain: Drain {
        /// Time between health `NOT_SERVING` and GOAWAY, so that load balancers notice first.
        delay: Duration = "3s" sandbox "0s", duration(Duration::ZERO, HOUR);
        /// Time for the calls in flight after GOAWAY; then the process ends.
        timeout: Duration = "30s", duration(Duration::ZERO, HOUR);
    }

    /// Log lines on standard error.
    log: Log {
        /// Form of a line; `auto` is `human` on a terminal and `json` elsewhere.
        format: LogFormat = "auto", choice(LogFormat::CHOICES);
        /// What is logged: a level, or `target=level`, by commas.
        filter: String = "info", log_filter();
    }

    /// The simulator that `--sandbox` embeds.
    sandbox: Sandbox {
        /// Address and port of the embedded sandbox; port 0 lets the operating system choose.
        listen: SocketAddr = "127.0.0.1:0", loopback_address();
    }
}

/// Share of letters that must agree for a hint: a typing error or a missing letter keeps
/// most, another word does not.
const NEAR_ENOUGH: f64 = 0.7;

impl Setting {
    /// The setting with this dotted key.
    pub(super) fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }

    /// The setting whose key is most like the given text, when near enough to be what was meant.
    pub(super) fn nearest(text: &str) -> Option<&'static Self> {
        SETTINGS
            .iter()
            .map(|setting| {
                (
                    strsim::normalized_damerau_levenshtein(text, setting.key),
                    setting,
                )
            })
            .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, setting)| setting)
    }

    /// Whether keys start with this name and a dot.
    pub(super) fn is_section(name: &str) -> bool {
        SETTINGS.iter().any(|setting| {
            setting
                .key
                .split_once('.')
                .is_some_and(|(section, _)| section == name)
        })
    }
}
