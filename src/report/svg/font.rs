//! Text measured without a font file: the advance widths of Helvetica, which Arial and Liberation
//! Sans share. Labels carry `textLength`, so another font is fitted to the measured width.

/// Advance widths of ASCII 32 to 126, in 1/1000 of the font size (Adobe Helvetica metrics).
#[rustfmt::skip]
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278,
    278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p to ~
];

/// The same of Helvetica Bold.
#[rustfmt::skip]
const BOLD: [u16; 95] = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611, // 0 to ?
    975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, // P to _
    333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, // ` to o
    611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584, // p to ~
];

/// How heavy the letters are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Text.
    Regular,
    /// Titles and what matters most.
    Bold,
}

fn advance(c: char, weight: Weight) -> f64 {
    let table = match weight {
        Weight::Regular => &WIDTHS,
        Weight::Bold => &BOLD,
    };
    let ascii = u32::from(c).checked_sub(32).and_then(|i| table.get(i as usize));
    f64::from(match (ascii, c) {
        (Some(width), _) => *width,
        (None, '·' | '’' | '‘') => 278,
        (None, '×' | '±' | '≤' | '≥' | '≈' | '−' | '–' | 'µ') => 570,
        (None, '\u{2e80}'.. | '—' | '…' | '→' | '←' | '↑' | '↓') => 1000,
        (None, _) => 667,
    }) / 1000.0
}

/// Width of a text in pixels at a font size.
pub fn text_width(text: &str, size: f64, weight: Weight) -> f64 {
    text.chars().map(|c| advance(c, weight)).sum::<f64>() * size
}

/// The text, cut with an ellipsis where it is wider than `room`.
pub fn ellipsis(text: &str, size: f64, weight: Weight, room: f64) -> String {
    if text_width(text, size, weight) <= room {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let shown = format!("{}…", kept.trim_end());
        if text_width(&shown, size, weight) <= room {
            return shown;
        }
    }
    String::new()
}

/// Lines no wider than `room`, broken at spaces; a longer word is cut.
pub fn wrap(text: &str, size: f64, weight: Weight, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        let word = ellipsis(word, size, weight, room);
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size, weight) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_helvetica() {
        assert_eq!(text_width("AB i", 1000.0, Weight::Regular), 667.0 + 667.0 + 278.0 + 222.0);
        assert_eq!(text_width("AB i", 1000.0, Weight::Bold), 722.0 + 722.0 + 278.0 + 278.0);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "the quick brown fox jumps over the lazy dog";
        let lines = wrap(text, 10.0, Weight::Regular, 80.0);
        assert!(lines.iter().all(|l| text_width(l, 10.0, Weight::Regular) <= 80.0));
        assert_eq!(lines.join(" "), text);
        assert!(text_width(&ellipsis(text, 10.0, Weight::Bold, 60.0), 10.0, Weight::Bold) <= 60.0);
    }
}
