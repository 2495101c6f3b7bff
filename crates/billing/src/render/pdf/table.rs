//! What stands where.

use super::{
    face::{Faces, Weight},
    sheet::{Hand, Ink, LEFT, Page, RIGHT, Sheet, Strip},
};
use crate::render::paper::{Note, Paper, Row, Step, Sum};

const TITLE: Hand = Hand { size: 20.0, weight: Weight::Bold, ink: Ink::Black };
const HEADING: Hand = Hand { size: 9.5, weight: Weight::Bold, ink: Ink::Black };
const LABEL: Hand = Hand { size: 8.0, weight: Weight::Bold, ink: Ink::Grey };
const BODY: Hand = Hand { size: 9.0, weight: Weight::Regular, ink: Ink::Black };
const SMALL: Hand = Hand { size: 7.5, weight: Weight::Regular, ink: Ink::Grey };
const DUE: Hand = Hand { size: 12.0, weight: Weight::Bold, ink: Ink::Black };

/// How high a row of such letters is.
fn height(hand: Hand) -> f32 {
    hand.size * 1.45
}

/// Where the second of two columns begins, in the head and for the sums.
const MIDDLE: f32 = 310.0;
/// Between neighbours, at least.
const GAP: f32 = 8.0;

/// Where figures end, and how wide they may be.
#[derive(Clone, Copy)]
struct Column {
    right: f32,
    width: f32,
}

const AMOUNT: Column = Column { right: RIGHT, width: 85.0 };
const UNIT: Column = Column { right: AMOUNT.right - AMOUNT.width - GAP, width: 75.0 };
const QUANTITY: Column = Column { right: UNIT.right - UNIT.width - GAP, width: 85.0 };
const ITEM_WIDTH: f32 = QUANTITY.right - QUANTITY.width - GAP - LEFT;
const STEP_INDENT: f32 = 10.0;

/// All pages of an invoice.
pub(super) fn pages(paper: &Paper, faces: &Faces) -> Vec<Page> {
    let mut writer = Writer { faces, sheet: Sheet::new() };
    writer.head(paper);
    writer.lines(paper);
    writer.sums(&paper.sums);
    if !paper.notes.is_empty() {
        writer.notes(&paper.notes);
    }
    writer.sheet.into_pages()
}

struct Writer<'a> {
    faces: &'a Faces,
    sheet: Sheet,
}

