//! Tasks in JSON, read leniently: the documentation's samples contradict its types
//! (`source` is no member of its enumeration, times have seven digits of a second), and a
//! property may vanish. What has another form than expected is absent.

use std::time::SystemTime;

use serde_json_borrow::Value;
use time::{
    OffsetDateTime, PrimitiveDateTime,
    format_description::well_known::{Iso8601, Rfc3339},
};

use super::error_body::only;
use crate::{
    command::Page as NextPage,
    task::{Member, Open, ResponseAction, Task},
};

const NEXT_LINK: &str = "@odata.nextLink";

/// Some of the tasks, and the way to others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The tasks, in Graph's order.
    pub tasks: Vec<Task>,
    /// Where the next page is.
    pub next: Option<NextPage>,
}

/// A task; nothing if it is none: no object with an id or the state of an action.
pub fn read_task(body: &[u8]) -> Option<Task> {
    let document: Value<'_> = serde_json::from_slice(body).ok()?;
    task(&document)
}

/// A page, and the link to the next one. Nothing if it is none: no object with an array, or
/// one that holds something else than tasks.
pub fn read_page(body: &[u8]) -> Option<(Page, Option<String>)> {
    let document: Value<'_> = serde_json::from_slice(body).ok()?;
    let tasks = only(&document, "value")?.as_array()?;
    let tasks = tasks.iter().map(task).collect::<Option<_>>()?;
    let page = Page { tasks, next: None };
    let has_link = document
        .as_object()?
        .iter()
        .any(|(name, link)| name == NEXT_LINK && !link.is_null());
    if !has_link {
        return Some((page, None));
    }
    // What is there and no link would make an early end of the list.
    Some((page, Some(text(&document, NEXT_LINK)?)))
}

fn task(value: &Value<'_>) -> Option<Task> {
    let is_error = only(value, "error").is_some_and(|error| !error.is_null());
    let task = Task {
        id: text(value, "id"),
        incident_id: only(value, "incident").and_then(|incident| text(incident, "id")),
        status: word(value, "status"),
        action_status: word(value, "actionStatus"),
        action_type: word(value, "actionType"),
        source: word(value, "source"),
        display_name: text(value, "displayName"),
        description: text(value, "description"),
        created_at: moment(value, "createdDateTime"),
        created_by: text(value, "createdByDisplayName"),
        updated_at: moment(value, "lastModifiedDateTime"),
        updated_by: text(value, "lastModifiedByDisplayName"),
        response_action: only(value, "responseAction")
            .filter(|action| action.is_object())
            .map(response_action),
    };
    let is_task = task.id.is_some() || task.action_status.is_some();
    (is_task && !is_error).then_some(task)
}

fn response_action(value: &Value<'_>) -> ResponseAction {
    ResponseAction {
        odata_type: text(value, "@odata.type"),
        identifier_value: text(value, "identifierValue"),
        isolation_type: word(value, "isolationType"),
    }
}

