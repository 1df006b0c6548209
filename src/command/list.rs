//! Which tasks to list.

use std::{fmt::Write as _, time::SystemTime};

use super::Page;
use crate::task::{ActionType, Member as _, Task, TaskStatus};

/// Graph's own limit of a page (Graph page "List incidentTasks").
pub const MAX_PAGE_SIZE: u16 = 500;

/// List the tasks of one page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListTasks {
    /// The most tasks of a page: 1 to [`MAX_PAGE_SIZE`].
    pub page_size: u16,
    /// Where the page is that follows another one. Nothing for the first one.
    pub page: Option<Page>,
    /// Only those of this incident.
    pub incident_id: Option<String>,
    /// Only those with this status.
    pub status: Option<TaskStatus>,
    /// Only those whose action is of this type.
    pub action_type: Option<ActionType>,
    /// Only those that were created then.
    pub created: TimeRange,
    /// Only those whose last change was then.
    pub updated: TimeRange,
    /// In which order; Graph's own otherwise.
    pub order: Option<Order>,
}

/// A time from its start on, and before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeRange {
    /// The first moment of it.
    pub start: Option<SystemTime>,
    /// The first moment after it.
    pub end: Option<SystemTime>,
}

/// An order of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By the last change, the oldest first.
    Updated,
    /// By the last change, the newest first.
    UpdatedDescending,
}

// === impl ListTasks ===

impl ListTasks {
    /// Graph's `$filter`: equality is all that its page names. Times are left to
    /// [`ListTasks::wants`].
    pub fn filter(&self) -> Option<String> {
        let conditions = [
            ("incidentId", self.incident_id.as_deref()),
            ("status", self.status.map(TaskStatus::as_str)),
            ("actionType", self.action_type.map(ActionType::as_str)),
        ];
        let conditions: Vec<_> = conditions
            .into_iter()
            .filter_map(|(property, value)| Some((property, value?)))
            // OData 4.01, ABNF: a quote within a literal is doubled.
            .map(|(property, value)| format!("{property} eq '{}'", value.replace('\'', "''")))
            .collect();
        (!conditions.is_empty()).then(|| conditions.join(" and "))
    }

    /// Graph's `$orderby`.
    pub fn order_by(&self) -> Option<&'static str> {
        self.order.map(|order| match order {
            Order::Updated => "lastUpdateDateTime asc",
            Order::UpdatedDescending => "lastUpdateDateTime desc",
        })
    }

    /// Whether the task is one of those that Graph was not asked to leave out.
    pub fn wants(&self, task: &Task) -> bool {
        self.created.has(task.created_at) && self.updated.has(task.updated_at)
    }

    /// All that is the same for every page, as one text: equal only for equal selections.
    pub fn selection(&self) -> String {
        let mut text = self.filter().unwrap_or_default();
        for range in [self.created, self.updated] {
            for moment in [range.start, range.end] {
                text.push('|');
                if let Some(moment) = moment {
                    // A text has no other failure.
                    write!(text, "{:?}", since_epoch(moment)).ok();
                }
            }
        }
        text.push('|');
        text.push_str(self.order_by().unwrap_or_default());
        text
    }
}

/// Nanoseconds, also before 1970.
fn since_epoch(moment: SystemTime) -> i128 {
    let nanos =
        |duration: std::time::Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match moment.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}

// === impl TimeRange ===

impl TimeRange {
    fn has(&self, moment: Option<SystemTime>) -> bool {
        if *self == Self::default() {
            return true;
        }
        // Of what Graph does not tell nobody can say that it was then.
        moment.is_some_and(|moment| {
            self.start.is_none_or(|start| start <= moment)
                && self.end.is_none_or(|end| moment < end)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_filter_is_made_of_literals_that_nothing_gets_out_of() {
        let all = ListTasks::default();
        assert_eq!(all.filter(), None);
        let some = ListTasks {
            incident_id: Some("1' or 'a' eq 'a".to_owned()),
            status: Some(TaskStatus::NotRelevant),
            action_type: Some(ActionType::IsolateDevice),
            ..all
        };
        assert_eq!(
            some.filter().unwrap(),
            "incidentId eq '1'' or ''a'' eq ''a' and status eq 'notRelevant' and actionType eq 'isolateDevice'"
        );
    }

    #[test]
    fn a_range_has_its_start_and_not_its_end() {
        let range = |start, end| TimeRange { start, end };
        for (range, moment, has) in [
            (range(None, None), None, true),
            (range(None, None), Some(at(1)), true),
            (range(Some(at(1)), None), None, false),
            (range(Some(at(1)), None), Some(at(0)), false),
            (range(Some(at(1)), None), Some(at(1)), true),
            (range(None, Some(at(2))), Some(at(1)), true),
            (range(None, Some(at(2))), Some(at(2)), false),
            (range(Some(at(1)), Some(at(2))), Some(at(1)), true),
        ] {
            assert_eq!(range.has(moment), has, "{range:?} {moment:?}");
            let task = Task {
                updated_at: moment,
                ..Task::default()
            };
            let list = ListTasks {
                updated: range,
                ..ListTasks::default()
            };
            assert_eq!(list.wants(&task), has);
        }
    }

    #[test]
    fn only_what_is_the_same_for_every_page_tells_selections_apart() {
        let one = ListTasks {
            incident_id: Some("1".to_owned()),
            ..ListTasks::default()
        };
        let mut next = one.clone();
        next.page = Page::of_query("$skiptoken=x");
        next.page_size = 7;
        assert_eq!(one.selection(), next.selection());
        let with = |change: fn(&mut ListTasks)| {
            let mut other = one.clone();
            change(&mut other);
            other.selection()
        };
        let others = [
            with(|list| list.incident_id = Some("2".to_owned())),
            with(|list| list.status = Some(TaskStatus::Open)),
            with(|list| list.action_type = Some(ActionType::Text)),
            with(|list| list.created.start = Some(at(1))),
            with(|list| list.created.end = Some(at(1))),
            with(|list| list.updated.start = Some(at(1))),
            with(|list| list.updated.end = Some(at(1))),
            with(|list| {
                list.updated.end = SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(1));
            }),
            with(|list| list.order = Some(Order::Updated)),
            with(|list| list.order = Some(Order::UpdatedDescending)),
            one.selection(),
        ];
        let distinct: std::collections::HashSet<_> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
    }
}
