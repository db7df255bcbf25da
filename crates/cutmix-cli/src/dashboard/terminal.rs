//! What Burn's dashboard does to the terminal, where that stands in the way.

use std::io::{Write, stdout};

use crate::train::STOPPED;

#[cfg(unix)]
pub use modes::{keep, let_interrupts_through};
#[cfg(not(unix))]
pub use no_modes::{keep, let_interrupts_through};

/// Ends the program at once, with the terminal as it was.
pub fn exit() -> ! {
    // Until the end, so that the dashboard's thread draws nothing more.
    let mut screen = stdout().lock();
    #[cfg(unix)]
    modes::restore();
    // No more mouse events, the screen that was there before, and its cursor.
    let leave = "\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
    // If it fails, nobody is left to be told.
    let _ = screen.write_all(leave.as_bytes());
    let _ = screen.flush();
    std::process::exit(STOPPED.into())
}

#[cfg(unix)]
mod modes {
    use std::io::stdin;
    use std::sync::OnceLock;

    use rustix::termios::{
        LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };

    /// As they were before the dashboard.
    static BEFORE: OnceLock<Termios> = OnceLock::new();

    /// Remembers how the terminal is, before the dashboard takes it.
    pub fn keep() {
        if let Ok(modes) = tcgetattr(stdin()) {
            BEFORE.get_or_init(|| modes);
        }
    }

    /// Makes Ctrl-C an interrupt again, which the dashboard, once it has the terminal, takes for a
    /// key that it does not know. Whether it has it yet.
    pub fn let_interrupts_through() -> bool {
        let Ok(mut modes) = tcgetattr(stdin()) else {
            return false;
        };
        let is_taken = !modes.local_modes.contains(LocalModes::ICANON);
        if is_taken {
            modes.local_modes |= LocalModes::ISIG;
            // The other keys of the kind would leave the terminal as it is now.
            modes.special_codes[SpecialCodeIndex::VQUIT] = 0;
            modes.special_codes[SpecialCodeIndex::VSUSP] = 0;
            // If it fails, the dashboard's own keys still end the run.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &modes);
        }
        is_taken
    }

    pub fn restore() {
        if let Some(before) = BEFORE.get() {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// On Windows the dashboard's own keys end a run; Ctrl-C does not reach it.
#[cfg(not(unix))]
mod no_modes {
    pub fn keep() {}

    pub fn let_interrupts_through() -> bool {
        true
    }
}
