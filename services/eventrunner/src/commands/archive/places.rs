//! Where archives are: a folder, or S3 and what speaks its language.

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, path::Path};
use url::Url;

use crate::exit::{Code, Failure, Result};

/// A folder of an object store.
#[derive(Debug)]
pub(super) struct Place {
    store: Box<dyn ObjectStore>,
    folder: Path,
    name: String,
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).map_err(|e| {
            Failure::usage(format!("{text} is no URL: {e}"))
                .hint("write it as file:///folder or s3://bucket/folder")
        })?;
        if !["file", "s3"].contains(&url.scheme()) {
            return Err(Failure::usage(format!("{text}: only file:// and s3:// are known")));
        }
        let options = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let options = options.map(|(name, value)| (name.to_ascii_lowercase(), value));
        let (store, folder) = object_store::parse_url_opts(&url, options)
            .map_err(|e| Failure::usage(format!("{text} cannot be used: {e}")))?;
        Ok(Self { store, folder, name: text.trim_end_matches('/').to_owned() })
    }

    fn at(&self, name: &str) -> Path {
        self.folder.clone().join(name)
    }

    pub(super) async fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        self.store.put(&self.at(name), bytes.into()).await.map(drop).map_err(|e| self.failed(name, &e))
    }

    /// Writes what must not be there yet.
    pub(super) async fn create(&self, name: &str, bytes: Bytes) -> Result<()> {
        let made = self.store.put_opts(&self.at(name), bytes.into(), PutMode::Create.into()).await;
        made.map(drop).map_err(|e| self.failed(name, &e))
    }

    pub(super) async fn exists(&self, name: &str) -> Result<bool> {
        match self.store.head(&self.at(name)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed(name, &error)),
        }
    }

    pub(super) async fn get(&self, name: &str) -> Result<Bytes> {
        let read = async { self.store.get(&self.at(name)).await?.bytes().await };
        read.await.map_err(|e| self.failed(name, &e))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn failed(&self, name: &str, error: &object_store::Error) -> Failure {
        use object_store::Error::{AlreadyExists, NotFound, PermissionDenied, Unauthenticated};
        let code = match error {
            NotFound { .. } => Code::NotFound,
            AlreadyExists { .. } => Code::CannotTake,
            PermissionDenied { .. } | Unauthenticated { .. } => Code::NoPermission,
            _ => Code::Unavailable,
        };
        Failure::new(code, format!("{}/{name}: {error}", self.name))
    }
}
