//! What the keyboard sends, before the line editor has it: pastes are taken together and within
//! bounds, and of a line with bytes that are no text nothing is taken.
//!
//! Pure. Knows keys and times, no editor and no terminal.

use std::time::Duration;

/// The longest line that is edited, in bytes: a dozen of the longest texts, pasted together. The
/// editor draws all of it at each key, and fails far above.
pub(super) const EDITED_MAX: usize = 8_192;

/// A paste whose end does not come is over when nothing came for so long, and so is a line that is
/// refused. Longer than a line to a distant host falters, shorter than somebody waits.
const PAUSE: Duration = Duration::from_secs(2);

/// A key, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A character, so many times.
    Char(char, usize),
    /// A control character: typed it does something, pasted it is one.
    Control(char, usize),
    /// Enter.
    Return,
    /// Ctrl-J, or a line end in a paste.
    Newline,
    PasteBegins,
    PasteEnds,
    /// Ctrl-C.
    Interrupt,
    Other,
}

/// Those control characters that make the line longer: completion, and inserting what was cut out
/// or comes next.
const GROWING: [char; 4] = ['\t', '\u{11}', '\u{16}', '\u{19}'];

/// What comes of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// What it does in the editor.
    AsUsual,
    Nothing,
    /// This is inserted instead.
    Insert(String),
    /// Nothing, and the user is told why.
    Refused(String),
}

#[derive(Debug)]
pub(super) struct Keys {
    state: KeyState,
    /// When the last key came.
    last: Duration,
    /// The user has been told that the line is full.
    told_full: bool,
}

#[derive(Debug)]
enum KeyState {
    Typing,
    Pasting(Paste),
    /// After bytes that are no text, to the end of the paste or of the line.
    Refusing {
        paste: bool,
    },
}

#[derive(Debug, Default)]
struct Paste {
    text: String,
    /// Its length, also if there was no room for all of it.
    bytes: usize,
    /// A line end was a carriage return: a newline behind it is the same one.
    returned: bool,
}

impl Keys {
    pub(super) const fn new() -> Self {
        Self { state: KeyState::Typing, last: Duration::ZERO, told_full: false }
    }

    /// A key was pressed, or came with a paste, while the line had so many bytes.
    pub(super) fn press(&mut self, now: Duration, key: Key, line: usize) -> Does {
        let paused = now.saturating_sub(self.last) > PAUSE;
        self.last = now;
        match &mut self.state {
            KeyState::Typing => self.type_key(key, line),
            KeyState::Refusing { .. } if paused => {
                self.state = KeyState::Typing;
                self.type_key(key, line)
            }
            KeyState::Refusing { paste } => {
                let ends = match key {
                    Key::Interrupt => true,
                    Key::PasteEnds => *paste,
                    Key::Return | Key::Newline => !*paste,
                    _ => false,
                };
                if ends {
                    self.state = KeyState::Typing;
                }
                Does::Nothing
            }
            KeyState::Pasting(paste) => match key {
                // On an empty line it would end the conversation.
                Key::Interrupt => {
                    self.state = KeyState::Typing;
                    Does::Refused("the paste is given up".to_owned())
                }
                Key::PasteEnds => self.end_paste(line),
                // The key after the pause is the user's, who sees now what is there.
                Key::PasteBegins if paused => {
                    let does = self.end_paste(line);
                    self.state = KeyState::Pasting(Paste::default());
                    does
                }
                Key::Return | Key::Newline | Key::Control(..) | Key::Other if paused => {
                    self.end_paste(line)
                }
                Key::Char(..) if paused => {
                    paste.take(key);
                    self.end_paste(line)
                }
                _ => {
                    paste.take(key);
                    Does::Nothing
                }
            },
        }
    }

    /// Bytes came that are no text, and the editor has given up the line.
    pub(super) fn broken(&mut self, now: Duration) {
        self.last = now;
        let paste = match self.state {
            KeyState::Typing => false,
            KeyState::Pasting(_) => true,
            KeyState::Refusing { paste } => paste,
        };
        self.state = KeyState::Refusing { paste };
    }

