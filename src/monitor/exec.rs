//! The programs that were executed in the container beside its own: begun, watched and ended by the monitor.

use rustix::process::Pid;

use super::protocol::{Attach, ExecOrders, StartFailure};
use super::stdio::Stdio;
use crate::runtime::enter::{Entering, Progress};
use crate::runtime::execute::{Init, Launch, SetupError, Streams};
use crate::runtime::preserved::Preserved;

/// One of them.
pub struct Exec {
    /// The monitor's own number for it.
    pub number: u64,
    pub id: String,
    pub stdio: Stdio,
    entering: Option<Entering>,
    pid: Option<Pid>,
    code: Option<i32>,
    /// Until then it holds the ends through which the setup is told of, and its clone may have been quicker.
    helper_ended: bool,
}

/// What became of one since it was last asked.
pub enum Change {
    Nothing,
    Started,
    Failed(StartFailure),
}

impl Exec {
    /// On its way into the container of `init`.
    pub fn begin(
        number: u64,
        orders: &ExecOrders,
        preserved: Preserved,
        init: &Init,
        launch: &Launch,
    ) -> Result<Exec, StartFailure> {
        let (streams, stdio) = if orders.program.terminal {
            (Streams::Terminal, Stdio::nothing())
        } else if orders.attach == Attach::default() {
            (Streams::Nothing, Stdio::nothing())
        } else {
            Stdio::pipes(orders.attach.stdin).map_err(super::supervise::failure("make pipes"))?
        };
        let (program, size) = (&orders.program, orders.terminal_size);
        let entering = Entering::begin(init, launch, program, (streams, preserved), size);
        Ok(Exec {
            number,
            id: orders.id.clone(),
            stdio,
            entering: Some(entering.map_err(StartFailure::Setup)?),
            pid: None,
            code: None,
            helper_ended: false,
        })
    }

    /// In the monitor's own pid namespace, once it is cloned.
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// What it says while it is being set up.
    pub fn entering(&self) -> Option<&Entering> {
        self.entering.as_ref()
    }

    /// Goes on with its setup; never waits.
    pub fn advance(&mut self) -> Change {
        let Some(entering) = &mut self.entering else {
            return Change::Nothing;
        };
        let progress = entering.advance();
        self.pid = entering.pid;
        match progress {
            Progress::Pending => Change::Nothing,
            Progress::Failed(error) => {
                self.entering = None;
                Change::Failed(StartFailure::Setup(error))
            }
            Progress::Running => {
                let terminal = entering.terminal.take();
                self.entering = None;
                match terminal.map(|master| Stdio::terminal(master, None)) {
                    Some(Ok(stdio)) => self.stdio = stdio,
                    Some(Err(error)) => {
                        let error = super::supervise::failure("prepare the terminal")(error);
                        return Change::Failed(error);
                    }
                    None => {}
                }
                Change::Started
            }
        }
    }

    /// A child of the monitor has ended. What this one said before is read (`advance`) before it is asked.
    pub fn reaped(&mut self, pid: Pid, code: i32) {
        let helper = self.entering.as_ref().map(|entering| entering.helper);
        self.helper_ended |= helper == Some(pid);
        // A helper that ends before it has cloned has failed, with or without a word.
        if self.pid == Some(pid) || (helper == Some(pid) && self.pid.is_none()) {
            self.code = Some(code);
        }
    }

    /// The exit code, once its program has run and ended.
    pub fn code(&self) -> Option<i32> {
        self.code.filter(|_| self.entering.is_none())
    }

    /// It ended while it was being set up, and has said all that it will.
    pub fn died(&self) -> Option<StartFailure> {
        let all_said = self.entering.is_some() && self.helper_ended;
        let code = self.code.filter(|_| all_said)?;
        Some(StartFailure::Setup(SetupError::Ended { code }))
    }
}
