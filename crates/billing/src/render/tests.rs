//! The same invoice in three formats, read back with what others have written.

use std::collections::{BTreeMap, BTreeSet};

use lopdf::Document;
use model::resource::{BillingAccount, Plan};
use rating::{Basis, Line, Period, Quantities, late, rate, segments};
use serde_json::{Value, json};

use super::{csv, html, paper::fixed, pdf};
use crate::{CreditNote, History, Invoice, Numbered, Terms};

const OCTOBER: &str = "2026-10";

/// Names that want to be something else.
const HOSTILE: [&str; 8] = [
    "<script>alert(\"1\")</script>",
    "' onload='alert(1)",
    "=cmd|' /C calc'!A0",
    "two\r\nlines, \"quoted\"",
    "Общество «Ромашка» и Ελλάδα",
    "rocket \u{1F680} 火箭 \u{202E}txt.exe",
    "</style></title>&amp;",
    "",
];

/// What a plan of that name, for an account with such texts, comes to.
fn invoice(name: &str, currency: &str) -> Numbered<Invoice> {
    // So that October is short of the commitment, and September is not once all is known.
    let (unit, committed) = if currency == "JPY" { ("2", "70000") } else { ("0.0023", "9000") };
    let plan: Plan = read(json!({"id": "pro", "prices": [
        {"effective_from": "2026-01-01", "currency": currency, "minimum": "5000", "charges": [
            {"id": "base", "name": name, "price": {"model": "flat", "amount": "49"}},
            {"id": "events", "name": name, "meter": "events", "included": "1000", "price": {"model": "graduated", "tiers": [
                {"up_to": "10000", "amount": unit, "flat": "3"}, {"amount": "0.001"}]}},
            {"id": "bytes", "meter": "bytes", "per": "1000", "price": {"model": "per_unit", "amount": unit}},
            {"id": "packs", "meter": "calls", "minimum": "900", "price": {"model": "package", "size": "1000", "amount": "7"}}]},
        {"effective_from": "2026-10-16", "currency": currency, "charges": [
            {"id": "events", "name": name, "meter": "events", "price": {"model": "volume", "tiers": [
                {"up_to": "500", "amount": "1"}, {"amount": unit}]}}]}]}));
    let account: BillingAccount = read(json!({"tenant": "acme", "id": "main", "currency": currency,
        "time_zone": "Europe/Berlin", "plans": [{"plan": "pro", "from": "2026-01-01"}],
        "bill_to": {"name": name, "address": [name, "1 Example Street"], "tax_id": name, "email": "bills@example.com"},
        "bill_from": {"name": format!("From {name}"), "address": ["2 Other Street"], "tax_id": "EU1"},
        "coupons": [{"id": "ten", "name": name, "percent": "10", "from": "2026-01-01"}],
        "commitments": [{"id": "year", "amount": committed, "from": "2026-01-01"}],
        "credits": [{"id": "welcome", "name": name, "amount": "77", "from": "2026-01-01"}],
        "taxes": [{"id": "vat", "name": name, "percent": "19"}]}));
    let rated = |period: &str, used: u64, late: &[Line]| {
        let period = Period::named(&account.time_zone, period).unwrap();
        let segments = segments(&account, |_| Some(&plan), &period).unwrap();
        let mut quantities = Quantities::default();
        for segment in &segments {
            segment.meters().for_each(|meter| quantities.add(segment, meter, used));
        }
        let balances = BTreeMap::from([("welcome".parse().unwrap(), "77".parse().unwrap())]);
        rate(Basis {
            account: &account,
            period: &period,
            segments: &segments,
            quantities: &quantities,
            balances: &balances,
            late,
        })
        .unwrap()
    };
    let late = late(&rated("2026-09", 1_234_567, &[]), &rated("2026-09", 7_654_321, &[])).unwrap();
    let draft = rated(OCTOBER, 23_456, &late);
    let terms = Terms { account, plans: vec![plan], meters: BTreeMap::default() };
    let document =
        Invoice { finalized_at: "2026-10-31T23:30:00Z".to_owned(), draft, restated: Vec::new(), terms };
    Numbered { number: 12, document }
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn history(invoice: &Numbered<Invoice>, notes: &[(&str, bool, &str)]) -> History {
    let note = |(i, (amount, void, reason)): (usize, &(&str, bool, &str))| Numbered {
        number: i as u64 + 1,
        document: CreditNote {
            tenant: invoice.document.draft.tenant.clone(),
            invoice: invoice.number,
            void: *void,
            reason: (*reason).to_owned(),
            amount: amount.parse().unwrap(),
            currency: invoice.document.draft.currency,
            made_at: "2026-11-02T10:00:00Z".to_owned(),
        },
    };
    History { invoices: vec![invoice.clone()], credit_notes: notes.iter().enumerate().map(note).collect() }
}

/// Its amounts, as CSV has them.
fn amounts(invoice: &Numbered<Invoice>) -> BTreeSet<String> {
    let draft = &invoice.document.draft;
    let sums = [draft.subtotal, draft.discounts, draft.late, draft.taxes, draft.total, draft.due];
    let lines = draft.lines.iter().map(|line| line.amount);
    lines.chain(sums).map(|amount| fixed(amount, draft.currency)).collect()
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|row| row.unwrap()).collect()
}

