//! For keeping and for sending.

mod face;
mod sheet;
mod table;

use krilla::{
    Document,
    color::rgb,
    error::KrillaResult,
    geom::{PathBuilder, Point, Rect},
    metadata::Metadata,
    page::PageSettings,
    paint::Fill,
    surface::Surface,
};

use self::{
    face::{Faces, Weight},
    sheet::{BOTTOM, Ink, LEFT, PAGE_HEIGHT, PAGE_WIDTH, RIGHT, Shade, Text},
    table::pages,
};
use super::paper::Paper;
use crate::{History, Invoice, Numbered};

/// Points from the upper edge that say that an invoice is void.
const BAND_HEIGHT: f32 = 34.0;

/// An invoice as PDF on A4, on as many pages as it takes. `history` is that of its account.
///
/// The font, which is embedded as far as it is used, has Latin, Greek and Cyrillic letters. Any other character looks like `?`; what
/// is searched for and copied is the character itself.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "nothing that an invoice says can make it fail: tests hold hostile ones against it"
)]
pub fn pdf(invoice: &Numbered<Invoice>, history: &History) -> Vec<u8> {
    let faces = Faces::new().expect("the fonts in the program are fonts");
    draw(&Paper::new(invoice, history), &faces).expect("texts, lines and a title are always drawn")
}

fn draw(paper: &Paper, faces: &Faces) -> KrillaResult<Vec<u8>> {
    let pages = pages(paper, faces);
    let title = format!("Invoice {}", paper.number);
    let mut document = Document::new();
    document.set_metadata(Metadata::new().title(title.clone()).language("en".to_owned()));
    for (i, page) in pages.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT).unwrap_or_default();
        let mut sheet = document.start_page_with(settings);
        let mut pen = Pen { surface: sheet.surface(), faces };
        if paper.is_void {
            pen.band();
        }
        page.shades.iter().for_each(|shade| pen.shade(shade));
        page.texts.iter().for_each(|text| pen.text(text));
        pen.foot(&title, &format!("Page {} of {}", i + 1, pages.len()));
        drop(pen);
        sheet.finish();
    }
    document.finish()
}

struct Pen<'a> {
    surface: Surface<'a>,
    faces: &'a Faces,
}

impl Pen<'_> {
    fn ink(&mut self, ink: Ink) {
        let (red, green, blue) = ink.rgb();
        let paint = rgb::Color::new(red, green, blue).into();
        self.surface.set_fill(Some(Fill { paint, ..Fill::default() }));
    }

    fn shade(&mut self, shade: &Shade) {
        let Shade { x, y, width, height, ink } = *shade;
        let Some(rect) = Rect::from_xywh(x, y, width, height) else { return };
        let mut path = PathBuilder::new();
        path.push_rect(rect);
        if let Some(path) = path.finish() {
            self.ink(ink);
            self.surface.draw_path(&path);
        }
    }

    fn text(&mut self, text: &Text) {
        self.ink(text.ink);
        let (font, glyphs) = self.faces.glyphs(text.weight, &text.text);
        self.surface.draw_glyphs(Point::from_xy(text.x, text.y), &glyphs, font, &text.text, text.size, false);
    }

    fn foot(&mut self, title: &str, number: &str) {
        let (weight, ink, size) = (Weight::Regular, Ink::Grey, 7.5);
        let right = RIGHT - self.faces.width(weight, number, size);
        for (x, text) in [(LEFT, title), (right, number)] {
            self.text(&Text { x, y: BOTTOM + 24.0, size, weight, ink, text: text.to_owned() });
        }
    }

    /// Across the top of the page: it does not count.
    fn band(&mut self) {
        self.shade(&Shade { x: 0.0, y: 0.0, width: PAGE_WIDTH, height: BAND_HEIGHT, ink: Ink::Red });
        let (weight, size, text) = (Weight::Bold, 20.0, "VOID".to_owned());
        let x = (PAGE_WIDTH - self.faces.width(weight, &text, size)) / 2.0;
        self.text(&Text { x, y: 24.0, size, weight, ink: Ink::White, text });
    }
}

#[cfg(test)]
pub(super) mod check {
    //! What tests see of the pages before they are drawn.

    use super::{super::paper::Paper, sheet::Page, *};

    /// Panics where anything reaches over an edge, or over its neighbour on the same height. Gives the number of pages.
    pub(in super::super) fn edges(invoice: &Numbered<Invoice>, history: &History) -> usize {
        let faces = Faces::new().unwrap();
        let pages = pages(&Paper::new(invoice, history), &faces);
        for Page { texts, .. } in &pages {
            for text in texts {
                let end = |text: &Text| text.x + faces.width(text.weight, &text.text, text.size);
                assert!(text.x >= LEFT && end(text) <= RIGHT + 0.01, "over the edge: {:?}", text.text);
                assert!(text.y > BAND_HEIGHT && text.y < BOTTOM, "over the end: {:?}", text.text);
                let neighbours = texts.iter().filter(|other| other.y == text.y && other.x > text.x);
                for other in neighbours {
                    assert!(end(text) <= other.x + 0.01, "{:?} runs into {:?}", text.text, other.text);
                }
            }
        }
        pages.len()
    }
}
