//! What an invoice says to people, in words: HTML and PDF only lay it out.

use model::{Currency, CustomerId, Date, Decimal, grouped, parse_rfc3339, resource::Party, time_zone};
use rating::{Draft, Line, LineKind, Part, Period};

use crate::{CreditNote, History, Invoice, Numbered, credit_note_number, invoice_number, records_path};

/// All of it. Every text is one line without control characters.
pub(super) struct Paper {
    pub(super) number: String,
    /// It was taken back and counts as never made.
    pub(super) is_void: bool,
    pub(super) currency: Currency,
    /// What of whom and when.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Who makes it out, if that is known, and to whom: a title, then a name and an address line by line.
    pub(super) parties: Vec<(&'static str, Vec<String>)>,
    pub(super) sections: Vec<Section>,
    pub(super) sums: Vec<Sum>,
    pub(super) notes: Vec<Note>,
}

/// Lines of one kind, which follow one another.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A line.
pub(super) struct Row {
    pub(super) name: String,
    /// What else there is to say of it; may be empty.
    pub(super) about: String,
    /// May be empty.
    pub(super) quantity: String,
    pub(super) amount: String,
    /// How the amount comes about.
    pub(super) steps: Vec<Step>,
    /// Where its usage records are listed, if it counts any.
    pub(super) records: Option<String>,
}

/// `quantity × unit_amount`, and what `what` says besides, comes to `amount`.
pub(super) struct Step {
    pub(super) what: String,
    pub(super) quantity: String,
    pub(super) unit_amount: String,
    pub(super) amount: String,
}

/// A sum, or what it is made of.
pub(super) struct Sum {
    pub(super) name: String,
    /// With the currency's code.
    pub(super) amount: String,
    /// One that the eye should find.
    pub(super) is_strong: bool,
}

/// A credit note.
pub(super) struct Note {
    pub(super) number: String,
    pub(super) day: String,
    pub(super) reason: String,
    /// With the currency's code.
    pub(super) amount: String,
}

impl Paper {
    pub(super) fn new(invoice: &Numbered<Invoice>, history: &History) -> Self {
        let Invoice { finalized_at, draft, terms, .. } = &invoice.document;
        let period = Period::named(&draft.time_zone, &draft.period).ok();
        let month = period.as_ref().map(|period| days(period.first(), period.end()));
        let facts = [
            ("Number", invoice_number(invoice.number)),
            ("Date", day(finalized_at, &draft.time_zone)),
            ("Tenant", draft.tenant.to_string()),
            ("Account", draft.account.to_string()),
            (
                "Period",
                month.map_or_else(|| draft.period.clone(), |days| format!("{}: {days}", draft.period)),
            ),
            ("Time zone", draft.time_zone.clone()),
            ("Currency", draft.currency.to_string()),
        ];
        let from = ("From", party(&terms.account.bill_from));
        let to = ("Bill to", party(&terms.account.bill_to));
        Self {
            number: invoice_number(invoice.number),
            is_void: history.is_void(invoice.number),
            currency: draft.currency,
            facts: facts.map(|(name, text)| (name, plain(&text))).to_vec(),
            parties: Some(from).filter(|(_, lines)| !lines.is_empty()).into_iter().chain([to]).collect(),
            sections: sections(draft, terms.account.customer.as_ref(), period.as_ref()),
            sums: sums(draft),
            notes: history.notes(invoice.number).map(|note| Note::new(note, &draft.time_zone)).collect(),
        }
    }
}

fn party(Party { name, address, tax_id, email }: &Party) -> Vec<String> {
    let named = [(tax_id, "Tax id: "), (email, "")];
    let named = named.iter().filter_map(|(text, label)| Some(format!("{label}{}", text.as_ref()?)));
    let lines = [name].into_iter().chain(address).cloned().chain(named);
    lines.map(|line| plain(&line)).filter(|line| !line.is_empty()).collect()
}

impl Note {
    fn new(note: &Numbered<CreditNote>, zone: &str) -> Self {
        let CreditNote { void, reason, amount, currency, made_at, .. } = &note.document;
        let reason = if *void { format!("Void: {reason}") } else { reason.clone() };
        Self {
            number: credit_note_number(note.number),
            day: day(made_at, zone),
            reason: plain(&reason),
            amount: with_code(*amount, *currency),
        }
    }
}

fn sections(draft: &Draft, customer: Option<&CustomerId>, period: Option<&Period>) -> Vec<Section> {
    let title = |line: &Line| match line.kind {
        LineKind::Charge | LineKind::Minimum | LineKind::Commitment => "Charges",
        LineKind::Coupon => "Discounts",
        LineKind::Late => "Earlier months",
        LineKind::Tax => "Taxes",
        LineKind::Credit => "Credits",
    };
    let row = |line: &Line| Row {
        records: records_path(draft, customer, line),
        ..Row::new(line, draft.currency, period)
    };
    let of_one = draft.lines.chunk_by(|a, b| title(a) == title(b));
    of_one.map(|lines| Section { title: title(&lines[0]), rows: lines.iter().map(row).collect() }).collect()
}

impl Row {
    fn new(line: &Line, currency: Currency, period: Option<&Period>) -> Self {
        Self {
            name: plain(&line.name),
            about: plain(&about(line, period)),
            quantity: line.quantity.map(figure).unwrap_or_default(),
            amount: money(line.amount, currency),
            steps: line.parts.iter().map(|part| Step::new(line, part, currency)).collect(),
            records: None,
        }
    }
}

fn about(line: &Line, period: Option<&Period>) -> String {
    let is_whole = period.is_some_and(|period| (line.from, line.until) == (period.first(), period.end()));
    let share = line.share.map(|share| format!(" ({} of {} days)", share.days, share.of)).unwrap_or_default();
    let said = [
        // Its steps come to the whole of it.
        (line.kind == LineKind::Commitment).then(|| "what the charges are short of it".to_owned()),
        (!is_whole).then(|| format!("{}{share}", days(line.from, line.until))),
        line.plan.as_ref().map(|plan| format!("plan {plan}")),
        line.meter.as_ref().map(|meter| format!("meter {meter}")),
        line.per.map(|per| format!("in units of {}", figure(per))),
        line.included.map(|included| format!("{} included", figure(included))),
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

impl Step {
    fn new(line: &Line, part: &Part, currency: Currency) -> Self {
        let is_tiered = line.parts.iter().any(|part| part.up_to.is_some());
        let what = match (part.size, part.up_to) {
            (Some(size), _) => format!("packages of {}", figure(size)),
            (None, Some(up_to)) => format!("up to {}", figure(up_to)),
            (None, None) if is_tiered => "above".to_owned(),
            (None, None) if line.kind == LineKind::Commitment => "months of the commitment".to_owned(),
            (None, None) if line.meter.is_none() => "months".to_owned(),
            (None, None) => "units".to_owned(),
        };
        let flat =
            part.flat.map(|flat| format!(", and {} besides", money(flat, currency))).unwrap_or_default();
        Self {
            what: what + &flat,
            quantity: figure(part.quantity),
            unit_amount: money(part.unit_amount, currency),
            amount: money(part.amount, currency),
        }
    }
}

fn sums(draft: &Draft) -> Vec<Sum> {
    let sum = |name: &str, amount, is_strong| Sum {
        name: plain(name),
        amount: with_code(amount, draft.currency),
        is_strong,
    };
    let mut sums = vec![
        sum("Subtotal", draft.subtotal, false),
        sum("Discounts", draft.discounts.negated(), false),
        sum("Earlier months", draft.late, false),
        sum("Taxes", draft.taxes, false),
        sum("Total", draft.total, true),
    ];
    sums.extend(draft.credits.iter().map(|(id, pays)| {
        let id_of_line = format!("credit/{id}");
        let line = draft.lines.iter().find(|line| line.id == id_of_line);
        let name = line.map_or(id.as_str(), |line| &line.name);
        sum(&format!("Credit: {name}"), pays.negated(), false)
    }));
    sums.push(sum("Due", draft.due, true));
    sums
}

/// An amount with the decimals its currency has, or more where it has more.
pub(super) fn fixed(amount: Decimal, currency: Currency) -> String {
    let mut amount = amount.normalize();
    amount.rescale(amount.scale().max(currency.decimals()));
    amount.to_string()
}

/// The same for the eye: `1,234.50`.
fn money(amount: Decimal, currency: Currency) -> String {
    grouped(&fixed(amount, currency))
}

fn with_code(amount: Decimal, currency: Currency) -> String {
    format!("{} {currency}", money(amount, currency))
}

/// A quantity for the eye: `1,234.5`.
fn figure(value: Decimal) -> String {
    grouped(&value.normalize().to_string())
}

/// From the first day to the last one.
fn days(from: Date, until: Date) -> String {
    match until.yesterday() {
        Ok(last) if last > *from => format!("{from} to {last}"),
        _ => from.to_string(),
    }
}

/// The day of a moment where the account is; as it is written, if it is no moment.
fn day(at: &str, zone: &str) -> String {
    let moment = parse_rfc3339(at).ok().and_then(|at_us| jiff::Timestamp::from_microsecond(at_us).ok());
    match (moment, time_zone(zone)) {
        (Some(moment), Some(zone)) => moment.to_zoned_datetime(zone).date().to_string(),
        _ => plain(at),
    }
}

/// On one line, without what is no character.
fn plain(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_currency_s_decimals() {
        let cases = [
            ("0", "EUR", "0.00"),
            ("-0.5", "EUR", "-0.50"),
            ("1234.5", "EUR", "1,234.50"),
            ("1234567", "JPY", "1,234,567"),
            ("-123456", "JPY", "-123,456"),
            ("12.50", "KWD", "12.500"),
            ("0.0000125", "EUR", "0.0000125"),
            ("1000.10000", "EUR", "1,000.10"),
            ("9999999999999999999999999999", "EUR", "9,999,999,999,999,999,999,999,999,999"),
        ];
        for (amount, currency, text) in cases {
            assert_eq!(money(amount.parse().unwrap(), currency.parse().unwrap()), text);
        }
        assert_eq!(figure("3501.250".parse().unwrap()), "3,501.25");
    }

    #[test]
    fn days_are_those_of_the_account() {
        assert_eq!(day("2026-10-31T23:30:00Z", "Europe/Berlin"), "2026-11-01");
        assert_eq!(day("2026-10-31T23:30:00Z", "UTC"), "2026-10-31");
        assert_eq!(day("yesterday", "UTC"), "yesterday");
        let of = |from: &str, until: &str| days(from.parse().unwrap(), until.parse().unwrap());
        assert_eq!(of("2026-10-01", "2026-11-01"), "2026-10-01 to 2026-10-31");
        assert_eq!(of("2026-10-01", "2026-10-02"), "2026-10-01");
    }

    #[test]
    fn texts_are_one_line() {
        assert_eq!(plain(" a\r\nb\0\tc\u{2028}d "), "a b c d");
    }
}
