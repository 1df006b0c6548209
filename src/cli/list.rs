//! `incidentgate list`

use std::{collections::HashSet, io, process::ExitCode, time::SystemTime};

use clap::{
    Args, ValueEnum,
    builder::{NonEmptyStringValueParser, PossibleValue, PossibleValuesParser},
};
use prost_types::Timestamp;

use super::{
    FAILURE, USAGE, fail,
    said::{Failed, Said},
    service::{Access, Client, Service},
    sight::{Sight, name_of},
    table, unwritten, write,
};
use crate::{
    pb::{ActionType, IncidentTaskOrder, IncidentTaskStatus, ListIncidentTasksRequest, TimeRange},
    task::{self, Member},
};

/// Lists incident tasks, page by page; --timeout is for each page.
///
/// Exits 0 when all were listed, and 1 when they could not be.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    filter: Filter,
    /// In which order; Graph's own when left out.
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// The most tasks that are asked for at a time.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=500))]
    page_size: i32,
    /// Print one JSON object a task.
    #[arg(long)]
    json: bool,
}

/// Which tasks.
#[derive(Debug, Args)]
struct Filter {
    /// Only those of this incident.
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    incident_id: Option<String>,
    /// Only those with this status of the task itself.
    #[arg(long, value_parser = PossibleValuesParser::new(words::<task::TaskStatus>()))]
    status: Option<String>,
    /// Only those whose action is of this type.
    #[arg(long, value_name = "TYPE", value_parser = PossibleValuesParser::new(words::<task::ActionType>()))]
    action_type: Option<String>,
    /// Only those that were created then or later, as in `2026-11-30T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_since: Option<Timestamp>,
    /// Only those that were created before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<Timestamp>,
    /// Only those that were last changed then or later.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    updated_since: Option<Timestamp>,
    /// Only those that were last changed before.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    updated_before: Option<Timestamp>,
}

/// By the last change.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Order {
    /// The oldest first.
    Updated,
    /// The newest first.
    UpdatedDesc,
}

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&Sight) -> String);

const COLUMNS: [Column; 7] = [
    ("ID", |task| task.id.clone()),
    ("ACTION", Sight::action_type_word),
    ("ACTION STATUS", Sight::action_status_word),
    ("TASK STATUS", Sight::status_word),
    ("INCIDENT", |task| or_dash(&task.incident_id)),
    ("UPDATED", |task| {
        let seconds = task.update_time.as_deref().and_then(|time| time.get(..19));
        seconds.map_or_else(|| "-".to_owned(), |time| format!("{time}Z"))
    }),
    ("TITLE", |task| or_dash(&task.display_name)),
];

impl List {
    pub(super) async fn run(self) -> ExitCode {
        let mut request = match self.filter.request() {
            Ok(request) => request,
            Err(error) => return fail(USAGE, &error),
        };
        let service = match self.access.open() {
            Ok(service) => service,
            Err(error) => return fail(USAGE, &error),
        };
        request.page_size = self.page_size;
        request.order_by = self.order.map_or(0, Order::wire);
        let mut tasks = Vec::new();
        let listed = pages(&service, request, |task| {
            if self.json {
                return write(serde_json::to_string(&task)?);
            }
            tasks.push(task);
            Ok(())
        });
        let listed = listed.await;
        let shown = if !self.json && (listed.is_ok() || !tasks.is_empty()) {
            write(shown(&tasks).trim_end())
        } else {
            Ok(())
        };
        let ended = match (listed, shown) {
            (Err(Stopped::Unwritten(error)), _) | (_, Err(error)) => {
                return ExitCode::from(unwritten(FAILURE, error));
            }
            (Ok(()), Ok(())) => return ExitCode::SUCCESS,
            (Err(Stopped::Said(said)), Ok(())) => Failed {
                what: "the tasks cannot be listed",
                next: &said.next_step(),
                said: &said,
            }
            .to_string(),
            (Err(Stopped::Circle), Ok(())) => {
                "the tasks cannot be listed: Graph's links to further pages lead in a circle"
                    .to_owned()
            }
        };
        fail(FAILURE, &anyhow::anyhow!(ended))
    }
}

/// Why a list has not come to its end.
enum Stopped {
    /// A page was refused.
    Said(Box<Said>),
    /// A page that was there before would come again.
    Circle,
    /// What there was to tell could not be written.
    Unwritten(io::Error),
}

