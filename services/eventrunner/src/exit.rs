//! How the program ends: the exit codes, which `docs/cli.md` lists, and the error that carries one.

use std::{fmt, process::ExitCode};

use model::ErrorCode;

macro_rules! codes {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        /// Exit codes. Above 63 as in BSD's sysexits(3), so that scripts can tell them apart.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Code {
            $(#[doc = $meaning] $name = $number,)*
        }

        impl Code {
            /// Each code with its meaning, for the docs.
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$name, $meaning)),*];
        }
    };
}

codes! {
    Done = 0, "Done. After Ctrl-C: everything in flight was finished";
    Failed = 1, "Something failed that has no code of its own: a service crashed, a check of `doctor` failed";
    Usage = 64, "The command line is wrong";
    Data = 65, "The input is wrong: an event, a resource or a file was refused";
    NotFound = 66, "What was asked for is not there: a file, an event, a resource";
    Unavailable = 69, "A server does not answer, answers 5xx or 429 to the end, or nats-server is missing";
    CannotTake = 73, "Something needed is in use or used up: a port, the data folder, the disk, the lease of a set that somebody else applies";
    Undrained = 75, "Stopped with work unfinished: a second signal, or the drain took too long (nothing accepted is lost); what `wait` waits for did not come in time";
    NoPermission = 77, "Not allowed: the API key, the scope, or the rights on a folder or file";
    Config = 78, "The configuration is wrong";
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

impl From<runtime::lifecycle::Exit> for Code {
    fn from(exit: runtime::lifecycle::Exit) -> Self {
        use runtime::lifecycle::Exit;
        match exit {
            Exit::Done => Self::Done,
            Exit::Failed => Self::Failed,
            Exit::Usage => Self::Usage,
            Exit::Config => Self::Config,
            Exit::Start => Self::Unavailable,
            Exit::Undrained => Self::Undrained,
        }
    }
}

/// Why the program ends otherwise than well: what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// The code with which a server refused it.
    pub(crate) error: Option<ErrorCode>,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, error: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn data(message: impl Into<String>) -> Self {
        Self::new(Code::Data, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Code::Unavailable, message)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Code::Config, message)
    }

    /// The code with which a server refused it.
    #[must_use]
    pub(crate) fn refused(mut self, error: Option<ErrorCode>) -> Self {
        self.error = error;
        self
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A file or folder that could not be used.
    pub(crate) fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let message = format!("{what} {}: {error}", path.display());
        match error.kind() {
            ErrorKind::NotFound => Self::new(Code::NotFound, message),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::new(Code::NoPermission, message)
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::new(Code::CannotTake, message),
            _ => Self::failed(message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {}", hint.replace('\n', "\n  ")),
            None => Ok(()),
        }
    }
}

/// The exit code for an error code that a server or the catalog answered with.
pub(crate) fn code_of(code: ErrorCode) -> Code {
    match code.http_status() {
        401 | 403 => Code::NoPermission,
        404 => Code::NotFound,
        408 | 429 | 503 => Code::Unavailable,
        400..500 => Code::Data,
        _ => Code::Failed,
    }
}

impl From<bus::Error> for Failure {
    fn from(error: bus::Error) -> Self {
        match error {
            bus::Error::Mismatch(_) | bus::Error::Login(_) => Self::config(error.to_string()),
            _ => Self::unavailable(error.to_string()),
        }
    }
}