    fn type_key(&mut self, key: Key, line: usize) -> Does {
        let added = match key {
            Key::Char(character, times) => character.len_utf8() * times,
            // What was cut out may be as long as a line: once is enough.
            Key::Control(character, times) if GROWING.contains(&character) => {
                if times > 1 {
                    EDITED_MAX + 1
                } else {
                    1
                }
            }
            Key::PasteBegins => {
                self.state = KeyState::Pasting(Paste::default());
                return Does::Nothing;
            }
            // Its beginning came too long ago.
            Key::PasteEnds => return Does::Nothing,
            Key::Return | Key::Newline | Key::Control(..) | Key::Interrupt | Key::Other => {
                return Does::AsUsual;
            }
        };
        if line + added <= EDITED_MAX {
            self.told_full = false;
            Does::AsUsual
        } else if std::mem::replace(&mut self.told_full, true) {
            Does::Nothing
        } else {
            Does::Refused(format!("the line is full: it takes {EDITED_MAX} bytes"))
        }
    }

    fn end_paste(&mut self, line: usize) -> Does {
        match std::mem::replace(&mut self.state, KeyState::Typing) {
            KeyState::Pasting(paste) if line + paste.bytes > EDITED_MAX => Does::Refused(format!(
                "the paste has {} bytes, the line takes {EDITED_MAX}: nothing of it is there",
                paste.bytes
            )),
            KeyState::Pasting(paste) if !paste.text.is_empty() => Does::Insert(paste.text),
            _ => Does::Nothing,
        }
    }
}

