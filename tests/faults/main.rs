//! Every fault that can be made on one machine, and whether what was told is true.
//!
//! | file | is |
//! |---|---|
//! | `hit` | what Graph makes of one POST or one look, and what that tells |
//! | `gateway` | a gateway before a simulated Graph, and its callers |
//! | `told` | what a caller heard |
//! | `claims` | what the log says that a caller may not have heard |
//! | `truth` | what nobody may ever say, whatever the plan was |
//! | `product` | every fault, start, look and caller, row by row |
//! | `unreachable` | the same for a Graph that cannot be reached |
//! | `plan`, `evidence`, `soak` | many calls at once, drawn by a seed |
//!
//! Apart from `tests/it`: the calls run on several threads, as in the program, so the log
//! has to be the process's.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
#![allow(
    clippy::print_stdout,
    reason = "the counts are what these tests are for"
)]

mod claims;
mod evidence;
mod gateway;
mod hit;
mod plan;
mod product;
mod soak;
mod told;
mod truth;
mod unreachable;
