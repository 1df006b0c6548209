//! The `incidentgate` command.

fn main() {}