impl Paste {
    fn take(&mut self, key: Key) {
        let character = match key {
            Key::Char(character, _) | Key::Control(character, _) => character,
            Key::Newline if self.returned => {
                self.returned = false;
                return;
            }
            Key::Return | Key::Newline => '\n',
            // Escape sequences are no part of a text.
            _ => return,
        };
        self.returned = key == Key::Return;
        self.bytes += character.len_utf8();
        if self.bytes <= EDITED_MAX {
            self.text.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    /// Presses keys one right after the other, and gives what comes of each.
    struct Hand {
        keys: Keys,
        now: Duration,
    }

    impl Hand {
        fn new() -> Self {
            Self { keys: Keys::new(), now: Duration::ZERO }
        }

        fn press(&mut self, key: Key) -> Does {
            self.now += SOON;
            self.keys.press(self.now, key, 0)
        }

        fn type_text(&mut self, text: &str) -> Vec<Does> {
            text.chars().map(|character| self.press(typed(character))).collect()
        }

        fn pause(&mut self) {
            self.now += PAUSE;
        }
    }

    fn typed(character: char) -> Key {
        match character {
            '\r' => Key::Return,
            '\n' => Key::Newline,
            _ if character.is_control() => Key::Control(character, 1),
            _ => Key::Char(character, 1),
        }
    }

    fn insert(text: &str) -> Does {
        Does::Insert(text.to_owned())
    }

    fn is_nothing(all: &[Does]) -> bool {
        all.iter().all(|does| *does == Does::Nothing)
    }

    #[test]
    fn a_paste_is_inserted_in_one_piece_with_each_line_end_once() {
        let mut hand = Hand::new();
        assert_eq!(hand.press(Key::PasteBegins), Does::Nothing);
        assert!(is_nothing(&hand.type_text("a\u{7}\r\nb\rc\n\n\td")));
        assert_eq!(hand.press(Key::Other), Does::Nothing);
        assert_eq!(hand.press(Key::PasteEnds), insert("a\u{7}\nb\nc\n\n\td"));
        assert_eq!(hand.press(Key::Return), Does::AsUsual);
    }

    #[test]
    fn a_paste_that_does_not_end_is_over_after_a_pause_and_sends_nothing() {
        for (key, wanted) in [
            (Key::Char('!', 1), "one\ntwo!"),
            (Key::Return, "one\ntwo"),
            (Key::Other, "one\ntwo"),
            (Key::PasteBegins, "one\ntwo"),
        ] {
            let mut hand = Hand::new();
            hand.press(Key::PasteBegins);
            assert!(is_nothing(&hand.type_text("one\rtwo")));
            hand.pause();
            assert_eq!(hand.press(key), insert(wanted), "{key:?}");
        }
    }

    #[test]
    fn an_interrupt_gives_a_paste_up() {
        let mut hand = Hand::new();
        hand.press(Key::PasteBegins);
        hand.type_text("one");
        assert!(matches!(hand.press(Key::Interrupt), Does::Refused(_)));
        assert_eq!(hand.press(Key::Char('x', 1)), Does::AsUsual);
        assert_eq!(hand.press(Key::PasteEnds), Does::Nothing);
    }

    #[test]
    fn what_has_no_room_is_refused_whole() {
        let mut hand = Hand::new();
        hand.press(Key::PasteBegins);
        hand.type_text(&"x".repeat(70_000));
        let Does::Refused(why) = hand.press(Key::PasteEnds) else { panic!("it is taken") };
        assert!(why.contains("70000"), "{why}");
        hand.press(Key::PasteBegins);
        hand.type_text(&"x".repeat(EDITED_MAX));
        let at = hand.now;
        assert_eq!(hand.keys.press(at, Key::PasteEnds, 0), insert(&"x".repeat(EDITED_MAX)));
        for (key, line, fits) in [
            (Key::Char('x', 1), EDITED_MAX - 1, true),
            (Key::Char('ß', 1), EDITED_MAX - 1, false),
            (Key::Char('x', 9_999), 0, false),
            (Key::Control('\t', 1), EDITED_MAX, false),
            (Key::Control('\u{19}', 2), 0, false),
            (Key::Control('\u{1}', 2), EDITED_MAX, true),
            (Key::Other, EDITED_MAX, true),
            (Key::Return, EDITED_MAX, true),
        ] {
            let does = Keys::new().press(at, key, line);
            assert_eq!(does == Does::AsUsual, fits, "{key:?} at {line}");
        }
    }

    #[test]
    fn that_a_line_is_full_is_said_once() {
        let mut keys = Keys::new();
        let mut press = |line| keys.press(SOON, Key::Char('x', 1), line);
        assert!(matches!(press(EDITED_MAX), Does::Refused(_)));
        assert_eq!(press(EDITED_MAX), Does::Nothing);
        assert_eq!(press(0), Does::AsUsual);
        assert!(matches!(press(EDITED_MAX), Does::Refused(_)));
    }

    #[test]
    fn behind_bytes_that_are_no_text_nothing_is_taken_up_to_the_end_of_the_line() {
        let mut hand = Hand::new();
        hand.type_text("caf");
        hand.keys.broken(hand.now);
        assert!(is_nothing(&hand.type_text(" is closed")));
        hand.keys.broken(hand.now);
        assert!(is_nothing(&hand.type_text("!\r")));
        assert_eq!(hand.press(Key::Char('x', 1)), Does::AsUsual);
    }

    #[test]
    fn of_a_paste_with_bytes_that_are_no_text_no_line_is_taken() {
        let mut hand = Hand::new();
        hand.press(Key::PasteBegins);
        hand.type_text("one\rtwo");
        hand.keys.broken(hand.now);
        assert!(is_nothing(&hand.type_text("three\r/quit\rfour\r")));
        assert_eq!(hand.press(Key::PasteEnds), Does::Nothing);
        assert_eq!(hand.press(Key::Char('x', 1)), Does::AsUsual);
    }

    #[test]
    fn a_refusal_is_over_after_a_pause_or_an_interrupt_which_does_nothing_else() {
        let mut hand = Hand::new();
        hand.keys.broken(hand.now);
        assert!(is_nothing(&hand.type_text("x")));
        hand.pause();
        assert_eq!(hand.press(Key::Char('x', 1)), Does::AsUsual);
        hand.keys.broken(hand.now);
        assert_eq!(hand.press(Key::Interrupt), Does::Nothing);
        assert_eq!(hand.press(Key::Interrupt), Does::AsUsual);
    }
}