/// Every page to the last one.
async fn pages(
    service: &Service,
    mut request: ListIncidentTasksRequest,
    mut each: impl FnMut(Sight) -> io::Result<()>,
) -> Result<(), Stopped> {
    let mut before = HashSet::new();
    loop {
        let method = async |mut client: Client, request| client.list_incident_tasks(request).await;
        let page = service.call(request.clone(), method).await;
        let page = page.map_err(|error| Stopped::Said(Box::new(error.into())))?;
        let mut tasks = page.incident_tasks.into_iter().map(Sight::of);
        tasks.try_for_each(&mut each).map_err(Stopped::Unwritten)?;
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        if !before.insert(page.next_page_token.clone()) {
            return Err(Stopped::Circle);
        }
        request.page_token = page.next_page_token;
    }
}

fn shown(tasks: &[Sight]) -> String {
    if tasks.is_empty() {
        return "no task".to_owned();
    }
    let head = COLUMNS.iter().map(|(head, _)| (*head).to_owned()).collect();
    let row = |task| COLUMNS.iter().map(|(_, cell)| cell(task)).collect();
    let rows = tasks.iter().map(row);
    table::lines(std::iter::once(head).chain(rows).collect())
}

// === impl Filter ===

impl Filter {
    fn request(&self) -> anyhow::Result<ListIncidentTasksRequest> {
        let status = self.status.as_deref().and_then(|word| {
            let name = named(word);
            IncidentTaskStatus::from_str_name(&format!("INCIDENT_TASK_STATUS_{name}"))
        });
        let action_type = self
            .action_type
            .as_deref()
            .and_then(|word| ActionType::from_str_name(&format!("ACTION_TYPE_{}", named(word))));
        Ok(ListIncidentTasksRequest {
            incident_id: self.incident_id.clone().unwrap_or_default(),
            status: status.unwrap_or_default().into(),
            action_type: action_type.unwrap_or_default().into(),
            create_time: range("created", self.created_since, self.created_before)?,
            update_time: range("updated", self.updated_since, self.updated_before)?,
            ..ListIncidentTasksRequest::default()
        })
    }
}

// === impl Order ===

impl Order {
    fn wire(self) -> i32 {
        match self {
            Self::Updated => IncidentTaskOrder::UpdateTime.into(),
            Self::UpdatedDesc => IncidentTaskOrder::UpdateTimeDesc.into(),
        }
    }
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

fn range(
    what: &str,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
) -> anyhow::Result<Option<TimeRange>> {
    if let (Some(start), Some(end)) = (start, end) {
        let is_before = (start.seconds, start.nanos) < (end.seconds, end.nanos);
        anyhow::ensure!(
            is_before,
            "--{what}-since must be before --{what}-before, or no task can be in between"
        );
    }
    Ok((start.is_some() || end.is_some()).then_some(TimeRange { start, end }))
}

/// The proto's name, whichever of both was given.
fn named(word: &str) -> String {
    if word.chars().any(char::is_lowercase) {
        name_of(word)
    } else {
        word.to_owned()
    }
}

/// Graph's words, and the proto's names for them.
fn words<E: Member>() -> Vec<PossibleValue> {
    let value = |member: &E| {
        let word = member.as_str();
        PossibleValue::new(word).alias(name_of(word))
    };
    E::ALL.iter().map(value).collect()
}

fn moment(text: &str) -> Result<Timestamp, String> {
    humantime::parse_rfc3339_weak(text)
        .map(|moment: SystemTime| moment.into())
        .map_err(|_| "expected a time in UTC such as 2026-11-30T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_asked_for_by_its_number() {
        let filter = |status: Option<&str>, action_type: Option<&str>| Filter {
            incident_id: None,
            status: status.map(str::to_owned),
            action_type: action_type.map(str::to_owned),
            created_since: None,
            created_before: None,
            updated_since: None,
            updated_before: None,
        };
        let both = |values: Vec<PossibleValue>| -> Vec<String> {
            let each = |value: &PossibleValue| {
                let names = value.get_name_and_aliases();
                names.map(str::to_owned).collect::<Vec<_>>()
            };
            values.iter().flat_map(each).collect()
        };
        for word in both(words::<task::TaskStatus>()) {
            let request = filter(Some(&word), None).request().unwrap();
            assert_ne!(request.status, 0, "{word}");
        }
        for word in both(words::<task::ActionType>()) {
            let request = filter(None, Some(&word)).request().unwrap();
            assert_ne!(request.action_type, 0, "{word}");
        }
    }

    #[test]
    fn a_range_without_a_moment_is_refused() {
        let at = |text| Some(moment(text).unwrap());
        let (early, late) = (at("2026-11-30T12:00:00Z"), at("2026-11-30 12:00:01"));
        assert!(range("created", early, late).is_ok());
        for (start, end) in [(late, early), (early, early)] {
            let wrong = range("created", start, end).unwrap_err().to_string();
            assert!(wrong.contains("--created-since must be before"), "{wrong}");
        }
        assert!(
            moment("yesterday")
                .unwrap_err()
                .contains("2026-11-30T12:00:00Z")
        );
    }
}
