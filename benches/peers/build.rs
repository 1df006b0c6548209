//! Compiles the gateway's proto without `protoc`.

use std::error::Error;

const PROTO: &str = "../../proto";
const FILE: &str = "incidentgate/v1/incident_task_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([FILE], [PROTO])?;
    tonic_prost_build::compile_fds(descriptors)?;
    Ok(())
}
