//! Pages that fill from the top.

use super::face::{Faces, Weight};

// A4, in points of 1/72 inch.
pub(super) const PAGE_WIDTH: f32 = 595.28;
pub(super) const PAGE_HEIGHT: f32 = 841.89;
pub(super) const LEFT: f32 = 50.0;
pub(super) const RIGHT: f32 = PAGE_WIDTH - LEFT;
const TOP: f32 = 52.0;
/// Below it is only the page's number.
pub(super) const BOTTOM: f32 = PAGE_HEIGHT - 60.0;

#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Black,
    Grey,
    Pale,
    Red,
    White,
}

impl Ink {
    pub(super) const fn rgb(self) -> (u8, u8, u8) {
        match self {
            Self::Black => (26, 26, 26),
            Self::Grey => (85, 85, 85),
            Self::Pale => (204, 204, 204),
            Self::Red => (164, 0, 0),
            Self::White => (255, 255, 255),
        }
    }
}

/// A text on a page: where its first letter stands.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) weight: Weight,
    pub(super) ink: Ink,
    pub(super) text: String,
}

/// A filled rectangle; a line is a thin one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shade {
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) height: f32,
    pub(super) ink: Ink,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) shades: Vec<Shade>,
    pub(super) texts: Vec<Text>,
}

/// How something is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    pub(super) size: f32,
    pub(super) weight: Weight,
    pub(super) ink: Ink,
}

/// One row of texts, which no end of a page goes through. Their places are relative to its upper edge.
#[derive(Debug, Clone, Default)]
pub(super) struct Strip {
    height: f32,
    texts: Vec<Text>,
    /// A line at its upper edge: from where, how thick, in what.
    rule: Option<(f32, f32, Ink)>,
}

impl Strip {
    pub(super) fn new(height: f32) -> Self {
        Self { height, ..Self::default() }
    }

    /// With a line above, from `x` to the right edge.
    pub(super) fn ruled(mut self, x: f32, thickness: f32, ink: Ink) -> Self {
        self.rule = Some((x, thickness, ink));
        self
    }

    /// Writes from `x` on; the caller has made it fit.
    pub(super) fn left(&mut self, x: f32, text: &str, hand: Hand) {
        self.add(x, text, hand.size, hand);
    }

    /// Writes from `x` on: smaller, if it would be wider than that. Figures are never broken, because the pieces would read as others.
    pub(super) fn fitted(&mut self, faces: &Faces, x: f32, width: f32, text: &str, hand: Hand) {
        let (_, size) = fit(faces, width, text, hand);
        self.add(x, text, size, hand);
    }

    /// The same, ending at `right`.
    pub(super) fn right(&mut self, faces: &Faces, right: f32, width: f32, text: &str, hand: Hand) {
        let (wide, size) = fit(faces, width, text, hand);
        self.add(right - wide, text, size, hand);
    }

    fn add(&mut self, x: f32, text: &str, size: f32, hand: Hand) {
        if !text.is_empty() {
            let (weight, ink, text) = (hand.weight, hand.ink, text.to_owned());
            self.texts.push(Text { x, y: self.height * 0.72, size, weight, ink, text });
        }
    }

    /// Both in one row.
    pub(super) fn beside(mut self, other: Self) -> Self {
        self.texts.extend(other.texts);
        self.height = self.height.max(other.height);
        self
    }
}

/// How wide a text is at the size at which it fits, and that size.
fn fit(faces: &Faces, width: f32, text: &str, hand: Hand) -> (f32, f32) {
    let wide = faces.width(hand.weight, text, hand.size);
    let shrink = (width / wide.max(1.0)).min(1.0);
    (wide * shrink, hand.size * shrink)
}

/// The pages so far.
pub(super) struct Sheet {
    pages: Vec<Page>,
    y: f32,
    /// What a page begins with, as long as a table goes on.
    head: Vec<Strip>,
}

impl Sheet {
    pub(super) fn new() -> Self {
        Self { pages: vec![Page::default()], y: TOP, head: Vec::new() }
    }

    pub(super) fn into_pages(self) -> Vec<Page> {
        self.pages
    }

    pub(super) fn space(&mut self, height: f32) {
        self.y += height;
    }

    /// Adds strips, on one page if one page holds them.
    pub(super) fn put(&mut self, block: Vec<Strip>) {
        let height: f32 = block.iter().map(|strip| strip.height).sum();
        let head: f32 = self.head.iter().map(|strip| strip.height).sum();
        if self.y + height > BOTTOM && height <= BOTTOM - TOP - head {
            self.turn();
        }
        for strip in block {
            if self.y + strip.height > BOTTOM {
                self.turn();
            }
            self.place(strip);
        }
    }

    /// Begins a table, whose head is repeated on each page until it ends. `first` is what must not be parted from it.
    pub(super) fn begin(&mut self, head: Vec<Strip>, first: f32) {
        let height: f32 = head.iter().map(|strip| strip.height).sum();
        if self.y + height + first > BOTTOM {
            self.turn();
        }
        head.iter().cloned().for_each(|strip| self.place(strip));
        self.head = head;
    }

    pub(super) fn end(&mut self) {
        self.head.clear();
    }

    fn turn(&mut self) {
        self.pages.push(Page::default());
        self.y = TOP;
        for strip in self.head.clone() {
            self.place(strip);
        }
    }

    fn place(&mut self, strip: Strip) {
        let Some(page) = self.pages.last_mut() else { return };
        if let Some((x, height, ink)) = strip.rule {
            page.shades.push(Shade { x, y: self.y, width: RIGHT - x, height, ink });
        }
        let y = self.y;
        page.texts.extend(strip.texts.into_iter().map(|text| Text { y: y + text.y, ..text }));
        self.y += strip.height;
    }
}
