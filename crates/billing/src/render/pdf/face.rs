//! The font: how wide texts are, and where they may be broken.

use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::{
    FontRef, MetadataProvider as _,
    charmap::Charmap,
    instance::{LocationRef, Size},
    metrics::GlyphMetrics,
};

/// Stands where the font has no glyph.
const UNKNOWN: char = '?';

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// Noto Sans in both weights.
pub(super) struct Faces {
    regular: Face,
    bold: Face,
}

struct Face {
    font: Font,
    charmap: Charmap<'static>,
    metrics: GlyphMetrics<'static>,
    unknown: skrifa::GlyphId,
    /// The font's own units that are as long as letters are high.
    per_em: f32,
}

impl Faces {
    pub(super) fn new() -> Option<Self> {
        Some(Self { regular: Face::new(notosans::REGULAR_TTF)?, bold: Face::new(notosans::BOLD_TTF)? })
    }

    fn of(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// In points, at a size in points.
    pub(super) fn width(&self, weight: Weight, text: &str, size: f32) -> f32 {
        let face = self.of(weight);
        text.chars().map(|c| face.advance(face.glyph(c))).sum::<f32>() * size
    }

    /// A text in pieces that are not wider than that: broken at blanks, and within words that are too wide by themselves.
    pub(super) fn wrap<'t>(&self, weight: Weight, text: &'t str, size: f32, width: f32) -> Vec<&'t str> {
        let (face, mut rest, mut pieces) = (self.of(weight), text.trim(), Vec::new());
        while !rest.is_empty() {
            let end = face.fits(rest, width / size);
            let (line, after) = rest.split_at(end);
            let is_whole = after.is_empty() || after.starts_with(' ');
            let cut = if is_whole { end } else { line.rfind(' ').unwrap_or(end) };
            pieces.push(rest[..cut].trim_end());
            rest = rest[cut..].trim_start();
        }
        pieces
    }

    /// What is drawn for a text, each glyph with the bytes that it stands for.
    pub(super) fn glyphs(&self, weight: Weight, text: &str) -> (Font, Vec<KrillaGlyph>) {
        let face = self.of(weight);
        let glyphs = text.char_indices().map(|(at, c)| {
            let glyph = face.glyph(c);
            let range = at..at + c.len_utf8();
            KrillaGlyph::new(GlyphId::new(glyph.to_u32()), face.advance(glyph), 0.0, 0.0, 0.0, range, None)
        });
        (face.font.clone(), glyphs.collect())
    }
}

impl Face {
    fn new(data: &'static [u8]) -> Option<Self> {
        let parsed = FontRef::new(data).ok()?;
        let charmap = parsed.charmap();
        let unknown = charmap.map(UNKNOWN)?;
        let font = Font::new(data.into(), 0)?;
        let metrics = parsed.glyph_metrics(Size::unscaled(), LocationRef::default());
        let per_em = font.units_per_em();
        Some(Self { font, charmap, metrics, unknown, per_em })
    }

    fn glyph(&self, c: char) -> skrifa::GlyphId {
        self.charmap.map(c).unwrap_or(self.unknown)
    }

    /// How far it is to the next glyph at a size of 1.
    fn advance(&self, glyph: skrifa::GlyphId) -> f32 {
        self.metrics.advance_width(glyph).unwrap_or_default() / self.per_em
    }

    /// Bytes of a text, one character at least, that are not wider than that at a size of 1.
    fn fits(&self, text: &str, width: f32) -> usize {
        let mut used = 0.0;
        for (at, c) in text.char_indices() {
            used += self.advance(self.glyph(c));
            if used > width && at > 0 {
                return at;
            }
        }
        text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_where_they_may_be() {
        let faces = Faces::new().unwrap();
        let wide = |text: &str| faces.width(Weight::Regular, text, 10.0);
        let wrap = |text, width| faces.wrap(Weight::Regular, text, 10.0, width);
        assert_eq!(wrap("one two three", wide("one two ") + 0.1), ["one two", "three"]);
        assert_eq!(wrap("one two", wide("one two") + 0.1), ["one two"]);
        assert_eq!(wrap("onetwo three", wide("one") + 0.1)[..2], ["one", "two"]);
        assert_eq!(wrap("", 100.0), Vec::<&str>::new());
        assert_eq!(wrap("ЖЖ", 0.1), ["Ж", "Ж"], "one character at least");
        let long = "x".repeat(200);
        let pieces = wrap(&long, 50.0);
        assert!(pieces.iter().all(|piece| wide(piece) <= 50.0));
        assert_eq!(pieces.concat(), long);
    }

    #[test]
    fn letters_of_europe_have_glyphs() {
        let faces = Faces::new().unwrap();
        for weight in [Weight::Regular, Weight::Bold] {
            let face = faces.of(weight);
            for c in "AzÄßéñøŁőșĐỆΑωЖґїЉ€£¥₴₹×–’0123456789.,-?".chars() {
                assert!(face.charmap.map(c).is_some(), "{c}");
            }
            assert_eq!(face.glyph('\u{1F600}'), face.glyph('?'));
            let digits = "0123456789".chars().map(|c| face.advance(face.glyph(c)));
            assert!(
                digits.clone().all(|width| Some(width) == digits.clone().next()),
                "figures stand in columns"
            );
        }
    }
}
