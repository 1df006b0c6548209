//! The spine: one command to its end.
//!
//! ```text
//! [ attempt -> classify -> decide ]*  ->  Done | Failure
//! ```
//!
//! | file | does |
//! |---|---|
//! | `work` | an action: POST, look at the task, POST again |
//! | `looks`, `trail`, `progress` | … what the task shows, what the tries have left, how far it is |
//! | `detachable`, `left` | … when its caller leaves |
//! | `ask` | what may be made again: a reading, and the status that `update` sets |
//! | `watch` | readings for all who follow a task |
//! | `tools`, `access` | what all share, and the token of each |
//! | `place`, `places` | a place among the calls in flight |
//! | `record` | what the audit log hears |

mod access;
mod ask;
mod detachable;
mod done;
mod left;
mod looks;
mod place;
mod places;
mod progress;
mod record;
mod tools;
mod trail;
mod update;
mod watch;
mod work;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    detachable::Detachable, left::Interruption, looks::MAX_LOOKS, progress::Progress, tools::Tools,
    watch::Watches, work::Work,
};
pub use self::{
    done::{Confirmation, Done},
    place::Place,
    places::{PlaceLimits, Places, overloaded},
    record::{Auditing, Describe},
    watch::{Showing, Watcher, Watching},
};
use crate::{
    caller::Caller,
    command::{Command, ExecuteAction},
    credentials::Credential,
    deadline::Deadline,
    failure::Failure,
    graph::{Departed, GraphClient},
    peer::Peer,
    retry::{Budget, Policy},
    telemetry::{ActiveSpan, Metrics},
    throttle::Gates,
};

/// Carries commands out.
#[derive(Debug, Clone)]
pub struct Calls {
    tools: Arc<Tools>,
    tasks: TaskTracker,
    ending: CancellationToken,
}

/// What a call does with a failure, and how long that may take.
#[derive(Debug, Clone)]
pub struct Resilience {
    /// When to send again, and when to look at the task.
    pub policy: Policy,
    /// How much of that the process as a whole allows.
    pub budget: Budget,
    /// The same for what may be made again.
    pub inquiry_budget: Budget,
    /// Who must not go to Graph now.
    pub gates: Gates,
    /// The most time for a look at the task.
    pub look_timeout: Duration,
    /// How often a task is read for those who follow it.
    pub watching: Watching,
}

/// One call: what to do, as whom, until when.
#[derive(Debug)]
pub struct Call<W = ExecuteAction> {
    /// What is asked for.
    pub command: Command<W>,
    /// Where the token for Graph comes from.
    pub credential: Credential,
    /// Who calls.
    pub caller: Caller,
    /// The other end of the caller's connection.
    pub peer: Arc<Peer>,
    /// Until when the caller must be answered.
    pub deadline: Deadline,
    /// The server span.
    pub span: ActiveSpan,
    /// Its place among the calls in flight.
    pub place: Place,
}

impl Calls {
    /// `tasks` holds the work that goes on after its callers have left; wait for it
    /// before the process ends. Once `ending` is cancelled, every call is answered at
    /// once, and that work is dropped.
    pub fn new(
        graph: GraphClient,
        resilience: Resilience,
        auditing: Auditing,
        tasks: TaskTracker,
        ending: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        let Resilience {
            policy,
            budget,
            inquiry_budget,
            gates,
            look_timeout,
            watching,
        } = resilience;
        Self {
            tools: Arc::new(Tools {
                graph,
                policy,
                budget,
                inquiry_budget,
                gates,
                look_timeout,
                looks: Semaphore::new(MAX_LOOKS),
                watches: Watches::new(watching),
                auditing,
                metrics,
            }),
            tasks,
            ending,
        }
    }

