//! The modes of the terminal, which Burn's dashboard changes.

use std::io::{Write, stdout};

use crate::signals::STOPPED;

#[cfg(unix)]
pub use modes::{keep, let_interrupts_through};
#[cfg(not(unix))]
pub use no_modes::{keep, let_interrupts_through};

/// Ends the program at once, with the terminal as it was.
pub fn exit() -> ! {
    // The lock is held until the end, so that the dashboard's thread draws nothing more.
    let mut screen = stdout().lock();
    #[cfg(unix)]
    modes::restore();
    // No more mouse events, the screen that was there before, and its cursor.
    let leave = "\x1b[?1006l\x1b[?1015l\x1b[?1003l\x1b[?1002l\x1b[?1000l\x1b[?1049l\x1b[?25h";
    // There is no place left to report a failure.
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

    /// The modes before the dashboard.
    static BEFORE: OnceLock<Termios> = OnceLock::new();

    /// Remembers the modes of the terminal, before the dashboard takes it.
    pub fn keep() {
        if let Ok(modes) = tcgetattr(stdin()) {
            BEFORE.get_or_init(|| modes);
        }
    }

    /// Makes Ctrl-C an interrupt again, which the dashboard treats as an unknown key once it has the
    /// terminal. Returns whether it has it.
    pub fn let_interrupts_through() -> bool {
        let Ok(mut modes) = tcgetattr(stdin()) else {
            return false;
        };
        let is_taken = !modes.local_modes.contains(LocalModes::ICANON);
        if is_taken {
            modes.local_modes |= LocalModes::ISIG;
            // The other keys of this kind would leave the terminal in its present modes.
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
