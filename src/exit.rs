//! How jailrun ends: the service's own status or signal, or one of our own (jailrun(8), EXIT STATUS).

use crate::kernel::Ending;

/// What the process ends with. `Signal`: it dies of the signal that the service died of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl From<Ending> for Exit {
    fn from(ending: Ending) -> Exit {
        match ending {
            Ending::Exited(status) => Exit::Status(status),
            Ending::Signalled(number) => Exit::Signal(number),
        }
    }
}

impl Exit {
    /// Two bytes for the pipe from supervisor to front.
    pub fn encode(self) -> [u8; 2] {
        match self {
            Exit::Status(status) => [b'x', status as u8],
            Exit::Signal(number) => [b'k', number as u8],
        }
    }

    pub fn decode(bytes: [u8; 2]) -> Option<Exit> {
        match bytes {
            [b'x', status] => Some(Exit::Status(i32::from(status))),
            [b'k', number] => Some(Exit::Signal(i32::from(number))),
            _ => None,
        }
    }

    /// As sh(1) gives it back, for those who can't die of a signal.
    pub fn code(self) -> i32 {
        match self {
            Exit::Status(status) => status,
            Exit::Signal(number) => 128 + number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_supervisor_says_is_what_the_front_ends_with() {
        for exit in [Exit::Status(0), Exit::Status(255), Exit::Signal(9)] {
            assert_eq!(Exit::decode(exit.encode()), Some(exit));
        }
        assert_eq!(Exit::decode([b's', 15]), None);
    }
}
