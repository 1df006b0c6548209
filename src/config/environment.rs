//! Environment variables: `INCIDENTGATE_SECTION__KEY`.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    given::{Given, Raw},
    mistake::Mistake,
    origin::Origin,
    settings::{SETTINGS, Setting},
};

const PREFIX: &str = "INCIDENTGATE_";

impl Setting {
    /// The environment variable of this setting.
    pub(super) fn variable(&self) -> String {
        format!(
            "{PREFIX}{}",
            self.key.to_ascii_uppercase().replace('.', "__")
        )
    }
}

/// The variables that the webhook of Azure Workload Identity gives to a container, and
/// that Azure's own libraries read.
const PLATFORM: [(&str, &str); 4] = [
    ("AZURE_TENANT_ID", "credentials.tenant"),
    ("AZURE_CLIENT_ID", "credentials.client_id"),
    (
        "AZURE_FEDERATED_TOKEN_FILE",
        "credentials.federated_token_file",
    ),
    ("AZURE_AUTHORITY_HOST", "credentials.authority"),
];

/// Takes what the platform has set; every other source comes before it. A variable that is
/// empty is one that is not set.
pub(super) fn read_platform(environment: &BTreeMap<OsString, OsString>, given: &mut Given) {
    for (name, key) in PLATFORM {
        if let Some(value) = environment.get(OsStr::new(name))
            && !value.is_empty()
            && let Some(setting) = Setting::find(key)
        {
            let raw = value.clone().into_string().map_or(Raw::Foreign, Raw::Text);
            given.set(setting, Origin::Environment(name.to_owned()), raw);
        }
    }
}

/// Takes the variables with the gateway's prefix.
pub(super) fn read(environment: BTreeMap<OsString, OsString>, given: &mut Given) {
    for (name, value) in environment {
        let name = name.to_string_lossy();
        let Some(rest) = name
            .strip_prefix(PREFIX)
            .filter(|rest| !is_service_link(rest))
        else {
            continue;
        };
        if let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == name) {
            let raw = value.into_string().map_or(Raw::Foreign, Raw::Text);
            given.set(setting, Origin::Environment(setting.variable()), raw);
        } else {
            let nearest = Setting::nearest(&rest.to_ascii_lowercase().replace("__", "."))
                .map(Setting::variable);
            given.mistake(Mistake::UnknownVariable {
                name: name.escape_debug().to_string(),
                nearest,
            });
        }
    }
}

/// Whether Kubernetes made this variable. It gives every container the address of every
/// service of its namespace (`INCIDENTGATE_SERVICE_HOST`,
/// `INCIDENTGATE_PORT_50051_TCP_ADDR`); with a service named `incidentgate`, or
/// `incidentgate-…`, these would otherwise keep the gateway from starting.
fn is_service_link(rest: &str) -> bool {
    let rest = format!("_{rest}_");
    let has_port_number = |(_, tail): (&str, &str)| tail.starts_with(|c: char| c.is_ascii_digit());
    !rest.contains("__")
        && (rest.ends_with("_SERVICE_HOST_")
            || rest.contains("_SERVICE_PORT_")
            || rest.ends_with("_PORT_")
            || rest.split_once("_PORT_").is_some_and(has_port_number))
}

#[cfg(test)]
mod tests {
    use super::is_service_link;

    #[test]
    fn only_the_variables_of_kubernetes_are_service_links() {
        for rest in [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_GRPC",
            "PORT",
            "PORT_50051_TCP",
            "PORT_50051_TCP_ADDR",
            "CANARY_SERVICE_HOST",
            "CANARY_PORT_9090_TCP_PROTO",
        ] {
            assert!(is_service_link(rest), "{rest}");
        }
        for rest in [
            "SERVER__LISTEN",
            "GRAPH_URL",
            "SERVER__PORT",
            "PORTS",
            "SERVER_PORT_RANGE",
            "SERVICE_PORTS",
        ] {
            assert!(!is_service_link(rest), "{rest}");
        }
    }
}
