//! What is logged, and how it looks.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The filter of a process that was given none.
pub const DEFAULT_FILTER: &str = "info";

/// Filters that hold unless the user's filter names the same target: without them a verbose filter
/// would log the export of telemetry, and so produce telemetry about telemetry. The libraries of
/// Azure tell each request to Entra, its address included, and an identity for each token.
const QUIET: [(&str, LevelFilter); 10] = [
    ("h2", LevelFilter::OFF),
    ("hyper", LevelFilter::OFF),
    ("tonic", LevelFilter::OFF),
    ("tower", LevelFilter::OFF),
    ("azure_core", LevelFilter::WARN),
    ("azure_identity", LevelFilter::WARN),
    ("opentelemetry", LevelFilter::WARN),
    ("reqwest", LevelFilter::WARN),
    ("rustls", LevelFilter::WARN),
    ("typespec", LevelFilter::WARN),
];

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Human {
        /// Whether ANSI colours are used.
        colors: bool,
    },
    /// One JSON object per line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct LogOptions {
    pub(super) filter: Targets,
    pub(super) format: LogFormat,
    warnings: Vec<String>,
}

impl LogOptions {
    /// Reads a filter such as `info,incidentgate::graph=debug`: a level, or
    /// `target=level`, by commas.
    ///
    /// A filter that cannot be read gives a warning and [`DEFAULT_FILTER`].
    pub fn new(filter: &str, format: LogFormat) -> Self {
        let mut warnings = Vec::new();
        let user = filter.parse::<Targets>().unwrap_or_else(|error| {
            warnings.push(format!(
                "the log filter is not a list of level or target=level: {error}; using {DEFAULT_FILTER}"
            ));
            Targets::new().with_default(LevelFilter::INFO)
        });
        let default = user.default_level().unwrap_or(LevelFilter::OFF);
        // Of two entries for one target the later holds; of two targets the longer. A
        // default here may silence a library, and never makes one louder than the user
        // wants everything to be.
        let filter = Targets::new()
            .with_targets(QUIET.map(|(target, level)| (target, level.min(default))))
            .with_default(default)
            .with_targets(user);
        Self {
            filter,
            format,
            warnings,
        }
    }

    /// What was wrong with the filter; to be logged once logging works.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_that_tell_addresses_are_quiet_unless_they_are_named() {
        fn filter(text: &str) -> Targets {
            LogOptions::new(text, LogFormat::Json).filter
        }
        for target in [
            "azure_core::http",
            "azure_identity::cache",
            "typespec_client_core::http::policies::logging",
            "hyper_util::client",
            "reqwest::connect",
            "rustls::client",
        ] {
            assert!(
                !filter("trace").would_enable(target, &Level::INFO),
                "{target}"
            );
            let named = format!("info,{}=trace", target.split("::").next().unwrap());
            assert!(
                filter(&named).would_enable(target, &Level::TRACE),
                "{named}"
            );
        }
        assert!(!filter("off").would_enable("azure_core", &Level::WARN));
    }

    #[test]
    fn a_bad_filter_is_reported_and_replaced() {
        let options = LogOptions::new("info,[span]=debug=x", LogFormat::Json);
        assert_eq!(options.warnings().len(), 1);
        assert_eq!(options.filter.default_level(), Some(LevelFilter::INFO));
        assert!(
            LogOptions::new("debug", LogFormat::Json)
                .warnings()
                .is_empty()
        );
    }
}
