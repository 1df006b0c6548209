//! Bodies and headers in shapes that no page shows.

use super::{Fixture, json, reply};

/// `{"error":{"code":"accessDenied","message":"Insufficient privileges."}}` by gzip.
const GZIP_ERROR: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x4a\x2d\x2a\xca\x2f\x52\xb2\xaa\x56\x4a\xce\x4f\x49\x55\xb2\x52\x4a\x4c\x4e\x4e\x2d\x2e\x76\x49\xcd\xcb\x4c\x4d\x51\xd2\x51\xca\x05\x72\x12\xd3\x41\x12\x9e\x79\xc5\xa5\x69\x69\x99\xc9\x99\xa9\x79\x25\x0a\x05\x45\x99\x65\x99\x39\xa9\xe9\xa9\xc5\x7a\x4a\xb5\xb5\x00\xa4\xf9\x2d\xff\x46\x00\x00\x00";
/// `{"id":"a tracking object"}` by gzip.
const GZIP_OBJECT: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\xca\x4c\x51\xb2\x52\x4a\x54\x28\x29\x4a\x4c\xce\xce\xcc\x4b\x57\xc8\x4f\xca\x4a\x4d\x2e\x51\xaa\x05\x00\x0a\x23\x81\x7a\x1a\x00\x00\x00";
const TRUNCATED: &str = r#"{"error":{"code":"accessDenied","message":"Insuff"#;

