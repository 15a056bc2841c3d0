//! Starts a project's containers, each when what it needs has come so far, and as many at a time as can. One loop waits for all that is
//! waited for: monitors that answer, health, ends, output, signals.

mod conditions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::follow::{Follower, Live};
use super::hooks;
use super::{ExecuteError, Executor};
use crate::compose::order::{self, Need};
use crate::compose::report::Phase;
use crate::compose::state;
use crate::container::{ContainerError, Record};
use crate::engine::{BeingStarted, EngineError, Keeper, ListedContainer, StartOptions, Watch};
use crate::monitor::{Attach, StartFailure};
use crate::sys::poll::{Interest, PollSet};
use crate::sys::timer::{End, Moment};

/// What is to be started, and how long whoever asks stays.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// The names of the containers, by service.
    pub members: BTreeMap<String, Vec<String>>,
    /// What these need is waited for; what the others need was, or does not matter.
    pub chosen: BTreeSet<String>,
    /// What these need has to have come so far, too; they are not started.
    pub meets: BTreeSet<String>,
    /// Until all of them are healthy, or run; at the most so long.
    pub wait: Option<Option<Duration>>,
    /// Until all of them have ended.
    pub follow: Option<Follow>,
}

/// Stays with the containers.
#[derive(Clone, Debug, Default)]
pub struct Follow {
    /// The services whose output is shown.
    pub attach: BTreeSet<String>,
    pub cascade: Cascade,
    /// The service whose first exit code is that of the command.
    pub exit_from: Option<String>,
    pub timeout: Option<u32>,
}

/// What the end of one means for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cascade {
    #[default]
    Nothing,
    /// All end.
    Stop,
    /// All end, if it has failed.
    StopOnFailure,
}

/// How it came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// They run, and nobody stays.
    Started,
    /// All have ended.
    Exited(i32),
    /// By a signal to this command: they were stopped.
    Interrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// So many of its containers are on their way.
    Starting(usize),
    Up,
}

struct Task {
    service: String,
    needs: Vec<Need>,
    stage: Stage,
    /// The names that it was said of that they are waited for.
    told: BTreeSet<String>,
}

struct Beginning {
    service: String,
    name: String,
    record: Record,
    started: BeingStarted,
}

#[derive(Clone, Copy)]
enum Token {
    Starting(usize),
    Health,
    Live(usize),
    Signal,
    Event,
    Stop,
}

impl Executor<'_> {
    pub fn start(&self, orders: &Orders) -> Result<Ended, ExecuteError> {
        let follower = orders.follow.as_ref();
        let follower = follower
            .map(|follow| Follower::new(self, follow))
            .transpose()?;
        let mut starter = Starter {
            executor: self,
            orders,
            tasks: self.tasks(orders)?,
            queue: Vec::new(),
            starting: Vec::new(),
            keeper: None,
            watch: None,
            lives: Vec::new(),
            follower,
            deadline: None,
            seconds: 0,
            repeated: 0,
        };
        if let Some(Some(time)) = orders.wait {
            starter.deadline = Some(Moment::now().after(time));
            starter.seconds = time.as_secs();
        }
        starter.run()
    }

    fn tasks(&self, orders: &Orders) -> Result<Vec<Task>, ExecuteError> {
        let services = &self.project.services;
        let steps = order::steps(services, &orders.chosen);
        let steps = steps.map_err(|names| ExecuteError::Circle { names })?;
        let tasks = steps.into_iter().flatten().map(|service| Task {
            needs: order::needs(&services[&service]),
            service,
            stage: Stage::Waiting,
            told: BTreeSet::new(),
        });
        Ok(tasks.collect())
    }
}

struct Starter<'a> {
    executor: &'a Executor<'a>,
    orders: &'a Orders,
    tasks: Vec<Task>,
    /// Containers that may start, where not any number may at a time: service and name.
    queue: Vec<(String, String)>,
    starting: Vec<Beginning>,
    /// While several start, none has to make a home for the others.
    keeper: Option<Keeper>,
    watch: Option<Watch>,
    lives: Vec<Live>,
    follower: Option<Follower<'a>>,
    deadline: Option<Moment>,
    seconds: u64,
    /// So many starts were begun anew.
    repeated: usize,
}

