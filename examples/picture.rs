//! Takes the README's picture: runs `udpchat demo` in a pseudo-terminal, types at it, and writes
//! what is on its screen as SVG to standard output.
//!
//! ```sh
//! cargo build && cargo run -q --example picture >docs/demo.svg
//! ```
//!
//! Knows keys and cells of a screen, and nothing of what is inside the program.

#[cfg(unix)]
fn main() -> std::io::Result<()> {
    imp::main()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("pictures are taken where there are pseudo-terminals");
}

#[cfg(unix)]
mod imp {
    use std::fmt::Write as _;
    use std::fs::File;
    use std::io::{self, Read, Write};
    use std::num::NonZero;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    use rustix::termios::{Winsize, tcsetwinsize};
    use vt100::{Cell, Color, Parser};

    const ROWS: u16 = 24;
    const COLUMNS: u16 = 100;

    /// With this one things go wrong in different ways.
    const SEED: &str = "4";

    /// What is typed, each after everything is told of the one before.
    const TYPED: [&str; 4] = ["hello?", "three in ten are lost", "and you hear all", "wow"];

    /// A cell in pixels.
    const WIDTH: f64 = 8.4;
    const HEIGHT: f64 = 18.0;
    const MARGIN: f64 = 14.0;

    /// The first eight colours of a dark terminal, and their bright siblings.
    const PALETTE: [&str; 16] = [
        "#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4",
        "#6e7681", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff",
    ];
    const TEXT: &str = "#c9d1d9";
    const QUIET: &str = "#8b949e";
    const GROUND: &str = "#0d1117";

    pub(super) fn main() -> io::Result<()> {
        let mut terminal = Terminal::start()?;
        terminal.wait_for(|screen| screen.contains("here: echo"))?;
        for text in TYPED {
            terminal.type_line(text)?;
            // What was typed, and what came back.
            let echo = format!("echo: {text}");
            terminal.wait_for(|screen| screen.matches(&echo).count() == 2)?;
            terminal.wait_for(|screen| screen.contains(&format!("{text}: ")))?;
        }
        let picture = picture(terminal.screen.screen());
        terminal.end()?;
        io::stdout().write_all(picture.as_bytes())
    }

    /// The program and its terminal.
    struct Terminal {
        child: Child,
        keys: File,
        screen: Parser,
    }

    impl Terminal {
        fn start() -> io::Result<Self> {
            let control = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            unlockpt(&control)?;
            let line = ioctl_tiocgptpeer(&control, OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
            let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
            tcsetwinsize(&line, size)?;
            // Examples are in a folder beside the program.
            let folder = std::env::current_exe()?.with_file_name("..");
            let end = || line.try_clone().map(Stdio::from);
            let child = Command::new(folder.join("udpchat"))
                .args(["demo", "--seed", SEED, "--color", "always"])
                .envs([("TERM", "xterm-256color"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")])
                .process_group(0)
                .stdin(end()?)
                .stdout(end()?)
                .stderr(end()?)
                .spawn()?;
            let cells = |count| NonZero::<u16>::new(count).ok_or(io::ErrorKind::InvalidInput);
            let screen = Parser::new(cells(ROWS)?, cells(COLUMNS)?, 0);
            Ok(Self { child, keys: File::from(control), screen })
        }

        fn type_line(&mut self, text: &str) -> io::Result<()> {
            self.keys.write_all(format!("{text}\r").as_bytes())
        }

        fn end(mut self) -> io::Result<()> {
            self.type_line("/quit")?;
            // Until nobody has the other side open any more, which is an error.
            while self.keys.read(&mut [0; 4_096]).is_ok_and(|length| length > 0) {}
            self.child.wait().map(|_| ())
        }

        /// Reads until the screen is as wanted, however it is wrapped.
        fn wait_for(&mut self, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
            let mut buffer = [0; 4_096];
            while !wanted(&self.screen.screen().contents().replace('\n', "")) {
                let length = self.keys.read(&mut buffer)?;
                self.screen.process(&buffer[..length]);
            }
            Ok(())
        }
    }

    fn picture(screen: &vt100::Screen) -> String {
        let rows = 1 + (0..ROWS).rev().find(|row| !is_blank(screen, *row)).unwrap_or(0);
        let width = 2.0 * MARGIN + f64::from(COLUMNS) * WIDTH;
        let height = 2.0 * MARGIN + f64::from(rows) * HEIGHT;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
             font-size=\"14\">\n<title>udpchat demo --seed {SEED}</title>\n\
             <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{GROUND}\"/>\n"
        );
        for row in 0..rows {
            write_row(&mut svg, screen, row);
        }
        svg + "</svg>\n"
    }

    fn is_blank(screen: &vt100::Screen, row: u16) -> bool {
        (0..COLUMNS).all(|column| shown(screen, row, column).0 == " ")
    }

    /// A cell's text and style.
    fn shown(screen: &vt100::Screen, row: u16, column: u16) -> (&str, String) {
        let Some(cell) = screen.cell(row, column) else { return (" ", String::new()) };
        let text = if cell.contents().is_empty() { " " } else { cell.contents() };
        (text, style(cell))
    }

    fn style(cell: &Cell) -> String {
        let color = match cell.fgcolor() {
            Color::Idx(number @ 0..=15) => PALETTE[usize::from(number)],
            _ if cell.dim() => QUIET,
            _ => TEXT,
        };
        let weight = if cell.bold() { " font-weight=\"bold\"" } else { "" };
        format!("fill=\"{color}\"{weight}")
    }

    /// Cells of one style side by side are one text, as wide as its cells in any font.
    fn write_row(svg: &mut String, screen: &vt100::Screen, row: u16) {
        let y = MARGIN + HEIGHT * f64::from(row) + 0.75 * HEIGHT;
        let mut column = 0;
        while column < COLUMNS {
            let (begin, style) = (column, shown(screen, row, column).1);
            let mut text = String::new();
            while column < COLUMNS && shown(screen, row, column).1 == style {
                text += shown(screen, row, column).0;
                column += 1;
            }
            let x = MARGIN + WIDTH * f64::from(begin);
            let width = WIDTH * text.trim_end().chars().count() as f64;
            let text = text.trim_end().replace('&', "&amp;").replace('<', "&lt;");
            if !text.is_empty() {
                // Writing to a string cannot fail.
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{width:.1}\" \
                     xml:space=\"preserve\" {style}>{text}</text>"
                );
            }
        }
    }
}
