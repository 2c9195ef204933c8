//! Characters of other alphabets as those of a smaller one.

/// Small letters a to z and single spaces; see [`Tokenizer::normalise`](super::Tokenizer::normalise).
pub(super) fn char27(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let space = |folded: &mut String| {
        if !folded.ends_with(' ') {
            folded.push(' ');
        }
    };
    for c in text.chars() {
        let plain = latin(c);
        match c {
            'a'..='z' => folded.push(c),
            'A'..='Z' => folded.push(c.to_ascii_lowercase()),
            '\'' | '\u{2018}' | '\u{2019}' | '\u{2b0}'..='\u{36f}' => {}
            _ if plain.is_empty() => space(&mut folded),
            _ => folded.extend(plain.chars().map(|c| c.to_ascii_lowercase())),
        }
    }
    folded
}

/// Printable ASCII and line ends; see [`Tokenizer::normalise`](super::Tokenizer::normalise).
pub(super) fn ascii(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut before = '\0';
    for c in text.chars() {
        let plain = latin(c);
        match c {
            ' '..='~' => folded.push(c),
            '\n' if before == '\r' => {}
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => folded.push('\n'),
            // Combining accents, marks of direction, and places where a word may be cut.
            '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{ad}' | '\u{feff}' => {}
            _ if c.is_whitespace() => folded.push(' '),
            '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{b4}' | '\u{2bc}' => folded.push('\''),
            '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ab}' | '\u{bb}' => folded.push('"'),
            '\u{2010}'..='\u{2013}' | '\u{2212}' => folded.push('-'),
            '\u{2014}' | '\u{2015}' => folded.push_str("--"),
            '\u{2026}' => folded.push_str("..."),
            _ if plain.is_empty() => folded.push('?'),
            _ => folded.push_str(plain),
        }
        before = c;
    }
    folded
}

/// A Latin letter without its accent, of Latin-1, Latin Extended-A and the ligatures; empty for anything else.
fn latin(c: char) -> &'static str {
    match c {
        '\u{c0}'..='\u{c5}' | '\u{100}' | '\u{102}' | '\u{104}' => "A",
        '\u{e0}'..='\u{e5}' | '\u{101}' | '\u{103}' | '\u{105}' | '\u{aa}' => "a",
        '\u{c6}' => "AE",
        '\u{e6}' => "ae",
        '\u{c7}' | '\u{106}' | '\u{108}' | '\u{10a}' | '\u{10c}' => "C",
        '\u{e7}' | '\u{107}' | '\u{109}' | '\u{10b}' | '\u{10d}' => "c",
        '\u{d0}' | '\u{10e}' | '\u{110}' => "D",
        '\u{f0}' | '\u{10f}' | '\u{111}' => "d",
        '\u{c8}'..='\u{cb}' | '\u{112}' | '\u{114}' | '\u{116}' | '\u{118}' | '\u{11a}' => "E",
        '\u{e8}'..='\u{eb}' | '\u{113}' | '\u{115}' | '\u{117}' | '\u{119}' | '\u{11b}' => "e",
        '\u{11c}' | '\u{11e}' | '\u{120}' | '\u{122}' => "G",
        '\u{11d}' | '\u{11f}' | '\u{121}' | '\u{123}' => "g",
        '\u{124}' | '\u{126}' => "H",
        '\u{125}' | '\u{127}' => "h",
        '\u{cc}'..='\u{cf}' | '\u{128}' | '\u{12a}' | '\u{12c}' | '\u{12e}' | '\u{130}' => "I",
        '\u{ec}'..='\u{ef}' | '\u{129}' | '\u{12b}' | '\u{12d}' | '\u{12f}' | '\u{131}' => "i",
        '\u{132}' => "IJ",
        '\u{133}' => "ij",
        '\u{134}' => "J",
        '\u{135}' => "j",
        '\u{136}' => "K",
        '\u{137}' | '\u{138}' => "k",
        '\u{139}' | '\u{13b}' | '\u{13d}' | '\u{13f}' | '\u{141}' => "L",
        '\u{13a}' | '\u{13c}' | '\u{13e}' | '\u{140}' | '\u{142}' => "l",
        '\u{d1}' | '\u{143}' | '\u{145}' | '\u{147}' | '\u{14a}' => "N",
        '\u{f1}' | '\u{144}' | '\u{146}' | '\u{148}' | '\u{149}' | '\u{14b}' => "n",
        '\u{d2}'..='\u{d6}' | '\u{d8}' | '\u{14c}' | '\u{14e}' | '\u{150}' => "O",
        '\u{f2}'..='\u{f6}' | '\u{f8}' | '\u{14d}' | '\u{14f}' | '\u{151}' | '\u{ba}' => "o",
        '\u{152}' => "OE",
        '\u{153}' => "oe",
        '\u{154}' | '\u{156}' | '\u{158}' => "R",
        '\u{155}' | '\u{157}' | '\u{159}' => "r",
        '\u{15a}' | '\u{15c}' | '\u{15e}' | '\u{160}' => "S",
        '\u{15b}' | '\u{15d}' | '\u{15f}' | '\u{161}' | '\u{17f}' => "s",
        '\u{df}' => "ss",
        '\u{de}' => "Th",
        '\u{fe}' => "th",
        '\u{162}' | '\u{164}' | '\u{166}' => "T",
        '\u{163}' | '\u{165}' | '\u{167}' => "t",
        '\u{d9}'..='\u{dc}' | '\u{168}' | '\u{16a}' | '\u{16c}' | '\u{16e}' | '\u{170}' | '\u{172}' => "U",
        '\u{f9}'..='\u{fc}' | '\u{169}' | '\u{16b}' | '\u{16d}' | '\u{16f}' | '\u{171}' | '\u{173}' => "u",
        '\u{174}' => "W",
        '\u{175}' => "w",
        '\u{dd}' | '\u{176}' | '\u{178}' => "Y",
        '\u{fd}' | '\u{ff}' | '\u{177}' => "y",
        '\u{179}' | '\u{17b}' | '\u{17d}' => "Z",
        '\u{17a}' | '\u{17c}' | '\u{17e}' => "z",
        '\u{fb00}' => "ff",
        '\u{fb01}' => "fi",
        '\u{fb02}' => "fl",
        '\u{fb03}' => "ffi",
        '\u{fb04}' => "ffl",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tokenizer, TokenizerSpec};

    #[test]
    fn typography_becomes_plain() {
        let text = "\u{201c}Don\u{2019}t,\u{201d} said  the na\u{ef}ve \u{c6}gir \u{2014} \u{a7}7\u{2026}\r\nNo";
        assert_eq!(char27(text), "dont said the naive aegir no".replacen("dont", " dont", 1));
        assert_eq!(ascii(text), "\"Don't,\" said  the naive AEgir -- ?7...\nNo");
        assert_eq!(char27("e\u{301}t e\u{301}"), "et e");
    }

    #[test]
    fn what_is_normal_is_encoded_whatever_it_was() {
        let everything: String = (0..0x3000u32).chain([0xfb01, 0x1f600]).filter_map(char::from_u32).collect();
        for spec in [TokenizerSpec::Char27 {}, TokenizerSpec::Ascii {}, TokenizerSpec::Byte {}] {
            let tokenizer = Tokenizer::new(&spec).unwrap();
            let normal = tokenizer.normalise(&everything);
            assert!(tokenizer.encode(&normal).is_ok());
            // What is normal stays.
            assert_eq!(tokenizer.normalise(&normal), normal);
        }
    }
}