impl Starter<'_> {
    fn run(&mut self) -> Result<Ended, ExecuteError> {
        if let Some(follower) = &self.follower {
            follower.announce(&self.orders.members);
        }
        loop {
            if !self.is_leaving() {
                self.begin_ready()?;
            }
            if let Some(ended) = self.ended()? {
                return Ok(ended);
            }
            self.turn()?;
        }
    }

    fn is_leaving(&self) -> bool {
        self.follower.as_ref().is_some_and(Follower::is_leaving)
    }

    fn ended(&mut self) -> Result<Option<Ended>, ExecuteError> {
        let all_up = self.tasks.iter().all(|task| task.stage == Stage::Up);
        let idle = self.starting.is_empty() && self.queue.is_empty();
        if let Some(follower) = &mut self.follower {
            let over = (all_up || follower.is_leaving()) && idle;
            if over && follower.is_leaving() && !follower.is_over(&self.lives) {
                // Those that were on their way when the others were told to end.
                let services: Vec<String> =
                    self.tasks.iter().map(|task| task.service.clone()).collect();
                follower.leave_rest(&services)?;
            }
            return Ok(match over && follower.is_over(&self.lives) {
                true => Some(follower.outcome()),
                false => None,
            });
        }
        if !all_up || !idle {
            return Ok(None);
        }
        if !self.is_met()? {
            return Ok(None);
        }
        if self.orders.wait.is_some() && !self.executor.dry_run {
            for number in 0..self.tasks.len() {
                let service = self.tasks[number].service.clone();
                if !self.is_fine(&service)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(Ended::Started))
    }

    fn members(&self, service: &str) -> Vec<String> {
        self.orders
            .members
            .get(service)
            .cloned()
            .unwrap_or_default()
    }

    /// Begins with every service whose needs are met.
    fn begin_ready(&mut self) -> Result<(), ExecuteError> {
        for number in 0..self.tasks.len() {
            if self.tasks[number].stage != Stage::Waiting || !self.is_ready(number)? {
                continue;
            }
            let service = self.tasks[number].service.clone();
            let members = self.members(&service);
            self.tasks[number].stage = Stage::Starting(members.len());
            self.queue
                .extend(members.into_iter().map(|name| (service.clone(), name)));
            if self.tasks[number].stage == Stage::Starting(0) {
                self.is_up(&service)?;
            }
        }
        let most = self.executor.parallel.unwrap_or(usize::MAX);
        while !self.queue.is_empty() && self.starting.len() < most {
            let (service, name) = self.queue.remove(0);
            self.begin(service, name)?;
        }
        Ok(())
    }

    fn is_ready(&mut self, number: usize) -> Result<bool, ExecuteError> {
        for need in self.tasks[number].needs.clone() {
            // Of one that is not among them nothing is waited for.
            if !self.orders.chosen.contains(&need.service) {
                continue;
            }
            match self.holds(&need) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) if need.required => return Err(error),
                Err(error) => {
                    let words = format!("optional dependency {:?} {error}", need.service);
                    if self.tasks[number].told.insert(need.service.clone()) {
                        self.executor.report.warn(&words);
                    }
                }
            }
        }
        Ok(true)
    }

    fn begin(&mut self, service: String, name: String) -> Result<(), ExecuteError> {
        let executor = self.executor;
        if executor.dry_run {
            super::both(executor.report, &name, ("Starting", "Started"));
            return self.one_up(&service);
        }
        let of = || ExecuteError::of(format!("container {name}"));
        let one = executor.settled(&name).map_err(of())?;
        let shows = self.follower.as_ref();
        let shows = shows.is_some_and(|follower| follower.shows(&service));
        let attach = Attach {
            stdin: false,
            stdout: shows,
            stderr: shows,
        };
        if state::state(&one).is_alive() {
            if self.follower.is_some() || self.is_watched(&service) {
                self.join(&service, &one, attach);
            }
            return self.one_up(&service);
        }
        executor.report.container(&name, Phase::Working, "Starting");
        if self.keeper.is_none() {
            self.keeper = Some(executor.engine.keep_home()?);
        }
        let keeper = self.keeper.as_ref().expect("it was made above");
        let options = StartOptions {
            attach,
            wait: self.follower.is_some() || self.is_watched(&service),
            ..StartOptions::default()
        };
        let started = match executor.engine.begin_start(&one.record, keeper, options) {
            Err(error) if is_gone(&error) => return self.again(service, name, error),
            started => started.inspect_err(|_| self.failed(&name)).map_err(of())?,
        };
        self.starting.push(Beginning {
            service,
            name,
            record: one.record,
            started,
        });
        Ok(())
    }

    /// Another command has taken it away, to put a new one in its place.
    fn again(
        &mut self,
        service: String,
        name: String,
        error: EngineError,
    ) -> Result<(), ExecuteError> {
        self.repeated += 1;
        if self.repeated > PATIENCE {
            return Err(ExecuteError::of(format!("container {name}"))(error));
        }
        self.queue.push((service, name));
        Ok(())
    }

    /// One that runs already; if it has ended since, its end is seen where it is asked for.
    fn join(&mut self, service: &str, one: &ListedContainer, attach: Attach) {
        let request = crate::engine::request::AttachRequest { attach };
        let session = self.executor.engine.attach(&one.record, &request).ok();
        let name = self.executor.short(&one.name);
        self.lives.push(Live::new(
            service,
            name,
            one.record.clone(),
            session,
            attach.stdout,
        ));
    }

    fn finish(&mut self, index: usize) -> Result<(), ExecuteError> {
        let Beginning {
            service,
            name,
            record,
            started,
        } = self.starting.remove(index);
        let executor = self.executor;
        let session = match executor.engine.finish_start(started) {
            Err(error) if is_gone(&error) => return self.again(service, name, error),
            session => session,
        };
        let session = session
            .inspect_err(|_| self.failed(&name))
            .map_err(ExecuteError::of(format!("container {name}")))?;
        if self.follower.is_some() || self.is_watched(&service) {
            let short = executor.short(&name);
            let shows = self.follower.as_ref();
            let shows = shows.is_some_and(|follower| follower.shows(&service));
            let live = Live::new(&service, short, record.clone(), Some(session), shows);
            self.lives.push(live);
        }
        hooks::after_start(executor, &service, (&name, &record))?;
        executor.report.container(&name, Phase::Done, "Started");
        self.one_up(&service)
    }

    fn one_up(&mut self, service: &str) -> Result<(), ExecuteError> {
        let mut tasks = self.tasks.iter_mut();
        let task = tasks.find(|task| task.service == service);
        let Some(task) = task else { return Ok(()) };
        let left = match task.stage {
            Stage::Starting(left) => left.saturating_sub(1),
            Stage::Waiting | Stage::Up => 0,
        };
        task.stage = Stage::Starting(left);
        match left {
            0 => self.is_up(service),
            _ => Ok(()),
        }
    }

    fn is_up(&mut self, service: &str) -> Result<(), ExecuteError> {
        let mut tasks = self.tasks.iter_mut();
        if let Some(task) = tasks.find(|task| task.service == service) {
            task.stage = Stage::Up;
        }
        // Watched before it is looked at: nothing is missed.
        if self.is_watched(service) && !self.executor.dry_run {
            let records = self.lives.iter().map(|live| &live.record);
            self.watch = Some(self.executor.engine.watch_containers(records)?);
        }
        if self.starting.is_empty() && self.queue.is_empty() {
            // Its own containers keep the home now, or nobody needs it.
            self.keeper = None;
        }
        Ok(())
    }

    /// Waits for the next thing, whatever it is, and sees to it.
    fn turn(&mut self) -> Result<(), ExecuteError> {
        if self.tasks.iter().any(|task| task.stage == Stage::Waiting) && !self.is_leaving() {
            // What was started without waiting may have met a need.
            let nothing = self.starting.is_empty()
                && self.watch.is_none()
                && self.lives.is_empty()
                && self.follower.is_none();
            if nothing {
                return Ok(());
            }
        }
        let ready = self.ready()?;
        let services: Vec<String> = self.tasks.iter().map(|task| task.service.clone()).collect();
        if ready.is_empty() && self.deadline.is_some_and(Moment::has_come) {
            let seconds = self.seconds;
            return Err(ExecuteError::Late { seconds });
        }
        // From behind: what is taken out of a list moves what follows.
        for token in ready.into_iter().rev() {
            match token {
                Token::Starting(index) => self.finish(index)?,
                Token::Health => self.watch.iter().for_each(Watch::clear),
                Token::Live(index) => self.hear(index)?,
                Token::Signal | Token::Event | Token::Stop => {
                    if let Some(follower) = &mut self.follower {
                        match token {
                            Token::Signal => follower.signals(&services)?,
                            Token::Event => follower.events(&mut self.lives)?,
                            _ => follower.advance()?,
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn ready(&self) -> Result<Vec<Token>, ExecuteError> {
        use std::os::fd::AsFd;
        let mut set = PollSet::new();
        for (index, one) in self.starting.iter().enumerate() {
            set.add(one.started.as_fd(), Interest::Read, Token::Starting(index));
        }
        if let Some(watch) = &self.watch {
            set.add(watch.as_fd(), Interest::Read, Token::Health);
        }
        for (index, live) in self.lives.iter().enumerate() {
            if let Some(session) = &live.session {
                let fd = session.connection.as_fd();
                set.add(fd, Interest::Read, Token::Live(index));
            }
        }
        let mut end = self.deadline.map(End::Moment);
        if let Some(follower) = &self.follower {
            set.add(follower.signals.as_fd(), Interest::Read, Token::Signal);
            set.add(follower.news.as_fd(), Interest::Read, Token::Event);
            for fd in follower.stop_fds() {
                set.add(fd, Interest::Read, Token::Stop);
            }
            end = follower.deadline().or(end);
        }
        let ready = set
            .wait_until(end)
            .map_err(|source| crate::engine::EngineError::System {
                operation: "wait for the containers",
                source,
            })?;
        let is_late = ready.is_empty() && self.follower.as_ref().is_some_and(Follower::is_stopping);
        Ok(match is_late {
            true => vec![Token::Stop],
            false => ready,
        })
    }

    fn hear(&mut self, index: usize) -> Result<(), ExecuteError> {
        let live = &mut self.lives[index];
        let report = self.executor.report;
        let Some(code) = live.hear(report) else {
            return Ok(());
        };
        let service = live.service.clone();
        match &mut self.follower {
            Some(follower) => follower.exited(&service, code),
            None => Ok(()),
        }
    }
}

/// So often others may take containers away while they are started.
const PATIENCE: usize = 100;

fn is_gone(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::Container(ContainerError::NotFound { .. })
            | EngineError::Start(StartFailure::Removed { .. })
    )
}

impl Executor<'_> {
    /// The container of this name; where another command is about to put one there, that one.
    fn settled(&self, name: &str) -> Result<ListedContainer, EngineError> {
        loop {
            let missing = match self.engine.listed(name) {
                Err(error) if is_gone(&error) => error,
                found => return found,
            };
            let all = state::existing(self.engine, &self.project.name)?;
            let mut coming = all
                .iter()
                .filter(|one| one.replaces.as_deref() == Some(name));
            // It may have come between the two looks.
            let is_there = all.iter().any(|one| one.name == name);
            match coming.find(|one| one.is_held) {
                Some(one) => self.engine.wait_until_made(&self.engine.find(&one.id)?)?,
                None if is_there => {}
                None => return Err(missing),
            }
        }
    }

    /// A container's name as output and remarks of its project have it.
    pub(super) fn short(&self, name: &str) -> String {
        let before = format!("{}{}", self.project.name, self.separator);
        name.strip_prefix(&before).unwrap_or(name).to_owned()
    }
}