#[expect(clippy::too_many_lines, reason = "a table is as long as its rows")]
pub(super) fn fixtures() -> Vec<Fixture> {
    let mut fixtures = encodings();
    fixtures.extend(lengths());
    fixtures.extend(vec![
        reply("a success of white space", 200, " \r\n").is("OK  | "),
        json("a success that is null", 200, "null").is("OK  | "),
        json(
            "a success that is an error",
            200,
            r#"{"error":{"code":"GatewayTimeout","message":"late"}}"#,
        )
        .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
        json("a success without an error", 200, r#"{"error":null}"#).is("OK  | "),
        json("a success that breaks off inside its JSON", 200, r#"{"id":"#)
            .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
        json("a success that the connection breaks", 200, r#"{"id":"7"}"#)
            .with("Content-Length", "400")
            .broken_off()
            .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        reply("a success of 1 MiB", 200, vec![b' '; 1024 * 1024])
            .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
        reply("a refusal of 1 MiB", 403, vec![b'x'; 1024 * 1024])
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
            .hides("xxx"),
        json("JSON that is cut", 403, TRUNCATED)
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
            .hides("Insuff"),
        json("a refusal whose reason is lost", 400, r#"{"error":{"code":"ActionAlre"#)
            .broken_off()
            .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        json("a refusal that the connection breaks", 403, TRUNCATED)
            .with("Content-Length", "400")
            .broken_off()
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | "),
        json("an empty body", 400, "")
            .is("INVALID_ARGUMENT | HTTP_400 (graph.microsoft.com) | NOT_STARTED | "),
        json("an empty object", 409, "{}").is("ABORTED | HTTP_409 (graph.microsoft.com) | NOT_STARTED | "),
        json("numbers where strings belong", 400, r#"{"error":{"code":400,"message":17,"innerError":{"request-id":9}}}"#)
            .is("INVALID_ARGUMENT | HTTP_400 (graph.microsoft.com) | NOT_STARTED | "),
        json("a number as a code", 403, r#"{"error":{"code":"80049228","message":"m"}}"#)
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
            .holds("graphCode", "80049228"),
        json("an error of OAuth's shape", 401, r#"{"error":"invalid_token","error_description":"m"}"#)
            .is("UNAUTHENTICATED | HTTP_401 (graph.microsoft.com) | NOT_STARTED | "),
        reply("inner errors to a great depth", 403, nested(60))
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .holds("graphInnerCode", "depth0"),
        reply("inner errors beyond all depth", 403, nested(50_000))
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | "),
        json(
            "a message that is not ASCII",
            403,
            "{\"error\":{\"code\":\"accessDenied\",\"message\":\"Zugriff verweigert für „Gerät“ 端末 🔒\\nZeile 2\\u0000\\u009b\"}}",
        )
        .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
        .says("für „Gerät“ 端末 🔒 Zeile 2"),
        json("a code that is not ASCII", 403, r#"{"error":{"code":"ZugriffVerweigertFürGerät","message":"m"}}"#)
            .is("PERMISSION_DENIED | ZUGRIFF_VERWEIGERT_F_R_GER_T (graph.microsoft.com) | NOT_STARTED | "),
        reply("a message without end", 403, long_message())
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .says("…"),
        reply("bytes that are not UTF-8", 403, b"{\"error\":{\"code\":\"accessDenied\",\"message\":\"\xff\xfe\"}}")
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | "),
        reply("JSON under another type", 404, br#"{"error":{"code":"itemNotFound","message":"m"}}"#)
            .with("Content-Type", "text/html")
            .is("NOT_FOUND | ITEM_NOT_FOUND (graph.microsoft.com) | NOT_STARTED | ResourceInfo"),
        json("the caller's token in the message", 403, r#"{"error":{"code":"accessDenied","message":"Bearer caller-token-marked-as-secret is bad, caller-token-marked-as-secret!"}}"#)
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .says("is bad")
            .hides("marked-as-secret"),
        json("the gateway's token in code and message", 403, r#"{"error":{"code":"gateway-token-marked-as-secret","message":"x gateway-token-marked-as-secret"}}"#)
            .for_the_own_token()
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
            .hides("marked-as-secret"),
        json("the caller's token in JSON's other spelling", 403, r#"{"error":{"code":"accessDenied","message":"token=caller\u002Dtoken\u002dmarked-as-secret"}}"#)
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .hides("marked-as-secret"),
        json("another token as the code", 403, r#"{"error":{"code":"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0","message":"m"}}"#)
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | ")
            .hides("eyJ")
            .hides("EY_JHB"),
        json("a URL with the id in the message", 404, r#"{"error":{"code":"itemNotFound","message":"No resource at https://graph.microsoft.com/beta/security/incidentTasks/213213."}}"#)
            .is("NOT_FOUND | ITEM_NOT_FOUND (graph.microsoft.com) | NOT_STARTED | ResourceInfo")
            .says("No resource at")
            .hides("213213"),
        json("a request-id in the header and another inside", 403, r#"{"error":{"code":"accessDenied","innerError":{"request-id":"inside"}}}"#)
            .with("request-id", "outside")
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .holds("graphRequestId", "outside"),
        json("a request-id that is none, and one inside", 403, r#"{"error":{"code":"accessDenied","innerError":{"requestId":"inside"}}}"#)
            .with("request-id", "<script>\"'")
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .holds("graphRequestId", "inside")
            .hides("script"),
        reply("a request-id that is too long", 204, "")
            .with("request-id", "x".repeat(65))
            .is("OK  | "),
        reply("a request-id that is not ASCII", 204, "").with("request-id", "ü").is("OK  | "),
        reply("warnings that are none", 204, "")
            .with("Warning", r#"299 - "a/b/500/1", 199, 199 - "a/b/c/d", 199 - "x""#)
            .is("OK  | "),
    ]);
    fixtures
}

fn encodings() -> Vec<Fixture> {
    vec![
        reply("an error by gzip", 403, GZIP_ERROR)
            .encoded("gzip")
            .is("PERMISSION_DENIED | ACCESS_DENIED (graph.microsoft.com) | NOT_STARTED | ")
            .says("Insufficient privileges."),
        reply("a success by gzip", 200, GZIP_OBJECT)
            .encoded("gzip")
            .is("OK  | "),
        reply("an empty success by gzip", 200, "")
            .encoded("gzip")
            .is("OK  | "),
        reply("no content by gzip", 204, "")
            .encoded("gzip")
            .is("OK  | "),
        reply("a success whose gzip is cut", 200, &GZIP_OBJECT[..20])
            .encoded("gzip")
            .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        reply(
            "a success that only claims to be gzip",
            200,
            "{}".as_bytes(),
        )
        .encoded("gzip")
        .is("UNKNOWN | GRAPH_RESPONSE_LOST (incidentgate) | UNKNOWN | "),
        reply("an error whose gzip is cut", 403, &GZIP_ERROR[..20])
            .encoded("gzip")
            .is("PERMISSION_DENIED | HTTP_403 (graph.microsoft.com) | NOT_STARTED | "),
        reply(
            "a success in an encoding that was not asked for",
            200,
            "\u{3}\u{2}".as_bytes(),
        )
        .encoded("br")
        .is("UNKNOWN | UNEXPECTED_GRAPH_RESPONSE (incidentgate) | UNKNOWN | "),
    ]
}

/// Texts at the end of what is handed on, and beyond it.
fn lengths() -> Vec<Fixture> {
    let challenge = |length| format!("Bearer realm=\"\", claims=\"{}\"", "Q".repeat(length));
    let longest = format!(
        r#"{{"error":{{"code":"{long}","message":"{long}","innerError":{{"code":"{long}"}}}}}}"#,
        long = "端末".repeat(500)
    );
    vec![
        reply("everything at its longest", 401, longest)
            .with("WWW-Authenticate", challenge(1024))
            .with("request-id", "r".repeat(64))
            .is("UNAUTHENTICATED | HTTP_401 (graph.microsoft.com) | NOT_STARTED | claims"),
        reply("a challenge that would be too long", 401, "")
            .with("WWW-Authenticate", challenge(1025))
            .is("UNAUTHENTICATED | HTTP_401 (graph.microsoft.com) | NOT_STARTED | "),
        reply("a code that makes too long a reason", 403, format!(r#"{{"error":{{"code":"{}"}}}}"#, "aB".repeat(32)))
            .is("PERMISSION_DENIED | A_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_BA_B (graph.microsoft.com) | NOT_STARTED | "),
    ]
}

/// An error with so many inner errors, the innermost with the code `depth0`.
fn nested(depth: usize) -> Vec<u8> {
    let mut body = br#"{"error":{"code":"accessDenied""#.to_vec();
    for level in (0..depth).rev() {
        body.extend(format!(r#","innerError":{{"code":"depth{level}""#).bytes());
    }
    body.extend("}".repeat(depth + 2).bytes());
    body
}

fn long_message() -> Vec<u8> {
    let message = "Ein sehr langer Satz über 端末. ".repeat(1000);
    format!(r#"{{"error":{{"code":"accessDenied","message":"{message}"}}}}"#).into_bytes()
}
