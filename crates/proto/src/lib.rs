//! The protobuf messages and services of `proto/`, and their conversion to and from the model.
//!
//! Three packages: [`v1`] is the public gRPC interface, [`cloudevents`] the CloudEvents protobuf format,
//! [`hops`] what travels on the inner streams. Invariant: a `model::CloudEvent` converted to any of them
//! and back is the same event, attribute for attribute and byte for byte (the public format loses the
//! offset of `time`, nothing else).

mod convert;
pub mod packed;

pub use convert::{ConvertError, batch_from_wire};
pub use generated::{
    eventrunner::{internal::v1 as hops, v1},
    io::cloudevents::v1 as cloudevents,
};

/// The encoded `FileDescriptorSet` of all of `proto/`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

// The nesting is that of the packages: generated code names its neighbours by it.
#[expect(clippy::allow_attributes, clippy::too_many_lines, unused_qualifications, reason = "generated")]
mod generated {
    pub(crate) mod eventrunner {
        pub mod v1 {
            tonic::include_proto!("eventrunner.v1");
        }
        pub(crate) mod internal {
            pub mod v1 {
                tonic::include_proto!("eventrunner.internal.v1");
            }
        }
    }
    pub(crate) mod io {
        pub(crate) mod cloudevents {
            pub mod v1 {
                tonic::include_proto!("io.cloudevents.v1");
            }
        }
    }
}
