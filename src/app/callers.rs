//! Who may call, as the configuration says.

use anyhow::Context as _;

use super::bundle;
use crate::{
    callers::{CallerOptions, Callers, JwtOptions, Policy},
    config::Config,
    telemetry::Metrics,
};

/// Callers are asked who they are as soon as there is a way for them to prove it.
pub(super) fn callers(config: &Config, metrics: Metrics) -> anyhow::Result<Callers> {
    if !config.authenticates_callers() {
        return Ok(Callers::open());
    }
    let (callers, policy) = (&config.callers, &config.policy);
    let extra_roots = bundle("callers.jwt_ca_file", callers.jwt_ca_file.as_deref())?;
    let options = CallerOptions {
        certificates: config.tls.client_ca_file.is_some(),
        forwarded_certificates: callers.forwarded_certificates,
        jwt: callers.jwt_issuer.clone().map(|issuer| JwtOptions {
            issuer,
            audiences: callers.jwt_audience.clone(),
            clock_skew: callers.jwt_clock_skew,
            extra_roots,
            timeout: callers.jwt_timeout,
        }),
        policy: Policy {
            execute_response_action: policy.execute_response_action.clone(),
            get_incident_task: policy.get_incident_task.clone(),
            list_incident_tasks: policy.list_incident_tasks.clone(),
            update_incident_task: policy.update_incident_task.clone(),
            watch_incident_task: policy.watch_incident_task.clone(),
            reflection: policy.reflection.clone(),
        },
    };
    Callers::new(options, metrics).context("callers.jwt_issuer")
}
