//! The one list of error codes. Each is mapped once to HTTP (`runtime::problem`) and once to gRPC
//! (`runtime::grpc`), and has a page in `docs/errors/`.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $grpc:literal, $title:literal;)*) => {
        /// What went wrong, as callers see it. The string form is stable; the HTTP status and the gRPC code follow from it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// Each code there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it stands in answers, logs and file names.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),* }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// The gRPC status code it is answered with (google.rpc.Code).
            #[must_use]
            pub const fn grpc_code(self) -> i32 {
                match self { $(Self::$name => $grpc),* }
            }

            /// One line that does not vary between occurrences (RFC 9457, section 3.1.3).
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// The code of that name.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|c| c.as_str() == code)
            }
        }
    };
}

error_codes! {
    /// The request is not what its protocol or content type says it is.
    Malformed = "malformed", 400, 3, "The request cannot be read";
    /// A CloudEvent breaks a rule of the specification.
    InvalidEvent = "invalid_event", 400, 3, "The event is not a valid CloudEvent";
    /// A query parameter, path or field has an impossible value.
    InvalidArgument = "invalid_argument", 400, 3, "A parameter has an impossible value";
    /// No credentials, or credentials nobody has.
    Unauthenticated = "unauthenticated", 401, 16, "The caller is not known";
    /// A provider's signature is missing, old or wrong.
    BadSignature = "bad_signature", 401, 16, "The signature does not match";
    /// The caller is known and may not do this.
    Forbidden = "forbidden", 403, 7, "The caller may not do this";
    /// There is no such thing, or not for this caller.
    NotFound = "not_found", 404, 5, "There is no such thing";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, 12, "The method is not allowed here";
    /// The client sent its request too slowly.
    RequestTimeout = "request_timeout", 408, 4, "The request took too long to arrive";
    /// It exists already, in another form.
    Conflict = "conflict", 409, 6, "It exists already";
    /// It is not at the revision that `If-Match` names, or is there although `If-None-Match` says it must not be.
    PreconditionFailed = "precondition_failed", 412, 10, "It has changed since it was read";
    /// The body, an event or a batch is over its limit.
    TooLarge = "too_large", 413, 11, "The request is too large";
    /// The content type or encoding is not one this door reads.
    UnsupportedMediaType = "unsupported_media_type", 415, 3, "The content type is not supported here";
    /// The request is well-formed, and what it says cannot be done.
    Unprocessable = "unprocessable", 422, 9, "The request cannot be carried out";
    /// The event's data breaks the JSON Schema of its event type.
    SchemaViolation = "schema_violation", 422, 3, "The data breaks the event type's schema";
    /// The tenant's quota is used up.
    RateLimited = "rate_limited", 429, 8, "Too many requests";
    /// A fault of ours.
    Internal = "internal", 500, 13, "Something went wrong on our side";
    /// The broker or a store does not answer, or is full. Nothing was kept, or it is not known; retry with the same id.
    Unavailable = "unavailable", 503, 14, "Try again shortly";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
