//! How wide a line may be.

use rustix::termios::tcgetwinsize;

/// The columns of the terminal, as the user says (`COLUMNS`) or as it is; none where stdout is no terminal.
pub fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok();
    let said = said.and_then(|columns| columns.parse::<usize>().ok());
    let is = || {
        tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| size.ws_col.into())
    };
    said.or_else(is).filter(|columns| *columns > 0)
}
