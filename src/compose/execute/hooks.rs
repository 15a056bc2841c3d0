//! Commands that a service wants in its containers after their start and before their end.

use super::{ExecuteError, Executor};
use crate::compose::labels;
use crate::compose::model::Hook;
use crate::container::Record;
use crate::engine::request::ExecRequest;
use crate::engine::{EngineError, Foreground, ListedContainer, Outcome};
use crate::monitor::Attach;
use crate::runtime::enter::ProgramChoice;

pub(super) fn after_start(
    executor: &Executor<'_>,
    service: &str,
    (name, record): (&str, &Record),
) -> Result<(), ExecuteError> {
    let service = executor.project.services.get(service);
    let hooks = service.map_or(&[][..], |service| &service.post_start);
    for hook in hooks {
        match run(executor, hook, record).map_err(ExecuteError::of(format!("container {name}")))? {
            0 => {}
            code => {
                return Err(ExecuteError::Hook {
                    hook: "post_start",
                    name: name.to_owned(),
                    code,
                });
            }
        }
    }
    Ok(())
}

/// One that has ended meanwhile needs none.
pub(super) fn before_stop(
    executor: &Executor<'_>,
    one: &ListedContainer,
) -> Result<(), ExecuteError> {
    let service = one.config.labels.get(labels::SERVICE);
    let service = service.and_then(|name| executor.project.services.get(name));
    let hooks = service.map_or(&[][..], |service| &service.pre_stop);
    for hook in hooks {
        match run(executor, hook, &one.record) {
            Ok(0) | Err(EngineError::NotRunning { .. }) => {}
            Ok(code) => {
                return Err(ExecuteError::Hook {
                    hook: "pre_stop",
                    name: one.name.clone(),
                    code,
                });
            }
            Err(error) => {
                return Err(ExecuteError::of(format!("container {}", one.name))(error));
            }
        }
    }
    Ok(())
}

fn run(executor: &Executor<'_>, hook: &Hook, record: &Record) -> Result<i32, EngineError> {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let variables = hook.environment.iter();
    let env = variables.filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?)));
    let request = ExecRequest {
        program: ProgramChoice {
            args: hook.command.clone(),
            env: env.collect(),
            cwd: text(&hook.working_dir),
            user: text(&hook.user),
            terminal: false,
            privileged: hook.privileged,
        },
        attach: Attach {
            stdin: false,
            stdout: true,
            stderr: true,
        },
        terminal_size: None,
    };
    let session = executor
        .engine
        .exec(record, &request, &Default::default())?;
    let foreground = Foreground {
        stdin: false,
        signal_proxy: false,
        detach_keys: Vec::new(),
    };
    Ok(match session.follow(foreground)? {
        Outcome::Exited(code) => code,
        Outcome::Detached | Outcome::OutputClosed => 0,
    })
}