/// Everything between the tags, thousands together, with what was escaped.
fn visible(page: &str) -> Vec<String> {
    let body = page.split_once("<body>").unwrap().1;
    let texts = body.split('<').filter_map(|piece| Some(piece.split_once('>')?.1.trim().replace(',', "")));
    texts.filter(|text| !text.is_empty()).collect()
}

/// What a browser takes for a tag, each once.
fn tags(page: &str) -> BTreeSet<String> {
    page.split('<').skip(1).filter_map(|piece| Some(piece.split_once('>')?.0.to_owned())).collect()
}

fn parsed(bytes: &[u8]) -> (usize, String) {
    let document = Document::load_mem(bytes).unwrap();
    let pages: Vec<u32> = document.get_pages().into_keys().collect();
    (pages.len(), document.extract_text(&pages).unwrap().replace([',', '\n'], ""))
}

#[test]
fn every_amount_is_in_every_format() {
    for (currency, decimals) in [("EUR", 2), ("JPY", 0), ("KWD", 3)] {
        let invoice = invoice("Events", currency);
        let history = history(&invoice, &[]);
        let draft = &invoice.document.draft;
        let lines = &draft.lines;
        let kinds: BTreeSet<_> = lines.iter().map(|line| line.kind).collect();
        assert_eq!(kinds.len(), 7, "the example has lines of every kind");
        assert!(draft.due.scale() == decimals && draft.late.is_positive());

        let rows = rows(&csv(&invoice));
        assert_eq!(rows.len(), lines.len() + 6);
        for (row, line) in rows.iter().zip(lines) {
            assert_eq!((&row["id"], row["kind"].as_str()), (&line.id, line.kind.as_str()));
            assert_eq!(row["amount"], line.amount.to_string());
            assert_eq!(row["quantity"], line.quantity.map(|q| q.to_string()).unwrap_or_default());
        }
        let sums: Vec<_> = rows.iter().filter(|row| row["id"].is_empty()).collect();
        let sums = sums.iter().map(|row| (row["kind"].as_str(), row["amount"].clone()));
        let expected = [
            ("subtotal", draft.subtotal),
            ("discounts", draft.discounts),
            ("late", draft.late),
            ("taxes", draft.taxes),
            ("total", draft.total),
            ("due", draft.due),
        ];
        assert!(sums.eq(expected.map(|(kind, amount)| (kind, amount.to_string()))));
        assert!(rows.iter().all(|row| row["invoice"] == "INV-000012" && row["currency"] == currency));

        let (page, (_, paper)) = (html(&invoice, &history), parsed(&pdf(&invoice, &history)));
        let texts = visible(&page);
        for amount in amounts(&invoice) {
            let with_code = format!("{amount} {currency}");
            // Discounts are taken off there.
            let shown = |text: &String| {
                *text == amount || text.trim_start_matches('-') == with_code || *text == with_code
            };
            assert!(texts.iter().any(shown), "{amount} in {texts:?}");
            assert!(paper.contains(&amount), "{amount} in {paper}");
        }
        for text in ["INV-000012", "acme", "main", "2026-10-01 to 2026-10-31", "Europe/Berlin", "2026-11-01"]
        {
            assert!(page.contains(text), "{text} in {page}");
            assert!(paper.contains(text), "{text} in {paper}");
        }
        let discounts = (-draft.discounts.get()).into();
        let sums = [
            ("Subtotal", draft.subtotal),
            ("Discounts", discounts),
            ("Earlier months", draft.late),
            ("Taxes", draft.taxes),
            ("Total", draft.total),
            ("Due", draft.due),
        ];
        for (name, sum) in sums {
            let sum = format!("{} {currency}", fixed(sum, draft.currency));
            assert!(texts.windows(2).any(|pair| pair == [name, &sum]), "{name} {sum} in {texts:?}");
            assert!(paper.contains(&format!("{name} {sum}")), "{name} {sum} in {paper}");
        }
    }
}

