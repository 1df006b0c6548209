//! Compiles the gateway's proto without `protoc`.

use std::error::Error;

const PROTO: &str = "../../proto";
const FILE: &str = "incidentgate/v1/incident_task_service.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTO}");
    let descriptors = protox::compile([FILE], [PROTO])?;
    // The floor answers one call.
    tonic_prost_build::configure()
        .generate_default_stubs(true)
        .compile_fds(descriptors)?;
    Ok(())
}
