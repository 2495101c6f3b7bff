//! The embedded authorizer, its tuples made of the catalog's snapshot.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use catalog::{Snapshot, tuples};
use relations::{Authorizer, Changes, Embedded, Error, Limits, Listed, Page, Query, SubjectSet, Tree, Tuple};

/// Gives the catalog as it is now.
pub type Snapshots = Arc<dyn Fn() -> Arc<Snapshot> + Send + Sync>;

/// Answers from memory, by the roles and bindings of the snapshot that this process has when it is asked: whoever has made a
/// binding and been told so is answered by it. The first one who asks after a change takes it over, which costs what has changed.
pub struct Derived {
    snapshots: Snapshots,
    embedded: Embedded,
    /// What the tuples are made of.
    seen: ArcSwap<Snapshot>,
    catching_up: Mutex<()>,
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derived").field("embedded", &self.embedded).finish_non_exhaustive()
    }
}

impl Derived {
    /// One with the tuples of the catalog as it is.
    #[must_use]
    pub fn new(snapshots: Snapshots) -> Self {
        let embedded = Embedded::new(Arc::new(relations::product_schema()), Limits::default());
        let derived = Self { snapshots, embedded, seen: ArcSwap::default(), catching_up: Mutex::new(()) };
        derived.current();
        derived
    }

    /// The authorizer, with the tuples of now.
    fn current(&self) -> &Embedded {
        if !Arc::ptr_eq(&self.seen.load(), &(self.snapshots)()) {
            let _alone = self.catching_up.lock().unwrap_or_else(PoisonError::into_inner);
            // Taken once nobody else can go further, so that nobody goes back.
            let now = (self.snapshots)();
            let changes = tuples::changes(&self.seen.load(), &now);
            if !changes.is_empty() {
                self.embedded.update(changes);
            }
            self.seen.store(now);
        }
        &self.embedded
    }
}

fn read_only() -> Error {
    Error::Refused("its tuples are made of the catalog's roles and bindings; change those".to_owned())
}

#[async_trait]
impl Authorizer for Derived {
    async fn check(&self, question: &Tuple) -> Result<bool, Error> {
        self.current().check(question).await
    }

    async fn check_all(&self, questions: &[Tuple]) -> Result<Vec<bool>, Error> {
        self.current().check_all(questions).await
    }

    async fn list(&self, query: &Query, page: Page) -> Result<Listed, Error> {
        self.current().list(query, page).await
    }

    async fn expand(&self, set: &SubjectSet, depth: u8) -> Result<Tree, Error> {
        self.current().expand(set, depth).await
    }

    async fn apply(&self, _: Changes) -> Result<(), Error> {
        Err(read_only())
    }

    async fn delete_all(&self, _: &Query) -> Result<(), Error> {
        Err(read_only())
    }
}
