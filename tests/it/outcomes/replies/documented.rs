//! Replies of Microsoft's pages: executeResponseAction in its published form and
//! its drafts, "Microsoft Graph error responses", "Security API error responses".

use super::{Fixture, json, reply};

const ID: &str = "43067534-c43a-4df8-a4d1-30660b99ac76";

#[expect(clippy::too_many_lines, reason = "a table is as long as its rows")]
pub(super) fn fixtures() -> Vec<Fixture> {
    vec![
        reply("the documented success", 204, "")
            .with("request-id", ID)
            .is("OK 43067534-c43a-4df8-a4d1-30660b99ac76 | "),
        json(
            "the announced tracking object",
            200,
            r##"{"@odata.type":"#microsoft.graph.security.responseActionTracking","id":"7","status":"running"}"##,
        )
        .with("request-id", ID)
        .is("OK 43067534-c43a-4df8-a4d1-30660b99ac76 | "),
        json("a tracking object to be polled", 202, r#"{"id":"7"}"#)
            .with("Location", "/beta/security/elsewhere")
            .is("OK  | "),
        reply("partial content with one provider's timeout", 206, "")
            .with("Warning", r#"199 - "{Vendor2}/{Provider 2}/504/10000""#)
            .is("OK  | {Vendor2}/{Provider 2}/504/10s"),
        reply("warnings in one line and in two", 204, "")
            .with(
                "Warning",
                r#"199 - "{Vendor2}/{Provider 2}/504/10000",    199 - "{Vendor4}/{Provider 4}/403/10""#,
            )
            .with("Warning", r#"110 - "Response is Stale", 199 host "A/B/C/500/""#)
            .is("OK  | {Vendor2}/{Provider 2}/504/10s, {Vendor4}/{Provider 4}/403/0.010s, A/B/C/500/"),
        json(
            "draft 1: the type is not supported",
            400,
            r#"{"error":{"code":"UnsupportedActionType","message":"Action type 'text' is not supported for automated execution.","innerError":{"date":"2023-09-04T05:47:56","request-id":"43067534-c43a-4df8-a4d1-30660b99ac76","client-request-id":"b041e97f-24d2-bf6a-1731-7e0de686464c"}}}"#,
        )
        .is("FAILED_PRECONDITION | UNSUPPORTED_ACTION_TYPE (graph.microsoft.com) | NOT_STARTED | PreconditionFailure")
        .says("Action type 'text' is not supported")
        .holds("actionType", "text")
        .holds("graphRequestId", ID),
        json(
            "draft 1: already in progress",
            400,
            r#"{"error":{"code":"ActionAlreadyInProgress","message":"Response action is already in progress.","innerError":{"date":"2023-09-04T06:57:56","request-id":"43064123-b43a-4df8-a4d1-30660b99ac76","client-request-id":"5451e97f-24d2-236a-1731-1e0de686464c"}}}"#,
        )
        .is("ALREADY_EXISTS | ACTION_ALREADY_IN_PROGRESS (graph.microsoft.com) | ALREADY_STARTED | ResourceInfo")
        .holds("graphCode", "ActionAlreadyInProgress"),
        json(
            "draft 2: an invalid id",
            400,
            r#"{"error":{"code":"BadRequest","message":"Invalid incidentTask id 213213"}}"#,
        )
        .is("INVALID_ARGUMENT | BAD_REQUEST (graph.microsoft.com) | NOT_STARTED | BadRequest"),
        json(
            "draft 2: no such task",
            404,
            r#"{"error":{"code":"NotFound","message":"taskId 213213 not found"}}"#,
        )
        .is("NOT_FOUND | NOT_FOUND (graph.microsoft.com) | NOT_STARTED | ResourceInfo"),
        json(
            "draft 3: not a GUID",
            400,
            r#"{"error":{"code":"BadRequest","message":"incident task ID isn't a valid GUID"}}"#,
        )
        .is("INVALID_ARGUMENT | BAD_REQUEST (graph.microsoft.com) | NOT_STARTED | BadRequest"),
        json(
            "draft 4: must be a GUID",
            400,
            r#"{"error":{"code":"BadRequest","message":"The task ID must be a valid GUID"}}"#,
        )
        .is("INVALID_ARGUMENT | BAD_REQUEST (graph.microsoft.com) | NOT_STARTED | BadRequest"),
        json(
            "published: not supported, without a code",
            400,
            r#"{"error":{"message":"Currently submitIocRule is not supported"}}"#,
        )
        .is("FAILED_PRECONDITION | UNSUPPORTED_ACTION_TYPE (graph.microsoft.com) | NOT_STARTED | PreconditionFailure")
        .holds("actionType", "submitIocRule"),
        json(
            "nested inner errors in the table's spelling",
            403,
            r#"{"error":{"code":"accessDenied","message":"m","innererror":{"code":"provisioningNotAllowed","innererror":{"code":"accessRestricted","requestId":"b"}}}}"#,
        )
        .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
        .holds("graphInnerCode", "accessRestricted")
        .holds("graphRequestId", "b"),
        json(
            "throttled, with strings inside",
            429,
            r#"{"error":{"code":"TooManyRequests","innerError":{"code":"429","date":"2020-08-18T12:51:51","message":"Please retry after","request-id":"a","status":"429"},"message":"Please retry again later."}}"#,
        )
        .with("Retry-After", "10")
        .is("RESOURCE_EXHAUSTED | GRAPH_THROTTLED (graph.microsoft.com) | NOT_STARTED | QuotaFailure, RetryInfo 10s")
        .holds("graphInnerCode", "429"),
        json(
            "conditional access refuses",
            403,
            r#"{"error":{"code":"Forbidden","message":"insufficient_claims"}}"#,
        )
        .is("PERMISSION_DENIED | FORBIDDEN (graph.microsoft.com) | NOT_STARTED | "),
        json(
            "a concurrent change",
            409,
            r#"{"error":{"code":"Directory_ConcurrencyViolation","message":"m"}}"#,
        )
        .is("ABORTED | DIRECTORY_CONCURRENCY_VIOLATION (graph.microsoft.com) | NOT_STARTED | "),
        json("payment required", 402, r#"{"error":{"code":"paymentRequired","message":"m"}}"#)
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
        json("a range that is invalid", 416, r#"{"error":{"code":"invalidRange"}}"#)
            .is("INTERNAL | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | NOT_STARTED | "),
    ]
}
