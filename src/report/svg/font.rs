//! Text measured without a font file: the advance widths of Helvetica, which Arial and Liberation
//! Sans share. Labels carry `textLength`, so another font is fitted to the measured width.

/// Advance widths of ASCII 32 to 126, in 1/1000 of the font size (Adobe Helvetica metrics).
const WIDTHS: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278,
    278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, // p to ~
];

/// Bold is wider than regular by at most about this.
const BOLD: f64 = 1.08;

fn advance(c: char) -> f64 {
    let ascii = u32::from(c).checked_sub(32).and_then(|i| WIDTHS.get(i as usize));
    f64::from(match (ascii, c) {
        (Some(width), _) => *width,
        (None, '·' | '’' | '‘') => 333,
        (None, '×' | '±' | '≤' | '≥' | '≈' | '−' | '–' | 'µ') => 584,
        (None, '\u{2e80}'.. | '—' | '…' | '→' | '←' | '↑' | '↓') => 1000,
        (None, _) => 667,
    }) / 1000.0
}

/// Width of a text in pixels at a font size.
pub fn text_width(text: &str, size: f64, bold: bool) -> f64 {
    let em: f64 = text.chars().map(advance).sum();
    em * size * if bold { BOLD } else { 1.0 }
}

/// The text, cut with an ellipsis where it is wider than `room`.
pub fn ellipsis(text: &str, size: f64, bold: bool, room: f64) -> String {
    if text_width(text, size, bold) <= room {
        return text.to_owned();
    }
    let mut kept: String = text.to_owned();
    while kept.pop().is_some() {
        let shown = format!("{}…", kept.trim_end());
        if text_width(&shown, size, bold) <= room {
            return shown;
        }
    }
    String::new()
}

/// Lines no wider than `room`, broken at spaces; a longer word is cut.
pub fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        let word = ellipsis(word, size, false, room);
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size, false) <= room => {
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
        assert_eq!(text_width("AB i", 1000.0, false), 667.0 + 667.0 + 278.0 + 222.0);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_no_word() {
        let text = "the quick brown fox jumps over the lazy dog";
        let lines = wrap(text, 10.0, 80.0);
        assert!(lines.iter().all(|l| text_width(l, 10.0, false) <= 80.0));
        assert_eq!(lines.join(" "), text);
        assert!(text_width(&ellipsis(text, 10.0, true, 60.0), 10.0, true) <= 60.0);
    }
}
