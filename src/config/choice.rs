//! The closed sets among the values.

/// As whom the gateway calls Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsMode {
    /// With the caller's own token.
    Passthrough,
    /// As itself.
    Application,
    /// For the caller, with a token that Entra gives for the caller's own.
    OnBehalfOf,
}

impl CredentialsMode {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("passthrough", Self::Passthrough),
        ("application", Self::Application),
        ("on_behalf_of", Self::OnBehalfOf),
    ];
}

/// How the gateway proves to Entra which application it is (RFC 6749, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// By a client secret.
    Secret,
    /// By a certificate and its private key.
    Certificate,
    /// By a token of the platform that Entra trusts, such as a Kubernetes service account's.
    WorkloadIdentity,
    /// The Azure platform hands out the tokens.
    ManagedIdentity,
}

impl ClientAuthentication {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("secret", Self::Secret),
        ("certificate", Self::Certificate),
        ("workload_identity", Self::WorkloadIdentity),
        ("managed_identity", Self::ManagedIdentity),
    ];
}

/// What to do about an unknown outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReconciliationMode {
    /// Nothing.
    Off,
    /// Read the task.
    Observe,
    /// Read the task, and send the POST once more if nothing was started.
    Resend,
}

impl ReconciliationMode {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("off", Self::Off),
        ("observe", Self::Observe),
        ("resend", Self::Resend),
    ];
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// [`Human`](Self::Human) on a terminal, [`Json`](Self::Json) elsewhere.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("auto", Self::Auto),
        ("human", Self::Human),
        ("json", Self::Json),
    ];
}

/// Where the audit log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditSink {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To the file of `audit.file`.
    File,
}

impl AuditSink {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("off", Self::Off),
        ("stdout", Self::Stdout),
        ("file", Self::File),
    ];
}

/// When audit records are made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFsync {
    /// Before the call goes on.
    Always,
    /// At least as often as `audit.fsync_interval` says.
    Interval,
}

impl AuditFsync {
    pub(super) const CHOICES: &[(&str, Self)] =
        &[("always", Self::Always), ("interval", Self::Interval)];
}

/// What happens to a call whose intent cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAuditFailure {
    /// It is refused.
    Refuse,
    /// It goes on unrecorded.
    Proceed,
}

impl OnAuditFailure {
    pub(super) const CHOICES: &[(&str, Self)] =
        &[("refuse", Self::Refuse), ("proceed", Self::Proceed)];
}
