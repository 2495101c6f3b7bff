//! Versions of a store's schema: the words every adapter's migrations are told in.

/// One step of a schema. It only adds (expand) or removes what no released program reads any more (contract), so that
/// the programs of the version before go on while it runs. Running it again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// 1 for the first; each the one before plus 1.
    pub version: u32,
    /// What it does, in a few words.
    pub name: &'static str,
    /// In the order they run; `{…}` stands for what the options say.
    pub statements: &'static [&'static str],
}

/// What is wanted of migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Look only: what is there, and what is missing.
    Check,
    /// As [`Mode::Check`], with each statement that would run.
    DryRun,
    /// Run what is missing.
    Apply,
}

/// A migration that has not run yet, or, after [`Mode::Apply`], that ran just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its version.
    pub version: u32,
    /// What it does.
    pub name: &'static str,
    /// Its statements as they are sent; none under [`Mode::Check`].
    pub statements: Vec<String>,
}

/// What migrating found, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The schema's version before; 0 if there is none.
    pub current: u32,
    /// The version this program works with.
    pub target: u32,
    /// What leads from the one to the other, in order. Done after [`Mode::Apply`], to do otherwise.
    pub pending: Vec<Pending>,
}

impl Report {
    /// What leads from `current` to the newest of `migrations`; `fill` makes a statement as it is sent.
    #[must_use]
    pub fn new(
        current: u32,
        migrations: &[Migration],
        mode: Mode,
        mut fill: impl FnMut(&'static str) -> String,
    ) -> Self {
        let missing = migrations.iter().filter(|m| m.version > current);
        let pending = missing.map(|m| Pending {
            version: m.version,
            name: m.name,
            statements: match mode {
                Mode::Check => Vec::new(),
                Mode::DryRun | Mode::Apply => m.statements.iter().map(|s| fill(s)).collect(),
            },
        });
        let pending = pending.collect();
        Self { current, target: migrations.last().map_or(0, |m| m.version), pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[Migration] = &[
        Migration { version: 1, name: "first", statements: &["create {}"] },
        Migration { version: 2, name: "second", statements: &["alter {}", "alter {} again"] },
    ];

    #[test]
    fn what_is_missing_is_pending() {
        let of = |current, mode| Report::new(current, TWO, mode, |s| s.replace("{}", "x"));
        let versions = |report: &Report| report.pending.iter().map(|p| p.version).collect::<Vec<_>>();
        for (current, want) in [(0, vec![1, 2]), (1, vec![2]), (2, vec![]), (3, vec![])] {
            let report = of(current, Mode::DryRun);
            assert_eq!((versions(&report), report.current, report.target), (want, current, 2));
        }
        assert_eq!(of(1, Mode::Apply).pending[0].statements, ["alter x", "alter x again"]);
        assert_eq!(of(1, Mode::Check).pending[0].statements, [""; 0]);
    }
}
