//! Time that goes on while the machine sleeps (CLOCK_BOOTTIME), and descriptors that read when a moment of it, or of the wall clock, has come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// A moment, as time since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    pub fn now() -> Moment {
        let now = clock_gettime(ClockId::Boottime);
        Moment(Duration::new(now.tv_sec as u64, now.tv_nsec as u32))
    }

    pub fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }

    /// Zero if it is yet to come.
    pub fn elapsed(self) -> Duration {
        Moment::now().0.saturating_sub(self.0)
    }

    /// How long until then; zero if it has come.
    pub fn left(self) -> Duration {
        self.0.saturating_sub(Moment::now().0)
    }

    pub fn has_come(self) -> bool {
        self <= Moment::now()
    }
}

/// Until when something is waited for.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Moment(Moment),
    /// As the wall clock shows it, since 1970: sooner or later when somebody sets that.
    Wall(Duration),
}

impl End {
    /// Reads from then on. poll(2)'s own time-out stands still while the machine sleeps.
    pub fn timer(self) -> io::Result<OwnedFd> {
        let (clock, time) = match self {
            End::Moment(moment) => (TimerfdClockId::Boottime, moment.0),
            End::Wall(time) => (TimerfdClockId::Realtime, time),
        };
        let fd = timerfd_create(clock, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        set(&fd, time)?;
        Ok(fd)
    }
}

fn set(fd: &OwnedFd, time: Duration) -> io::Result<()> {
    let nothing = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let at = Itimerspec {
        it_interval: nothing,
        it_value: Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            // A time of nothing would switch it off.
            tv_nsec: i64::from(time.subsec_nanos().max(1)),
        },
    };
    timerfd_settime(fd, TimerfdTimerFlags::ABSTIME, &at)?;
    Ok(())
}

/// One alarm at a time.
pub struct Alarm {
    fd: OwnedFd,
    set: Option<Moment>,
}

impl Alarm {
    pub fn new() -> io::Result<Alarm> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Alarm {
            fd: timerfd_create(TimerfdClockId::Boottime, flags)?,
            set: None,
        })
    }

    /// Reads no more until it is set again.
    pub fn silence(&mut self) {
        // One that has not come yet, after all, has nothing to read and stays set.
        if rustix::io::read(&self.fd, &mut [0u8; 8]).is_ok() {
            self.set = None;
        }
    }

    /// Reads from `moment` on; a new moment replaces an old one.
    pub fn set(&mut self, moment: Moment) -> io::Result<()> {
        if self.set == Some(moment) {
            return Ok(());
        }
        set(&self.fd, moment.0)?;
        self.set = Some(moment);
        Ok(())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::poll::{Interest, PollSet};

    #[test]
    fn an_alarm_reads_when_its_moment_has_come() {
        let mut alarm = Alarm::new().expect("timers can be made");
        let is_due = |alarm: &Alarm, wait| {
            let mut set = PollSet::new();
            set.add(alarm.as_fd(), Interest::Read, ());
            !set.wait(Some(wait))
                .expect("it can be waited for")
                .is_empty()
        };
        let hour = Duration::from_secs(3600);
        alarm.set(Moment::now().after(hour)).expect("it can be set");
        assert!(!is_due(&alarm, Duration::ZERO));
        let begun = Moment::now();
        alarm.silence();
        alarm.set(begun).expect("it can be set");
        assert!(is_due(&alarm, hour));
        alarm.silence();
        assert!(!is_due(&alarm, Duration::ZERO));
        assert!(begun.has_come() && !begun.after(hour).has_come());
    }
}
