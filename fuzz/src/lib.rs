//! The fuzz targets' half of the crate's promises: the checks themselves are the test
//! suite's own, so that both always check the same.

#![allow(dead_code, unused_imports, reason = "the suite uses more of it")]

#[path = "../../tests/it/promises/mod.rs"]
mod promises;

macro_rules! targets {
    ($($name:ident),*) => {
        $(
            /// Panics where the input breaks the promise.
            pub fn $name(data: &[u8]) {
                promises::$name(data);
            }
        )*
    };
}

targets!(
    error_body,
    forwarded_certificate,
    grpc_timeout,
    retry_after,
    status_budget,
    task,
    token,
    warning
);
