//! `grpc.health.v1` and reflection.

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::{ServingStatus, server::HealthReporter};
use tonic_reflection::server::Error;

use crate::SERVICE_NAME;

/// Files that are no public interface.
const INTERNAL: &str = "eventrunner/internal/";

/// What reflection tells: what is served here, and the messages it speaks of.
fn descriptors() -> Result<FileDescriptorSet, Error> {
    let mut set = FileDescriptorSet::decode(proto::DESCRIPTORS)?;
    set.file.retain(|file| !file.name().starts_with(INTERNAL));
    Ok(set)
}

/// Reflection v1, and v1alpha for older tools.
///
/// # Errors
/// If the descriptors built into this program cannot be read.
pub(crate) fn reflection(routes: Routes) -> Result<Routes, Error> {
    let builder = || -> Result<_, Error> {
        Ok(tonic_reflection::server::Builder::configure()
            .register_file_descriptor_set(descriptors()?)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(SERVICE_NAME)
            .with_service_name("grpc.health.v1.Health"))
    };
    Ok(routes.add_service(builder()?.build_v1()?).add_service(builder()?.build_v1alpha()?))
}

/// Tells the health of the server as a whole (the empty name) and of the service, until `draining`; it is then off for good
/// and `closing` is set, so that whoever watches learns it before the watch ends.
pub(crate) async fn health(
    reporter: HealthReporter,
    mut ready: watch::Receiver<bool>,
    draining: CancellationToken,
    closing: CancellationToken,
) {
    let tell = async |serving: bool| {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        reporter.set_service_status("", status).await;
        reporter.set_service_status(SERVICE_NAME, status).await;
    };
    loop {
        let now = *ready.borrow_and_update();
        tell(now).await;
        tokio::select! {
            () = draining.cancelled() => break,
            changed = ready.changed() => {
                if changed.is_err() {
                    // Nobody tells any more: what was last said holds.
                    draining.cancelled().await;
                    break;
                }
            }
        }
    }
    tell(false).await;
    closing.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_hops_are_not_shown() {
        let files: Vec<String> = descriptors().unwrap().file.iter().map(|f| f.name().to_owned()).collect();
        assert!(files.iter().any(|f| f == "eventrunner/v1/ingest.proto"), "{files:?}");
        assert!(!files.iter().any(|f| f.contains("internal")), "{files:?}");
    }
}
