//! Text for a terminal of 80 columns.

use std::fmt;

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

/// Columns of the terminal that everything is made to be read on.
pub const COLUMNS: usize = 80;

/// Lines so far.
#[derive(Clone, Debug, Default)]
pub struct Lines(String);

impl Lines {
    /// One line as it is: a command, or a row of a table.
    pub fn line(&mut self, text: &str) {
        self.0 += text.trim_end();
        self.0.push('\n');
    }

    /// A sentence, so far to the right, broken between words where it must be.
    pub fn words(&mut self, indent: usize, text: &str) {
        self.hanging(&" ".repeat(indent), text);
    }

    /// A sentence that begins behind `first`; its further lines do so too.
    pub fn hanging(&mut self, first: &str, text: &str) {
        let rest = " ".repeat(first.chars().count());
        let options = Options::new(COLUMNS)
            .initial_indent(first)
            .subsequent_indent(&rest)
            .break_words(false)
            // Options and names of bugs are one word each.
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation)
            .wrap_algorithm(WrapAlgorithm::FirstFit);
        self.line(&textwrap::fill(text, options));
    }

    /// How to go on: a word for it, and the command in one piece, however long it is.
    pub fn next(&mut self, word: &str, command: &str) {
        self.line(&format!("  {word:<8} {command}"));
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.0.push('\n');
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_wrap_at_80_columns_and_commands_stay_whole() {
        let mut lines = Lines::default();
        lines.hanging("HELD  ", &"a-long-word --drop-rate 0.3 ".repeat(9));
        lines.next("replay", &"x".repeat(100));
        let text = lines.to_string();
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.len() > 3 && widths[0] > 50, "{text}");
        assert!(widths[..widths.len() - 1].iter().all(|width| *width <= COLUMNS), "{text}");
        assert_eq!(widths.last(), Some(&111), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("  ")), "{text}");
        assert!(!text.contains("-\n"), "{text}");
    }
}