    /// Starts the action of one task, or says why not, before the deadline.
    ///
    /// Dropping the future does not cancel a POST that may have left: it is
    /// finished in a task of its own, unless the gateway ends, and its outcome goes to
    /// span, log and audit log.
    pub async fn execute(&self, call: Arc<Call>) -> Result<Done, Failure> {
        call.place.begin();
        if call.deadline.has_passed(Instant::now()) {
            return Err(Interruption::DeadlinePassed.failure(Departed::Never, 0));
        }
        let progress = Progress::default();
        let work = Work {
            tools: Arc::clone(&self.tools),
            call: Arc::clone(&call),
            progress: progress.clone(),
        };
        let mut work = Detachable::new(
            async move { work.run().await },
            &progress,
            &self.tasks,
            &self.ending,
            &self.tools.metrics,
            call.span.span(),
            &call.place,
        );
        tokio::select! {
            biased;
            result = &mut work => result,
            () = sleep_until(call.deadline.answer_by()) => {
                Err(work.interrupt(Interruption::DeadlinePassed))
            }
            () = self.ending.cancelled() => {
                Err(work.interrupt(Interruption::GatewayEnds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    use tokio::time::advance;

    use super::*;
    use crate::{
        audit::Audit,
        authorization::{Authorization, TokenOwner},
        command::{ClientRequestId, TaskId},
        failure::Kind,
        graph::{GraphOptions, GraphTls},
        peer::PeerAddress,
        retry::Reconciliation,
        telemetry::Propagator,
        throttle::Passage,
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn calls(gates: Gates, metrics: &Metrics) -> Calls {
        let options = GraphOptions {
            url: "http://127.0.0.1/beta".to_owned(),
            connect_timeout: SECOND,
            attempt_timeout: SECOND,
            pool_idle_timeout: SECOND,
            tls: GraphTls::default(),
            http2_prior_knowledge: false,
            max_concurrent_streams: 100,
        };
        Calls::new(
            GraphClient::new(&options, Propagator::default(), metrics.clone()).unwrap(),
            Resilience {
                policy: Policy {
                    max_attempts: 3,
                    initial_backoff: SECOND,
                    max_backoff: SECOND,
                    reconciliation: Reconciliation::Resend,
                },
                budget: Budget::new(100),
                inquiry_budget: Budget::new(100),
                gates,
                look_timeout: SECOND,
                watching: Watching {
                    min_interval: SECOND,
                    max_interval: SECOND,
                    polls_per_minute: 60,
                    max_silence: SECOND,
                },
            },
            Auditing {
                log: Audit::off(),
                describe: |failure| ("", failure.to_string()),
            },
            TaskTracker::new(),
            CancellationToken::new(),
            metrics.clone(),
        )
    }

    fn call(authorization: Authorization, timeout: Duration, metrics: &Metrics) -> Arc<Call> {
        let limits = PlaceLimits {
            max_open: 1,
            max_in_flight: 1,
            max_waiting: 0,
            max_wait: Duration::ZERO,
        };
        Arc::new(Call {
            command: Command {
                what: ExecuteAction {
                    task_id: TaskId::parse("213213".to_owned()).unwrap(),
                },
                client_request_id: ClientRequestId::parse_or_new(String::new()).unwrap(),
            },
            credential: Credential::Given(authorization),
            caller: Caller::anonymous(),
            peer: Arc::new(Peer::new(PeerAddress::Unix)),
            deadline: Deadline::new(Instant::now(), timeout),
            span: ActiveSpan::none(),
            place: Place::new(Places::new(
                limits,
                CancellationToken::new(),
                metrics.clone(),
            )),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_when_turn_and_deadline_have_come_at_once() {
        let exporter = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let metrics = Metrics::new(&meters.meter("test"));
        let gates = Gates::new(true, metrics.clone());
        let authorization = Authorization::bearer("token", TokenOwner::Gateway).unwrap();
        gates.close(&authorization, Instant::now(), SECOND);
        advance(SECOND).await;
        let first = gates.enter(&authorization, Instant::now());
        assert_eq!(first, Passage::Open);

        let calls = calls(gates, &metrics);
        let mut call = pin!(calls.execute(call(authorization, SECOND, &metrics)));
        assert!(call.as_mut().now_or_never().is_none(), "it has a turn");
        // The machine stands still, and then all alarms ring.
        advance(2 * SECOND).await;
        let failure = call.now_or_never().unwrap().unwrap_err();
        assert_eq!(failure.kind, Kind::DeadlineBeforeSend);
        meters.force_flush().unwrap();
        let exports = format!("{:?}", exporter.get_finished_metrics().unwrap());
        assert!(exports.contains("incidentgate.throttle.closed"));
        assert!(!exports.contains("http.client.request.duration"));
    }
}