impl Writer<'_> {
    /// A strip for each piece of a text.
    fn strips(&self, x: f32, width: f32, text: &str, hand: Hand) -> Vec<Strip> {
        let pieces = self.faces.wrap(hand.weight, text, hand.size, width);
        let strip = |piece: &str| {
            let mut strip = Strip::new(height(hand));
            strip.left(x, piece, hand);
            strip
        };
        pieces.into_iter().map(strip).collect()
    }

    /// The same with figures in the first one.
    fn row(&self, text: (f32, f32, &str), figures: &[(Column, &str)], hand: Hand) -> Vec<Strip> {
        let (x, width, text) = text;
        let mut strips = self.strips(x, width, text, hand);
        if strips.is_empty() {
            strips.push(Strip::new(height(hand)));
        }
        for (Column { right, width }, figure) in figures {
            strips[0].right(self.faces, *right, *width, figure, hand);
        }
        strips
    }

    fn head(&mut self, paper: &Paper) {
        let title = self.strips(LEFT, RIGHT - LEFT, &format!("Invoice {}", paper.number), TITLE);
        self.sheet.put(title);
        self.sheet.space(14.0);
        let mut left = Vec::new();
        for (title, lines) in &paper.parties {
            if !left.is_empty() {
                left.push(Strip::new(8.0));
            }
            left.extend(self.strips(LEFT, MIDDLE - LEFT, title, LABEL));
            for line in lines {
                left.extend(self.strips(LEFT, MIDDLE - GAP - LEFT, line, BODY));
            }
        }
        let mut right = Vec::new();
        for (name, text) in &paper.facts {
            let at = MIDDLE + 62.0;
            let mut label = Strip::new(height(BODY));
            label.left(MIDDLE, name, LABEL);
            let mut strips = self.strips(at, RIGHT - at, text, BODY).into_iter();
            right.push(label.beside(strips.next().unwrap_or_default()));
            right.extend(strips);
        }
        let (mut left, mut right) = (left.into_iter(), right.into_iter());
        loop {
            match (left.next(), right.next()) {
                (Some(left), Some(right)) => self.sheet.put(vec![left.beside(right)]),
                (Some(one), None) | (None, Some(one)) => self.sheet.put(vec![one]),
                (None, None) => break,
            }
        }
        self.sheet.space(22.0);
    }

    fn lines(&mut self, paper: &Paper) {
        let amount = format!("Amount {}", paper.currency);
        let figures = [(QUANTITY, "Quantity"), (UNIT, "Unit price"), (AMOUNT, amount.as_str())];
        let head = self.row((LEFT, ITEM_WIDTH, "Item"), &figures, LABEL);
        self.sheet.begin(head, 60.0);
        for section in &paper.sections {
            let mut strips = vec![Strip::new(5.0).ruled(LEFT, 1.0, Ink::Black)];
            strips.extend(self.strips(LEFT, RIGHT - LEFT, section.title, HEADING));
            for row in &section.rows {
                // The title stays with the first of its rows.
                strips.extend(self.line(row));
                self.sheet.put(std::mem::take(&mut strips));
            }
            self.sheet.space(8.0);
        }
        self.sheet.end();
        self.sheet.space(10.0);
    }

    fn line(&self, row: &Row) -> Vec<Strip> {
        let mut strips = vec![Strip::new(3.0).ruled(LEFT, 0.5, Ink::Pale)];
        let figures = [(QUANTITY, row.quantity.as_str()), (AMOUNT, &row.amount)];
        strips.extend(self.row((LEFT, ITEM_WIDTH, &row.name), &figures, BODY));
        strips.extend(self.strips(LEFT, ITEM_WIDTH, &row.about, SMALL));
        for Step { what, quantity, unit_amount, amount } in &row.steps {
            let (unit_amount, amount) = (format!("× {unit_amount}"), format!("= {amount}"));
            let figures = [(QUANTITY, quantity.as_str()), (UNIT, &unit_amount), (AMOUNT, &amount)];
            let what = (LEFT + STEP_INDENT, ITEM_WIDTH - STEP_INDENT, what.as_str());
            strips.extend(self.row(what, &figures, SMALL));
        }
        strips.push(Strip::new(3.0));
        strips
    }

    fn sums(&mut self, sums: &[Sum]) {
        let column = Column { right: RIGHT, width: 110.0 };
        let mut strips = Vec::new();
        for (i, Sum { name, amount, is_strong }) in sums.iter().enumerate() {
            let is_last = i + 1 == sums.len();
            let hand = if is_last {
                DUE
            } else if *is_strong {
                HEADING
            } else {
                BODY
            };
            if *is_strong {
                let thickness = if is_last { 1.5 } else { 0.5 };
                strips.push(Strip::new(2.0));
                strips.push(Strip::new(3.0).ruled(MIDDLE, thickness, Ink::Black));
            }
            let name = (MIDDLE, RIGHT - column.width - GAP - MIDDLE, name.as_str());
            strips.extend(self.row(name, &[(column, amount)], hand));
        }
        self.sheet.put(strips);
        self.sheet.space(22.0);
    }

    fn notes(&mut self, notes: &[Note]) {
        let (day, reason) = (LEFT + 90.0, LEFT + 160.0);
        let amount = Column { right: RIGHT, width: 110.0 };
        let width = RIGHT - amount.width - GAP - reason;
        let mut head = self.strips(LEFT, RIGHT - LEFT, "Credit notes", HEADING);
        let mut names = self.row((reason, width, "Reason"), &[(amount, "Amount")], LABEL);
        names[0].left(LEFT, "Number", LABEL);
        names[0].left(day, "Date", LABEL);
        head.extend(names);
        self.sheet.begin(head, 30.0);
        for note in notes {
            let mut strips = vec![Strip::new(3.0).ruled(LEFT, 0.5, Ink::Pale)];
            let mut row = self.row((reason, width, &note.reason), &[(amount, &note.amount)], BODY);
            row[0].fitted(self.faces, LEFT, day - GAP - LEFT, &note.number, BODY);
            row[0].fitted(self.faces, day, reason - GAP - day, &note.day, BODY);
            strips.extend(row);
            strips.push(Strip::new(3.0));
            self.sheet.put(strips);
        }
        self.sheet.end();
    }
}
