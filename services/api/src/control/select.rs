//! Lists: narrowed by labels and text, sorted, and walked by a cursor that says where one left off.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use catalog::{Resource, Snapshot};
use model::{Micros, TenantId, Text, parse_rfc3339};
use serde::{Deserialize, Serialize};

use crate::params::Params;

/// Most in a page.
pub(crate) const LIMIT_MAX: u32 = 1_000;

/// What is asked of a list.
#[derive(Debug)]
pub(crate) struct Select {
    labels: Vec<LabelTest>,
    text: Option<String>,
    sort: Sort,
    pub(crate) deleted: bool,
    limit: usize,
    after: Option<Cursor>,
}

/// One condition on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LabelTest {
    /// `name`.
    Has(String),
    /// `!name`.
    HasNot(String),
    /// `name=value`.
    Is(String, String),
    /// `name!=value`: another value, or none.
    IsNot(String, String),
}

impl LabelTest {
    fn parse(text: &str) -> Result<Self, String> {
        let form = "must be name, !name, name=value or name!=value";
        let (name, test) = match text.split_once('=') {
            Some((name, value)) => match name.strip_suffix('!') {
                Some(name) => (name, Self::IsNot(name.to_owned(), value.to_owned())),
                None => (name, Self::Is(name.to_owned(), value.to_owned())),
            },
            None => match text.strip_prefix('!') {
                Some(name) => (name, Self::HasNot(name.to_owned())),
                None => (text, Self::Has(text.to_owned())),
            },
        };
        if name.is_empty() || name.contains('!') { Err(form.to_owned()) } else { Ok(test) }
    }

    fn holds<R: Resource>(&self, resource: &R) -> bool {
        let labels = &resource.meta().labels;
        match self {
            Self::Has(name) => labels.contains_key(name),
            Self::HasNot(name) => !labels.contains_key(name),
            Self::Is(name, value) => labels.get(name) == Some(value),
            Self::IsNot(name, value) => labels.get(name) != Some(value),
        }
    }
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sort {
    by: Field,
    descending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Field {
    Id,
    Name,
    Created,
    Updated,
}

/// The words of `sort`.
pub(crate) const SORTS: [(&str, Sort); 8] = {
    use Field::{Created, Id, Name, Updated};
    const fn up(by: Field) -> Sort {
        Sort { by, descending: false }
    }
    const fn down(by: Field) -> Sort {
        Sort { by, descending: true }
    }
    [
        ("id", up(Id)),
        ("-id", down(Id)),
        ("name", up(Name)),
        ("-name", down(Name)),
        ("created_at", up(Created)),
        ("-created_at", down(Created)),
        ("updated_at", up(Updated)),
        ("-updated_at", down(Updated)),
    ]
};

/// Where one left off: the place of the last one that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    sort: Sort,
    place: Place,
}

/// The place of a resource in an order. Whole: no two resources of a kind have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    time: Micros,
    text: String,
    /// Not as a tenant's id: what is the fleet's has none.
    tenant: Text,
    id: String,
}

/// One resource of a page.
pub(crate) struct Found<'a, R> {
    pub(crate) resource: &'a R,
    pub(crate) revision: u64,
    pub(crate) deleted_at: Option<&'a str>,
}

impl Select {
    /// Takes its parameters out of the query.
    pub(crate) fn take(params: &mut Params) -> Self {
        Self::take_pages_of(params, 100)
    }

