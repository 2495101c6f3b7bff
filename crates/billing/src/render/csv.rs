//! For spreadsheets and programs.

use ::csv::{Terminator, WriterBuilder};
use model::Decimal;
use rating::Line;

use super::paper::fixed;
use crate::{Invoice, Numbered, invoice_number};

const COLUMNS: [&str; 14] = [
    "invoice", "account", "period", "currency", "id", "kind", "name", "from", "until", "meter", "quantity",
    "per", "included", "amount",
];

/// An invoice as CSV (RFC 4180, UTF-8 without a mark, with a header): a row for each line, then a row without an id for each of
/// the sums, whose kinds are `subtotal`, `discounts`, `late`, `taxes`, `total` and `due`. Figures are written as in JSON: `until`
/// is the first day that a line is no longer about, and `discounts` is not negative though its lines are.
///
/// Texts that a spreadsheet would take for a formula begin with an apostrophe more (OWASP, CSV injection).
#[must_use]
pub fn csv(invoice: &Numbered<Invoice>) -> String {
    let draft = &invoice.document.draft;
    let amount = |amount| fixed(amount, draft.currency);
    let head = [
        invoice_number(invoice.number),
        defused(&draft.account),
        draft.period.clone(),
        draft.currency.to_string(),
    ];
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    rows.extend(draft.lines.iter().map(|line| [&head[..], &cells(line, amount(line.amount))].concat()));
    let sums = [
        ("subtotal", draft.subtotal),
        ("discounts", draft.discounts),
        ("late", draft.late),
        ("taxes", draft.taxes),
        ("total", draft.total),
        ("due", draft.due),
    ];
    rows.extend(sums.map(|(kind, sum)| {
        let mut cells: [String; 10] = Default::default();
        cells[1] = kind.to_owned();
        cells[9] = amount(sum);
        [&head[..], &cells].concat()
    }));
    write(&rows)
}

fn cells(line: &Line, amount: String) -> [String; 10] {
    let figure = |value: Option<Decimal>| value.map(|value| value.to_string()).unwrap_or_default();
    [
        defused(&line.id),
        line.kind.as_str().to_owned(),
        defused(&line.name),
        line.from.to_string(),
        line.until.to_string(),
        defused(line.meter.as_deref().unwrap_or_default()),
        figure(line.quantity),
        figure(line.per),
        figure(line.included),
        amount,
    ]
}

/// As a spreadsheet shows it and does not reckon with it. Some look past blanks, some take wide characters for narrow ones.
fn defused(text: &str) -> String {
    let first = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
    let blank = text.starts_with(['\t', '\r', '\n']);
    if blank || first.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[expect(clippy::expect_used, reason = "memory takes all rows, and texts stay texts")]
fn write(rows: &[Vec<String>]) -> String {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("rows are of one length");
    }
    let bytes = writer.into_inner().expect("memory can be written to");
    String::from_utf8(bytes).expect("it was made of strings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_texts() {
        for formula in ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r\n=1", "＝1"] {
            assert_eq!(defused(formula), format!("'{formula}"));
        }
        for text in ["", "events", "a=b", "1+1", "o'clock", "Ж"] {
            assert_eq!(defused(text), text);
        }
    }
}