#[test]
fn what_was_counted_is_a_link_to_its_records() {
    let mut invoice = invoice("Events", "EUR");
    let link = |invoice: &Numbered<Invoice>, link: &str| {
        html(invoice, &history(invoice, &[])).contains(&format!("<a href=\"{link}\">"))
    };
    // The days of the segment, where they begin in Berlin; summer time ends meanwhile.
    let records = "/api/v1/usage/acme/records?meter=bytes&amp;since=2026-09-30T22:00:00Z&amp;until=2026-10-15T22:00:00Z";
    let second = "/api/v1/usage/acme/records?meter=events&amp;since=2026-10-15T22:00:00Z&amp;until=2026-10-31T23:00:00Z";
    let late = "/api/v1/usage/acme/records?meter=events&amp;since=2026-08-31T22:00:00Z&amp;until=2026-09-30T22:00:00Z";
    for path in [records, second, late] {
        assert!(link(&invoice, path), "{path}");
    }
    let draft = &invoice.document.draft;
    let links = draft.lines.iter().filter(|line| crate::records_path(draft, None, line).is_some());
    assert!(links.clone().count() >= 5);
    assert!(
        links
            .map(|line| &line.id)
            .all(|id| id.starts_with("charge/") || id.starts_with("late/2026-09/meter/"))
    );
    invoice.document.terms.account.customer = Some("jane".parse().unwrap());
    assert!(link(&invoice, &format!("{second}&amp;customer=jane")));
    assert!(!link(&invoice, second));
}

#[test]
fn an_amount_shows_how_it_comes_about() {
    let invoice = invoice("Events", "EUR");
    let history = history(&invoice, &[]);
    let (page, (_, paper)) = (html(&invoice, &history), parsed(&pdf(&invoice, &history)));
    // 15 of 31 days have 10000 x 15 / 31 units in the first tier, and 3 x 15 / 31 of its flat amount.
    let steps = [
        "up to 4838.709677419355 and 1.451612903226 besides",
        "× 0.0023",
        "packages of 1000",
        "24",
        "× 7.00",
    ];
    let page = visible(&page);
    for step in steps {
        assert!(page.iter().any(|text| text == step), "{step} in {page:?}");
        assert!(paper.contains(step), "{step} in {paper}");
    }
    let about = "2026-10-01 to 2026-10-15 (15 of 31 days) plan pro meter bytes in units of 1000";
    assert!(page.iter().any(|text| text == about), "{about} in {page:?}");
    assert!(paper.contains("in units of 1000"), "{paper}");
}

#[test]
fn hostile_names_are_texts() {
    let example = invoice("Events", "EUR");
    let tame = tags(&html(&example, &history(&example, &[("1", true, "why")])));
    let long = ["x".repeat(200), "word ".repeat(40), "Ж".repeat(512)];
    for name in HOSTILE.into_iter().chain(long.iter().map(String::as_str)) {
        let mut invoice = invoice(name, "EUR");
        for line in &mut invoice.document.draft.lines {
            line.id.insert_str(0, name);
            line.meter = Some(name.to_owned());
        }
        let history = history(&invoice, &[("1", false, name), ("2", true, name)]);

        let rows = rows(&csv(&invoice));
        let lines = &invoice.document.draft.lines;
        assert_eq!(rows.len(), lines.len() + 6);
        for (row, line) in rows.iter().zip(lines) {
            assert_eq!(row["id"].trim_start_matches('\''), line.id.trim_start_matches('\''));
            assert_eq!(row["name"].trim_start_matches('\''), line.name.trim_start_matches('\''));
            let formula = row.values().find(|cell| cell.starts_with('='));
            assert_eq!(formula, None);
        }

        let page = html(&invoice, &history);
        // Links to records name their meter, percent-encoded.
        let is_link = |tag: &String| {
            let query =
                tag.strip_prefix("a href=\"/api/v1/usage/acme/records?").and_then(|q| q.strip_suffix('"'));
            query.is_some_and(|query| !query.contains(['"', '\'', ' ']))
        };
        let strange: Vec<_> = tags(&page).difference(&tame).filter(|tag| !is_link(tag)).cloned().collect();
        assert_eq!(strange, [""; 0], "a name has become a tag");
        assert!(page.matches("<tr").count() == page.matches("</tr>").count() && !page.contains('\r'));

        pdf::check::edges(&invoice, &history);
        let (_, paper) = parsed(&pdf(&invoice, &history));
        assert!(paper.contains("INV-000012"));
    }
}

