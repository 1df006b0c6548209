//! A list of tasks: Graph's query parameters, as far as its page names them, and pages.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::task::{CREATED, Task};
use super::world::CONTEXT;

/// Graph's own page size, and the most of it.
const MAX_TOP: usize = 500;

/// Which tasks, in which order, from where on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    /// Properties and what they have to be.
    equal: Vec<(String, String)>,
    order: Option<Order>,
    top: usize,
    skip: usize,
    /// The query without the page, for the link to the next one.
    rest: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

impl Listing {
    /// Reads the query; the error is Graph's message.
    pub(super) fn parse(query: &str) -> Result<Listing, String> {
        let mut listing = Listing {
            top: MAX_TOP,
            ..Listing::default()
        };
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "$filter" => listing.equal = filter(&value)?,
                "$orderby" => listing.order = Some(order(&value)?),
                "$top" => {
                    let top = value.parse().ok();
                    listing.top = top
                        .filter(|top| (1..=MAX_TOP).contains(top))
                        .ok_or_else(|| format!("Invalid value '{value}' for $top."))?;
                }
                "$skiptoken" => {
                    let skip = value
                        .strip_prefix("after-")
                        .and_then(|skip| skip.parse().ok());
                    listing.skip = skip.ok_or("Invalid $skiptoken.")?;
                    continue;
                }
                "$select" => {}
                _ => return Err(format!("The query parameter '{name}' is not supported.")),
            }
            rest.append_pair(&name, &value);
        }
        listing.rest = rest.finish();
        Ok(listing)
    }

    /// The page of these tasks, which are sorted by id; `url` is where the list is.
    pub(super) fn page(&self, tasks: Vec<Task>, url: &str) -> Value {
        let mut tasks: Vec<_> = tasks.into_iter().filter(|task| self.has(task)).collect();
        match self.order {
            Some(Order::Ascending) => tasks.sort_by_key(Task::last_modified),
            Some(Order::Descending) => {
                tasks.sort_by_key(|task| std::cmp::Reverse(task.last_modified()));
            }
            None => {}
        }
        let end = self.skip.saturating_add(self.top);
        let value: Vec<_> = tasks
            .iter()
            .skip(self.skip)
            .take(self.top)
            .map(Task::resource)
            .collect();
        let mut page = json!({"@odata.context": CONTEXT, "value": value});
        if tasks.len() > end {
            let rest = Some(&self.rest).filter(|rest| !rest.is_empty());
            let rest = rest.map(|rest| format!("{rest}&")).unwrap_or_default();
            page["@odata.nextLink"] = json!(format!("{url}?{rest}$skiptoken=after-{end}"));
        }
        page
    }

    fn has(&self, task: &Task) -> bool {
        let resource = task.resource();
        self.equal.iter().all(|(property, wanted)| {
            let value = match property.as_str() {
                "incidentId" => json!(task.incident_id),
                "createdDateTime" => json!(CREATED),
                "lastUpdateDateTime" => json!(task.last_modified()),
                other => resource[other].clone(),
            };
            value == *wanted
        })
    }
}

/// `property eq 'literal'`, joined by `and`: equality is all that the page names.
fn filter(text: &str) -> Result<Vec<(String, String)>, String> {
    const PROPERTIES: [&str; 5] = [
        "incidentId",
        "status",
        "actionType",
        "createdDateTime",
        "lastUpdateDateTime",
    ];
    let wrong = || format!("Invalid filter clause: {text}");
    let mut conditions = Vec::new();
    let mut rest = text.trim();
    loop {
        let (property, after) = rest.split_once(" eq ").ok_or_else(wrong)?;
        if !PROPERTIES.contains(&property.trim()) {
            return Err(wrong());
        }
        let (literal, after) = literal(after.trim_start()).ok_or_else(wrong)?;
        conditions.push((property.trim().to_owned(), literal));
        rest = after.trim_start();
        if rest.is_empty() {
            return Ok(conditions);
        }
        rest = rest.strip_prefix("and ").ok_or_else(wrong)?;
    }
}

/// A literal and what follows: in quotes, or a time without any.
fn literal(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        return (!word.is_empty()).then(|| (word.to_owned(), rest));
    };
    let mut literal = String::new();
    loop {
        let (part, after) = rest.split_once('\'')?;
        literal.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                literal.push('\'');
                rest = after;
            }
            None => return Some((literal, after)),
        }
    }
}

fn order(text: &str) -> Result<Order, String> {
    match text {
        "lastUpdateDateTime" | "lastUpdateDateTime asc" => Ok(Order::Ascending),
        "lastUpdateDateTime desc" => Ok(Order::Descending),
        _ => Err(format!("Invalid $orderby clause: {text}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_by_their_grammar() {
        let pair = |property: &str, literal: &str| (property.to_owned(), literal.to_owned());
        for (text, want) in [
            ("incidentId eq '123'", vec![pair("incidentId", "123")]),
            (
                "incidentId eq 'a'' and status eq ''b'",
                vec![pair("incidentId", "a' and status eq 'b")],
            ),
            (
                "status eq 'open' and actionType eq 'isolateDevice'",
                vec![pair("status", "open"), pair("actionType", "isolateDevice")],
            ),
            (
                "createdDateTime eq 2023-06-26T19:07:39.7433333Z",
                vec![pair("createdDateTime", CREATED)],
            ),
        ] {
            assert_eq!(filter(text), Ok(want), "{text}");
        }
        for text in [
            "",
            "status",
            "status ne 'open'",
            "displayName eq 'x'",
            "status eq 'open",
            "status eq 'open' or status eq 'failed'",
            "status eq 'open' and",
        ] {
            assert!(filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let tasks: Vec<_> = (0..5).map(|n| Task::new(n.to_string())).collect();
        let mut query = "$top=2&$filter=status%20eq%20%27open%27".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = Listing::parse(&query)
                .unwrap()
                .page(tasks.clone(), "http://h/list");
            let ids = page["value"].as_array().unwrap().iter();
            seen.push(
                ids.map(|task| task["id"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>(),
            );
            let Some(link) = page["@odata.nextLink"].as_str() else {
                break;
            };
            query = link.strip_prefix("http://h/list?").unwrap().to_owned();
        }
        assert_eq!(seen, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
    }

    #[test]
    fn what_the_page_does_not_name_is_refused() {
        for query in [
            "$top=0",
            "$top=501",
            "$top=x",
            "$skiptoken=1",
            "$expand=incident",
            "$orderby=id",
        ] {
            assert!(Listing::parse(query).is_err(), "{query}");
        }
        assert_eq!(Listing::parse("").unwrap().top, 500);
    }
}