/// A text that is not empty; an id may be a number.
fn text(value: &Value<'_>, name: &str) -> Option<String> {
    let text = match only(value, name)? {
        Value::Str(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn word<E: Member>(value: &Value<'_>, name: &str) -> Option<Open<E>> {
    let word = only(value, name)?.as_str()?;
    (!word.is_empty()).then(|| Open::of(word))
}

/// RFC 3339; Graph also has times without a zone, which are UTC.
fn moment(value: &Value<'_>, name: &str) -> Option<SystemTime> {
    let text = only(value, name)?.as_str()?;
    OffsetDateTime::parse(text, &Rfc3339)
        .or_else(|_| {
            PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).map(PrimitiveDateTime::assume_utc)
        })
        .ok()
        .map(SystemTime::from)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::task::{ActionStatus, ActionType, IsolationType, Source, TaskStatus};

    /// The sample of Graph's page "Get incidentTask".
    const SAMPLE: &str = r##"{"@odata.type":"#microsoft.graph.security.incidentTask","id":"213213","incident":{"@odata.type":"#microsoft.graph.security.incident","id":"123"},"status":"open","source":"defenderExpertsXDR","displayName":"Isolate device testmachine20","description":"This action will isolate device testmachine20 from the network.","createdDateTime":"2023-06-26T19:07:39.7433333Z","createdByDisplayName":"Defender Experts","lastModifiedDateTime":"2023-06-27T10:49:33.98Z","lastModifiedByDisplayName":"bealfasi","actionType":"isolateDevice","actionStatus":"notStarted","responseAction":{"@odata.type":"#microsoft.graph.security.isolateDeviceResponseAction","isolationType":"full","identifierValue":"02851525-dc00-438b-83f5-3b2947bf4a48"}}"##;

    fn owned(text: &str) -> String {
        text.to_owned()
    }

    #[test]
    fn the_documented_sample_is_read_whole() {
        let at = |seconds, nanos| Some(UNIX_EPOCH + Duration::new(seconds, nanos));
        let want = Task {
            id: Some(owned("213213")),
            incident_id: Some(owned("123")),
            status: Some(Open::Known(TaskStatus::Open)),
            action_status: Some(Open::Known(ActionStatus::NotStarted)),
            action_type: Some(Open::Known(ActionType::IsolateDevice)),
            // The sample's, which the page's own enumeration does not have.
            source: Some(Open::Unknown("defenderExpertsXDR".into())),
            display_name: Some(owned("Isolate device testmachine20")),
            description: Some(owned(
                "This action will isolate device testmachine20 from the network.",
            )),
            created_at: at(1_687_806_459, 743_333_300),
            created_by: Some(owned("Defender Experts")),
            updated_at: at(1_687_862_973, 980_000_000),
            updated_by: Some(owned("bealfasi")),
            response_action: Some(ResponseAction {
                odata_type: Some(owned(
                    "#microsoft.graph.security.isolateDeviceResponseAction",
                )),
                identifier_value: Some(owned("02851525-dc00-438b-83f5-3b2947bf4a48")),
                isolation_type: Some(Open::Known(IsolationType::Full)),
            }),
        };
        assert_eq!(read_task(SAMPLE.as_bytes()), Some(want));
    }

    #[test]
    fn every_documented_member_is_read() {
        fn each<E: Member + std::fmt::Debug + PartialEq>(
            name: &str,
            of: impl Fn(Task) -> Option<Open<E>>,
        ) {
            for member in E::ALL {
                let body = format!(r#"{{"id":"1","{name}":"{}"}}"#, member.as_str());
                let task = read_task(body.as_bytes()).unwrap();
                assert_eq!(of(task), Some(Open::Known(*member)), "{body}");
            }
        }
        each::<ActionStatus>("actionStatus", |task| task.action_status);
        each::<ActionType>("actionType", |task| task.action_type);
        each::<TaskStatus>("status", |task| task.status);
        each::<Source>("source", |task| task.source);
    }

    #[test]
    fn what_has_another_form_is_absent_and_what_is_said_twice_is_not_said() {
        let bare = Task {
            id: Some(owned("1")),
            ..Task::default()
        };
        for members in [
            "",
            r#","status":null,"actionStatus":7,"actionType":["text"],"source":"""#,
            r#","incident":"123","responseAction":null"#,
            r#","incident":{"id":null},"responseAction":"isolate""#,
            r#","createdDateTime":"yesterday","lastModifiedDateTime":0"#,
            r#","createdDateTime":"2023-02-30T00:00:00Z","displayName":{}"#,
            r#","actionStatus":"failed","actionStatus":"notStarted""#,
            r#","error":null,"anything":{"else":[1]}"#,
        ] {
            let body = format!(r#"{{"id":"1"{members}}}"#);
            assert_eq!(read_task(body.as_bytes()), Some(bare.clone()), "{body}");
        }
        let numbered = read_task(br#"{"id":213213}"#).unwrap();
        assert_eq!(numbered.id, Some(owned("213213")));
    }

    #[test]
    fn times_have_any_fraction_and_any_zone_or_none() {
        for (text, seconds, nanos) in [
            ("2023-06-26T19:07:39Z", 1_687_806_459, 0),
            ("2023-06-26T21:07:39+02:00", 1_687_806_459, 0),
            ("2023-06-26T19:07:39", 1_687_806_459, 0),
            ("2023-06-26T19:07:39.5", 1_687_806_459, 500_000_000),
            ("1970-01-01T00:00:00.0000001Z", 0, 100),
        ] {
            let body = format!(r#"{{"id":"1","createdDateTime":"{text}"}}"#);
            let want = Some(UNIX_EPOCH + Duration::new(seconds, nanos));
            assert_eq!(
                read_task(body.as_bytes()).unwrap().created_at,
                want,
                "{text}"
            );
        }
        // What .NET writes for no time at all.
        let least = read_task(br#"{"id":"1","createdDateTime":"0001-01-01T00:00:00Z"}"#);
        assert!(least.unwrap().created_at.unwrap() < UNIX_EPOCH);
    }

    #[test]
    fn what_is_no_task_and_no_page_is_nothing() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"status":"open"}"#,
            r#"{"id":""}"#,
            r#"{"id":"1","error":{"code":"x"}}"#,
            r#"{"id":"1"} "#.trim_end().trim_end_matches('}'),
        ] {
            assert_eq!(read_task(body.as_bytes()), None, "{body}");
            assert_eq!(read_page(body.as_bytes()), None, "{body}");
        }
        for body in [
            r#"{"value":{}}"#,
            r#"{"value":[{}]}"#,
            r#"{"value":[{"id":"1"},7]}"#,
            r#"{"value":[],"value":[]}"#,
            r#"{"value":[],"@odata.nextLink":[]}"#,
            r#"{"value":[],"@odata.nextLink":"a","@odata.nextLink":"b"}"#,
        ] {
            assert_eq!(read_page(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn a_page_has_its_tasks_in_order_and_the_link_to_the_next() {
        let (page, link) = read_page(br#"{"value":[]}"#).unwrap();
        assert_eq!((page, link), (Page::default(), None));
        let body = br#"{"value":[{"id":"2"},{"id":"1"}],"@odata.nextLink":"https://graph/x?y"}"#;
        let (page, link) = read_page(body).unwrap();
        let ids: Vec<_> = page.tasks.into_iter().filter_map(|task| task.id).collect();
        assert_eq!(ids, ["2", "1"]);
        assert_eq!(link, Some(owned("https://graph/x?y")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(body: Vec<u8>) {
            let _result = (read_task(&body), read_page(&body));
        }
    }
}