#[test]
fn letters_survive_in_a_pdf() {
    let invoice = invoice("Общество Ромашка и Ελλάδα", "EUR");
    let (_, paper) = parsed(&pdf(&invoice, &history(&invoice, &[])));
    assert!(paper.contains("Общество Ромашка и Ελλάδα"), "{paper}");
}

#[test]
fn the_largest_figures_stay_on_the_page() {
    let mut invoice = invoice("Events", "KWD");
    let most = "-9999999999999999999999999.999".parse().unwrap();
    let draft = &mut invoice.document.draft;
    for line in &mut draft.lines {
        (line.amount, line.quantity) = (most, Some(most));
        for part in &mut line.parts {
            (part.quantity, part.unit_amount, part.amount, part.up_to) = (most, most, most, Some(most));
        }
    }
    (draft.subtotal, draft.total, draft.due) = (most, most, most);
    invoice.number = u64::MAX;
    let history = history(&invoice, &[("9999999999999999999999999.999", false, "all of it")]);
    pdf::check::edges(&invoice, &history);
    assert!(parsed(&pdf(&invoice, &history)).1.contains("-9999999999999999999999999.999"));
}

#[test]
fn many_lines_take_several_pages() {
    let mut invoice = invoice("Events", "EUR");
    assert_eq!(parsed(&pdf(&invoice, &history(&invoice, &[]))).0, 2);
    let line = invoice.document.draft.lines[0].clone();
    invoice.document.draft.lines =
        (0..500).map(|i| Line { name: format!("line {i} of them"), ..line.clone() }).collect();
    let reasons: Vec<_> = vec![("1", false, "a reason"); 200];
    let history = history(&invoice, &reasons);
    let planned = pdf::check::edges(&invoice, &history);
    let (pages, paper) = parsed(&pdf(&invoice, &history));
    assert_eq!(pages, planned);
    assert!(pages > 20, "{pages}");
    assert!(
        paper.contains(&format!("Page 1 of {pages}")) && paper.contains(&format!("Page {pages} of {pages}"))
    );
    assert!((0..500).all(|i| paper.contains(&format!("line {i} of them"))));
    assert!(paper.matches("Unit price").count() > 20, "the head of a table is on each of its pages");
    assert!(paper.contains("CN-000200"));
}

#[test]
fn what_was_taken_back_is_said() {
    let invoice = invoice("Events", "EUR");
    let both = |notes: &[(&str, bool, &str)]| {
        let history = history(&invoice, notes);
        let page = html(&invoice, &history);
        (visible(&page).join("|"), parsed(&pdf(&invoice, &history)).1)
    };
    let (page, paper) = both(&[]);
    for text in [&page, &paper] {
        assert!(!text.contains("VOID") && !text.contains("Credit notes"), "{text}");
    }
    let (page, paper) = both(&[("12.5", false, "outage"), ("1000", false, "goodwill")]);
    for text in [&page, &paper] {
        assert!(!text.contains("VOID"), "{text}");
        for part in
            ["Credit notes", "CN-000001", "2026-11-02", "outage", "12.50 EUR", "goodwill", "1000.00 EUR"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
    let (page, paper) = both(&[("12.5", true, "wrong plan")]);
    assert!(page.starts_with("VOID|"), "{page}");
    assert!(paper.starts_with("VOID"), "{paper}");
    assert!(page.contains("Void: wrong plan") && paper.contains("Void: wrong plan"));
}

#[test]
fn a_pdf_is_always_the_same() {
    let invoice = invoice(HOSTILE[4], "EUR");
    let history = history(&invoice, &[("1", true, HOSTILE[5])]);
    assert_eq!(pdf(&invoice, &history), pdf(&invoice, &history));
}

#[test]
fn an_invoice_without_lines_is_one() {
    let mut invoice = invoice("", "EUR");
    let draft = &mut invoice.document.draft;
    (draft.lines, draft.credits) = (Vec::new(), BTreeMap::new());
    let zero = model::Decimal::ZERO;
    (draft.subtotal, draft.discounts, draft.late) = (zero, zero, zero);
    (draft.taxes, draft.total, draft.due) = (zero, zero, zero);
    let history = history(&invoice, &[]);
    assert_eq!(rows(&csv(&invoice)).len(), 6);
    assert!(visible(&html(&invoice, &history)).iter().any(|text| text == "0.00 EUR"));
    let (pages, paper) = parsed(&pdf(&invoice, &history));
    assert_eq!(pages, 1);
    assert!(paper.contains("Due 0.00 EUR"), "{paper}");
}
