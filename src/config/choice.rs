//! The closed sets among the values.

/// As whom the gateway calls Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialsMode {
    /// With the caller's own token.
    Passthrough,
    /// With the embedded sandbox's credential.
    Sandbox,
}

impl CredentialsMode {
    pub(super) const CHOICES: &[(&str, Self)] = &[
        ("passthrough", Self::Passthrough),
        ("sandbox", Self::Sandbox),
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