    /// The same, with so many in a page where the query does not say how many.
    pub(crate) fn take_pages_of(params: &mut Params, limit: u32) -> Self {
        let sort = params.choice("sort", &SORTS).unwrap_or(Sort { by: Field::Id, descending: false });
        let cursor = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok();
            let cursor = bytes.and_then(|bytes| serde_json::from_slice::<Cursor>(&bytes).ok());
            cursor
                .filter(|cursor| cursor.sort == sort)
                .ok_or_else(|| "use the next_cursor of a previous page, with the same sort".to_owned())
        };
        Self {
            labels: params.many_read("label", LabelTest::parse),
            text: params.one("q").map(|text| text.to_lowercase()),
            deleted: params.choice("deleted", &[("true", true), ("false", false)]).unwrap_or(false),
            limit: usize::try_from(params.limit(limit, LIMIT_MAX)).unwrap_or(usize::MAX),
            after: params.read("cursor", cursor),
            sort,
        }
    }

    fn matches<R: Resource>(&self, resource: &R) -> bool {
        let texts = [resource.id(), resource.name(), &resource.meta().description];
        self.labels.iter().all(|label| label.holds(resource))
            && self.text.as_ref().is_none_or(|q| texts.iter().any(|t| t.to_lowercase().contains(q)))
    }

    fn place<R: Resource>(&self, resource: &R) -> Place {
        let time = |text: &str| parse_rfc3339(text).unwrap_or(Micros::MIN);
        let meta = resource.meta();
        Place {
            time: match self.sort.by {
                Field::Created => time(&meta.created_at),
                Field::Updated => time(&meta.updated_at),
                Field::Id | Field::Name => 0,
            },
            text: if self.sort.by == Field::Name { resource.name().to_owned() } else { String::new() },
            tenant: resource.tenant().as_text().clone(),
            id: resource.id().to_owned(),
        }
    }

    /// One page of what there is, and the cursor of the next.
    pub(crate) fn page<'a, R: Resource>(
        &self,
        snapshot: &'a Snapshot,
        tenant: Option<&TenantId>,
    ) -> (Vec<Found<'a, R>>, Option<String>) {
        let found = |resource, revision, deleted_at| Found { resource, revision, deleted_at };
        let mut all: Vec<(Place, Found<'a, R>)> = if self.deleted {
            let each = snapshot.each_deleted::<R>(tenant);
            let each = each.map(|e| found(&e.value.resource, e.revision, Some(&*e.value.deleted_at)));
            self.after_cursor(each)
        } else {
            self.after_cursor(snapshot.each::<R>(tenant).map(|e| found(&*e.value, e.revision, None)))
        };
        let order = |a: &(Place, Found<'a, R>), b: &(Place, Found<'a, R>)| self.order(&a.0, &b.0);
        let more = all.len() > self.limit;
        if more {
            // Only the page is sorted, however many there are.
            all.select_nth_unstable_by(self.limit - 1, order);
            all.truncate(self.limit);
        }
        all.sort_unstable_by(order);
        let next = all.last().filter(|_| more).map(|(place, _)| self.cursor(place));
        (all.into_iter().map(|(_, found)| found).collect(), next)
    }

    fn after_cursor<'a, R: Resource>(
        &self,
        each: impl Iterator<Item = Found<'a, R>>,
    ) -> Vec<(Place, Found<'a, R>)> {
        each.filter(|found| self.matches(found.resource))
            .map(|found| (self.place(found.resource), found))
            .filter(|(place, _)| {
                self.after.as_ref().is_none_or(|after| self.order(&after.place, place).is_lt())
            })
            .collect()
    }

    fn order(&self, a: &Place, b: &Place) -> std::cmp::Ordering {
        if self.sort.descending { b.cmp(a) } else { a.cmp(b) }
    }

    fn cursor(&self, place: &Place) -> String {
        let cursor = Cursor { sort: self.sort, place: place.clone() };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use model::resource::Customer;
    use serde_json::json;

    use super::*;

    fn customers(count: usize) -> Snapshot {
        (0..count).fold(Snapshot::default(), |snapshot, n| {
            let customer: Customer = serde_json::from_value(json!({
                "tenant": "acme", "id": format!("c{n:02}"), "name": format!("Name {}", n % 3),
                "labels": {"parity": if n % 2 == 0 { "even" } else { "odd" }},
                "created_at": format!("2026-11-21T10:00:{:02}Z", 59 - n),
            }))
            .unwrap();
            snapshot.with(customer)
        })
    }

    /// Every id a query finds, page by page.
    fn walk(snapshot: &Snapshot, query: &str) -> Vec<String> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut params = Params::parse(&format!("{query}{cursor}"));
            let select = Select::take(&mut params);
            params.finish().unwrap();
            let (page, next) = select.page::<Customer>(snapshot, Some(&"acme".parse().unwrap()));
            assert!(page.len() <= select.limit);
            ids.extend(page.iter().map(|f| f.resource.id().to_owned()));
            match next {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }

    #[test]
    fn pages_add_up_in_every_order() {
        let snapshot = customers(10);
        let ascending: Vec<String> = (0..10).map(|n| format!("c{n:02}")).collect();
        let descending: Vec<String> = ascending.iter().rev().cloned().collect();
        for limit in [1, 3, 10, 100] {
            assert_eq!(walk(&snapshot, &format!("limit={limit}")), ascending);
            assert_eq!(walk(&snapshot, &format!("limit={limit}&sort=-id")), descending);
            assert_eq!(walk(&snapshot, &format!("limit={limit}&sort=created_at")), descending);
            assert_eq!(walk(&snapshot, &format!("limit={limit}&sort=-created_at")), ascending);
            let by_name = walk(&snapshot, &format!("limit={limit}&sort=name"));
            assert_eq!((by_name.len(), &*by_name[0], &*by_name[4]), (10, "c00", "c01"));
        }
    }

    #[test]
    fn labels_and_text_narrow() {
        let snapshot = customers(4);
        for (query, expected) in [
            ("label=parity=even", &["c00", "c02"][..]),
            ("label=parity!=even", &["c01", "c03"]),
            ("label=parity&label=parity=odd", &["c01", "c03"]),
            ("label=!parity", &[]),
            ("label=!team&q=NAME%200", &["c00", "c03"]),
            ("q=c02", &["c02"]),
            ("q=nothing", &[]),
            ("deleted=true", &[]),
        ] {
            assert_eq!(walk(&snapshot, query), expected, "{query}");
        }
        for bad in ["label=", "label=!", "label==x", "label=!=x", "sort=colour", "cursor=x", "deleted=yes"] {
            let mut params = Params::parse(bad);
            Select::take(&mut params);
            assert!(params.finish().is_err(), "{bad}");
        }
        let mut params = Params::parse("limit=1");
        let (_, next) = Select::take(&mut params).page::<Customer>(&snapshot, None);
        let mut other = Params::parse(&format!("sort=name&cursor={}", next.unwrap()));
        Select::take(&mut other);
        assert!(other.finish().is_err(), "a cursor belongs to its order");
    }
}
